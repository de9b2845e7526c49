#!/usr/bin/env python3
"""Measures random-weight models at true 7B widths, in every precision, beside the machine's ceilings and every peer that is there, and prints tables in
Markdown: the targets, each with what was measured, and all figures.

    Tests/bench.sh [--full] [--layers N] [--runs N] [--precisions "int8 int4 bf16 f32"] [--llama DIR] [--keep DIR] [--csv FILE] [--markdown FILE]
                   [--only "PATTERN ..."] [--sequences-only] [--before LMMC] [--isa LEVEL] [--page DIR] [--prepare | --report | --list]

With --isa lmmc's code and the ceilings are those of a lower level, as on CPUs that have no more; float32, by OpenBLAS, is left out, and the only peer is llama.cpp, built
for that level (cmake -DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON). --page writes the tables to a file of DIR that is named
by the kind of CPU, and by the level, and keeps what stands there below '## Notes'.

Peers: llama.cpp with --llama, a built source tree (build/bin/llama-bench and llama-quantize, llama-mtmd-cli for its vision tower, and llama-server); torch and OpenVINO
(with nncf) where $PYTHON has them; $PYTHON also needs gguf and numpy for llama.cpp's files.

A measurement takes one peer and lmmc's program in turn, on as many pinned threads as there are CPUs, with the ceilings before and after each turn; the first
turn warms up, and figures are medians over turns of what each turn gave. So a measurement is whole in itself: --only picks some by name, --keep holds the
models and results between calls, --prepare makes models only and --report prints what was measured before. The page cache is warm; all files of a
measurement must fit the memory together. Matrix work counts 2 x parameters x tokens, without the decoder's attention."""
import argparse
import datetime
import fnmatch
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import bench_models
import bench_report
import bench_sequences
import bench_serving
from bench_models import SLOT_LAYERS, Models
from bench_sides import Server, ceilings, compile_once, llama_bench, llama_tower, openblas, run_fresh, run_warm

# What each precision is held against: (peer, its weights), near-lossless ones first.
DECODERS = {
    "int8": [("llama", "Q8_0"), ("openvino", "int8"), ("openvino", "w8a8")],
    "int4": [("llama", "Q4_0"), ("llama", "Q4_K_M"), ("openvino", "int4"), ("openvino", "w8a8")],
    "bf16": [("llama", "BF16"), ("openvino", "bf16"), ("torch", "bf16")]}
TOWERS = {"bf16": [("llama", "BF16"), ("openvino", "bf16"), ("torch", "eager"), ("torch", "compiled")], "int8": [("openvino", "w8a8")]}
RUNS = 7
STF_ROWS, PLAIN_ROWS, STEPS = 205, 637, 32  # 144 or 576 vision tokens and 61 of text; tokens decoded
CORES = ("Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids")


class Bench:
    def __init__(self, options):
        self.options, self.runs, self.threads = options, options.runs or RUNS, os.cpu_count()
        self.isa = ["--isa", options.isa] if options.isa else []
        self.models = Models(pathlib.Path(options.keep), options.layers, options.lmmc, options.llama)
        if options.isa:
            bench_models.ENVIRONMENT["LMMC_ISA"] = options.isa
            self.models.there.update(torch=False, openvino=False)  # they take all that the CPU has
        self.results = self.models.folder / ("results" + (f"-{options.isa}" if options.isa else ""))
        self.precisions = [p for p in options.precisions.split() if not (options.isa and p == "f32")]

    def measurements(self):
        """By name: what makes the files, and what measures."""
        models, result = self.models, {}
        result["kernels"] = lambda: None, self.kernels
        for precision in self.precisions:
            if precision == "f32":
                result["f32"] = lambda: (models.program("llava-stf-7b", "f32"), models.openblas()), self.float32
                continue
            own = (lambda p: lambda: models.program("llava-stf-7b", p))(precision)
            result[precision] = own, (lambda p: lambda: self.turns({"lmmc": self.warm(p)}))(precision)
            for peer, weights in DECODERS[precision]:
                if models.has(peer):
                    result[f"{precision}-{peer}-{weights}"] = self.decoder(precision, peer, weights)
            for peer, weights in TOWERS.get(precision, []):
                if models.has(peer) and (peer != "llama" or models.llama_tool("llama-mtmd-cli")):
                    result[f"vision-{precision}-{peer}-{weights}"] = self.tower(precision, peer, weights)
        if "int8" in self.precisions:
            programs = lambda: (models.program("llava-stf-7b", "int8"), models.program("llava-1.5-7b", "int8"))
            result["first"] = programs, lambda: self.turns({"lmmc": self.fresh("llava-stf-7b"), "lmmc k=1": self.fresh("llava-1.5-7b")})
            for peer, weights in (("llama", "Q8_0"), ("openvino", "int8")):
                if models.has(peer):
                    result[f"first-{peer}"] = self.first(peer, weights)
            result["compile"] = lambda: models.checkpoint("llava-stf-7b"), self.compile
            result.update(bench_sequences.measurements(self, self.options.before), **bench_serving.measurements(self))
        return result

    # ---- measurements

    def turns(self, sides, runs=None, limits=True):
        """Samples of every figure of every side, a side being a function that gives some figures, and of the ceilings where those are limits. Every other turn
        goes backwards, so that a machine that becomes faster or slower favours nobody."""
        samples = {name: {} for name in sides}
        limit = (lambda: ceilings(self.models, self.threads, self.isa)) if limits else dict
        measured = [limit()]
        for turn in range((runs or self.runs) + 1):
            for name, side in list(sides.items())[::-1 if turn % 2 else 1]:
                for figure, value in side().items():
                    samples[name].setdefault(figure, []).append(value)
            measured.append(limit())
        for figures in samples.values():
            for values in figures.values():
                del values[0]
        between = [{key: (a[key] + b[key]) / 2 for key in a} for a, b in zip(measured[1:], measured[2:])]
        return {"samples": samples, "ceilings": {key: [c[key] for c in between] for key in between[0]}}

    def warm(self, precision, model="llava-stf-7b", rows=STF_ROWS, steps=STEPS):
        return lambda: run_warm(self.models.program(model, precision), rows, steps)

    def fresh(self, model):
        return lambda: run_fresh(self.models.program(model, "int8"), STEPS)

    def decoder(self, precision, peer, weights):
        models = self.models
        prepare = lambda: (models.program("llava-stf-7b", precision), models.peer_decoder(peer, weights))
        if peer == "llama":
            return prepare, lambda: self.turns({"lmmc": self.warm(precision),
                                                "peer": lambda: llama_bench(models, weights, self.threads, STF_ROWS, STEPS)})

        def measure():
            with Server(models.peer_decoder(peer, weights), self.threads) as server:
                return self.turns({"lmmc": self.warm(precision), "peer": lambda: {
                    "prefill": server.ask("prefill", STF_ROWS), "decode_step": server.ask("decode", STF_ROWS, STEPS) / STEPS}})
        return prepare, measure

    def tower(self, precision, peer, weights):
        models = self.models
        prepare = lambda: (models.program("llava-stf-7b", precision), models.peer_tower(peer, weights))
        own = self.warm(precision, steps=1)
        if peer == "llama":
            return prepare, lambda: self.turns({"lmmc": own, "peer": lambda: {"vision": llama_tower(models, self.threads)}})

        def measure():
            with Server(models.peer_tower(peer, weights), self.threads) as server:
                return self.turns({"lmmc": own, "peer": lambda: {"vision": server.ask("vision")}})
        return prepare, measure

    def first(self, peer, weights):
        """LLaVA-1.5 as the peer would run it: its tower, then a prefill of 576 + 61 rows."""
        models, own = self.models, self.fresh("llava-stf-7b")
        if peer == "llama":  # its tower is a measurement of its own, vision-bf16-llama-BF16
            prepare = lambda: (models.program("llava-stf-7b", "int8"), models.peer_decoder(peer, weights))
            return prepare, lambda: self.turns({"lmmc": own, "peer": lambda: {
                "prefill": llama_bench(models, weights, self.threads, PLAIN_ROWS, 0)["prefill"]}})
        prepare = lambda: (models.program("llava-stf-7b", "int8"), models.peer_decoder(peer, weights), models.peer_tower(peer, "w8a8"))

        def measure():
            with Server(models.peer_decoder(peer, weights), self.threads) as words, Server(models.peer_tower(peer, "w8a8"), self.threads) as eyes:
                return self.turns({"lmmc": own, "peer": lambda: {"vision": eyes.ask("vision"), "prefill": words.ask("prefill", PLAIN_ROWS)}})
        return prepare, measure

    def kernels(self):
        """Rates of the best variant, as bench_kernels.sh prints them: each has its own ceiling beside it."""
        rows = []
        for kind in ("q8", "q4", "bf16"):
            lines = self.models.kernels("--prefill", *self.isa, "--type", kind, "--runs", str(min(self.runs, 5))).splitlines()
            table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith(f"| {kind}") and "not run" not in line]
            best = table[0][1]  # the variants come best first
            rows += [{"type": kind, "variant": best, "shape": row[2], "rate": row[3], "share": float(row[5].split()[0])} for row in table if row[1] == best]
        return {"kernels": rows}

    def float32(self):
        sides = {"lmmc": self.warm("f32", steps=4)}
        program = self.models.openblas()
        for core in CORES:
            if openblas(program, core, STF_ROWS, self.threads):
                sides["OpenBLAS " + core] = (lambda c: lambda: {"rate": openblas(program, c, STF_ROWS, self.threads)})(core)
        return {**self.turns(sides), "layers": self.models.layers_of("f32")}

    def compile(self):
        return {"compile": compile_once(self.models)}

    # ---- results

    def measure(self, name, how):
        begin = time.time()
        result = how()
        facts = {"name": name, "date": datetime.datetime.now().isoformat(timespec="minutes"), "layers": self.models.layers, "runs": self.runs}
        self.results.mkdir(exist_ok=True)
        (self.results / f"{name}.json").write_text(json.dumps({**facts, **result}, indent=1))
        print(f"{name}: {time.time() - begin:.0f} s", file=sys.stderr)

    def report(self):
        results = {path.stem: json.loads(path.read_text()) for path in sorted(self.results.glob("*.json"))}
        text, values = bench_report.tables(results, self.models, self.options.sequences_only)
        print(text)
        if self.options.markdown:
            pathlib.Path(self.options.markdown).write_text(text + "\n")
        if self.options.csv:
            pathlib.Path(self.options.csv).write_text(values)
        if self.options.page:
            page = pathlib.Path(self.options.page, bench_report.page_name(self.options.isa))
            page.write_text(bench_report.page(text, self.options.isa, page.read_text() if page.exists() else ""))


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(prog="bench.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=8, help="decoder layers of the models (8; f32 and several sequences take 4 at most)")
    parser.add_argument("--full", action="store_const", const=32, dest="layers", help="all 32 layers: 35 GB of disk, and peers that fit the memory")
    parser.add_argument("--runs", type=int, help=f"turns of a measurement ({RUNS}; {bench_sequences.TURNS} of several sequences)")
    parser.add_argument("--precisions", default="int8 int4 bf16 f32")
    parser.add_argument("--lmmc", default=str(root / ".build/release/lmmc"))
    parser.add_argument("--llama")
    parser.add_argument("--keep", help="folder for models and results, else a temporary one")
    parser.add_argument("--csv")
    parser.add_argument("--markdown")
    parser.add_argument("--only", help="names of measurements, with * and ?")
    parser.add_argument("--sequences-only", action="store_true", help="decode of several sequences, and nothing else")
    parser.add_argument("--before", metavar="LMMC", help="a compiler of another commit, whose program decodes one sequence in turn with ours")
    parser.add_argument("--isa", choices=("avx2", "avxvnni", "avx512", "avx512vnni"), help="measure as on a CPU of this level")
    parser.add_argument("--page", metavar="DIR", help="write the page of this kind of CPU")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the names of the measurements")
    options = parser.parse_args()
    if options.sequences_only:
        options.only, options.layers = options.only or "sequences-*", min(options.layers, SLOT_LAYERS)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are stopped processes: they must be let go
    if not os.access(options.lmmc, os.X_OK):
        sys.exit(f"error: no compiler at '{options.lmmc}'; expected one from 'swift build -c release', or --lmmc PATH")
    if options.before and not os.access(options.before, os.X_OK):
        sys.exit(f"error: no compiler at '{options.before}'; expected one of another commit")
    kept, failed = options.keep is not None, False
    options.keep = os.path.abspath(options.keep or tempfile.mkdtemp())
    os.makedirs(options.keep, exist_ok=True)
    try:
        bench = Bench(options)
        chosen = {name: parts for name, parts in bench.measurements().items() if any(fnmatch.fnmatch(name, p) for p in (options.only or "*").split())}
        if options.list:
            print("\n".join(chosen))
            return 0
        if not options.report:
            bench.models.kernels("--ceilings")
            for name, (prepare, how) in chosen.items():
                try:
                    prepare()
                    if not options.prepare:
                        bench.measure(name, how)
                except SystemExit as failure:  # a peer that does not fit the memory, say
                    failed = True
                    print(f"left out: {name}: {failure}", file=sys.stderr)
        if not options.prepare:
            bench.report()
        return 1 if failed else 0
    finally:
        if not kept:
            shutil.rmtree(options.keep)


if __name__ == "__main__":
    sys.exit(main())
