#!/usr/bin/env python3
"""Sends recorded requests to a program that serves, and compares what comes back with what their client needs: replay.py PROGRAM [FILE...]

A file of replay/ is a client: {"client": ..., "requests": [{"name", "method", "path", "headers", "body", "status", "type", "answer"}]}.
In texts `{{model}}`, `{{png}}` (a picture in base64) and `{{long}}` (more than any context) are filled in. `answer` is what must be found
in the JSON that comes back, of a stream ("lines" or "events") in each part but the last, and `last` in that: other members may be there.
"<text>", "<words>" (not empty), "<number>", "<whole>", "<true or false>", "<time>" and "<any>" stand for what changes, a list of one for a
list of any number of such.
"""
import datetime
import glob
import json
import os
import sys

from served import PICTURE_TEXT, Checks, Server

KINDS = {
    "<any>": lambda v: True,
    "<text>": lambda v: isinstance(v, str),
    "<words>": lambda v: isinstance(v, str) and v != "",
    "<number>": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "<whole>": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "<true or false>": lambda v: isinstance(v, bool),
    "<time>": lambda v: isinstance(v, str) and datetime.datetime.fromisoformat(v) is not None,
}


def misses(wanted, found, place="answer"):
    """The first place where what was found is not what was wanted; None where it is."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return f"{place} is {found!r}, no object"
        for key, value in wanted.items():
            if key.startswith("no "):
                if key[3:] in found:
                    return f"{place} has {key[3:]}"
                continue
            if key not in found:
                return f"{place} has no {key}: {found!r}"
            if missed := misses(value, found[key], f"{place}.{key}"):
                return missed
        return None
    if isinstance(wanted, list):
        if not isinstance(found, list) or not found:
            return f"{place} is {found!r}, no list with members"
        pairs = zip(wanted, found) if len(wanted) > 1 else ((wanted[0], f) for f in found)
        return next(filter(None, (misses(w, f, f"{place}[{i}]") for i, (w, f) in enumerate(pairs))), None)
    if isinstance(wanted, str) and wanted in KINDS:
        return None if KINDS[wanted](found) else f"{place} is {found!r}, not {wanted}"
    return None if wanted == found else f"{place} is {found!r}, not {wanted!r}"


def parts_of(kind, data):
    if kind == "lines":
        return [json.loads(line) for line in data.decode().splitlines() if line]
    events = [e for e in data.decode().split("\n\n") if e and not e.startswith(":")]
    if not events or events[-1] != "data: [DONE]":
        raise ValueError(f"the stream does not end with [DONE]: {events[-1:]!r}")
    return [json.loads(e.removeprefix("data: ")) for e in events[:-1]]


def replay(server, request, fill, checks):
    name = request["name"]
    body = request.get("body")
    if body is not None:
        body = fill(json.dumps(body))
    status, kind, data = server.ask(request["method"], fill(request["path"]), body, request.get("headers"))
    if not checks.equal(status, request.get("status", 200), f"{name}: status ({data[:200]!r})"):
        return
    if "type" in request:
        checks.equal(kind.split(";")[0], request["type"], f"{name}: Content-Type")
    if request["method"] == "HEAD":
        checks.equal(server.behind_head(fill(request["path"])), b"", f"{name}: body")
        return
    wanted = json.loads(fill(json.dumps(request.get("answer", "<any>"))))
    try:
        if "stream" in request:
            parts = parts_of(request["stream"], data)
            last = json.loads(fill(json.dumps(request["last"])))
            checks.check(len(parts) > 1, f"{name}: a stream of {len(parts)} parts")
            missed = next(filter(None, (misses(wanted, p, f"part {i}") for i, p in enumerate(parts[:-1]))), None)
            missed = missed or misses(last, parts[-1], "the last part")
        else:
            missed = misses(wanted, json.loads(data))
    except ValueError as error:
        missed = f"{error}: {data[:200]!r}"
    checks.check(not missed, f"{name}: {missed}")


def main():
    program = sys.argv[1]
    files = sys.argv[2:] or sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "replay", "*.json")))
    checks, server = Checks("replay"), Server(program)
    try:
        model = server.model()

        def fill(text):
            return text.replace("{{model}}", model).replace("{{png}}", PICTURE_TEXT).replace("{{long}}", "many words " * 20000)

        for path in files:
            with open(path, encoding="utf-8") as f:
                for request in json.load(f)["requests"]:
                    replay(server, request, fill, checks)
    finally:
        checks.equal(server.stop(), 0, "exit code")
    checks.end()


if __name__ == "__main__":
    main()
