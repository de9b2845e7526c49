#!/usr/bin/env python3
"""A file of requests, answered by tasks of Ray Data; shards are kept in ANSWERS.shards, and the same command goes on with them.

    ray_data.py PROGRAM REQUESTS ANSWERS SHARDS [--cpus N] [--address ADDRESS] [-- OPTION...]

PROGRAM and the folder of ANSWERS are seen by all nodes of the cluster. A task has N cores (1). One whose process or node dies is begun
again, four times at most. Needs ray[data].
"""

import argparse
import os
import subprocess

SHARDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "shards.sh")


def main():
    parser = argparse.ArgumentParser(description="answer a file of requests by tasks of Ray Data")
    for name in ("program", "requests", "answers"):
        parser.add_argument(name, type=os.path.abspath)
    parser.add_argument("shards", type=int)
    parser.add_argument("--cpus", type=int, default=1, metavar="N", help="cores of a task (1)")
    parser.add_argument("--address", help="of a cluster; without it, one is begun on this box")
    parser.add_argument("options", nargs="*", metavar="OPTION", help="of PROGRAM, behind '--'")
    args = parser.parse_args()
    folder = args.answers + ".shards"
    subprocess.run([SHARDS, "split", args.requests, folder, str(args.shards)], check=True)

    import ray

    ray.init(address=args.address)

    def answer(row):
        command = [SHARDS, "answer", args.program, folder, str(row["item"]), "--threads", str(args.cpus), *args.options]
        run = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if run.returncode:
            raise RuntimeError(f"shard {row['item']} ended with {run.returncode}: {run.stderr.strip()}")
        return row

    # A block for each shard, so that each is a task, and is begun again by itself.
    shards = ray.data.from_items(list(range(args.shards)), override_num_blocks=args.shards)
    shards.map(answer, num_cpus=args.cpus, max_retries=4, retry_exceptions=True).materialize()
    subprocess.run([SHARDS, "join", folder, args.answers], check=True)


if __name__ == "__main__":
    main()
