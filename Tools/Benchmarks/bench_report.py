"""Tables of what bench.py measured: the targets, and all figures."""
import os
import statistics
import sys

import bench_sequences
import bench_serving
from bench_models import cpu_facts

HIDDEN, INNER, VOCABULARY = 4096, 11008, 32000
LAYER = 4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER  # weights of a layer's products
ROWS, PLAIN_ROWS, FULL = 205, 637, 32
# What every row of a prefill goes through of the last layer: lmmc stops at queries, keys and values, llama.cpp behind the attention's output.
LAST = {"lmmc": 3 * HIDDEN * HIDDEN, "llama": 4 * HIDDEN * HIDDEN}
BITS = {"int8": 8.25, "int4": 4.375, "bf16": 16, "f32": 32}  # per weight, scales included; what a head takes beside them:
HEAD_BITS = {"int8": 16, "int4": 8.25, "bf16": 16, "f32": 32}
MIB = 1 << 20
KERNEL, PREFILL, FLOAT32, DECODE, START_MS, COMPILE_S = 75, {"int8": 70, "int4": 70, "bf16": 85}, 95, 90, 100, 45
OVER_BEST, VISION = {"int8": 2, "int4": 2, "bf16": 1.25}, {"int8": 70, "bf16": 85}
FIRST = {"llama": 12, "openvino": 5}
NAMES = {"llama": "llama.cpp", "openvino": "OpenVINO", "torch": "torch"}
SET = {"int8": "int8", "int4": "int8", "bf16": "bf16"}  # whose ceiling counts


def title(peer, weights):
    kinds = {"w8a8": "int8 per channel", "int8": "8-bit weights", "int4": "4-bit weights", "compiled": "bf16 compiled", "eager": "bf16"}
    return f"{NAMES[peer]} {kinds.get(weights, weights)}"


class Report:
    def __init__(self, results, models):
        self.results, self.models, self.rows = results, models, []

    # ---- figures of results

    def samples(self, name, side, figure):
        return self.results[name]["samples"][side][figure]

    def median(self, name, side, figure):
        return statistics.median(self.samples(name, side, figure))

    def share(self, name, side, work, ceiling):
        """Percent of a ceiling, and the rate in 1e9 a second; `work` gives operations or bytes and the milliseconds' samples."""
        amount, times = work
        rates = [amount / t / 1e6 for t in times]
        limits = self.results[name]["ceilings"][ceiling]
        return statistics.median(100 * r / c for r, c in zip(rates, limits)), statistics.median(rates)

    def prefill_work(self, name, side, rows=ROWS):
        return 2 * self.weights(side, self.results[name].get("layers", self.models.layers)) * rows, self.samples(name, side, "prefill")

    @staticmethod
    def weights(side, layers):
        """Weights of the products that every row of a prefill goes through."""
        return LAYER * (layers - 1) + LAST.get(side.split()[0], LAYER)

    def to_full(self, name, side):
        """How many times as long a prefill takes with all layers of the 7B model."""
        return self.weights(side, FULL) / self.weights(side, self.results[name]["layers"])

    @staticmethod
    def step_products(layers):
        """Weights of a decode step's products: the layers', and the head's."""
        return LAYER * layers, VOCABULARY * HIDDEN

    def decode_work(self, name, precision):
        layers = self.results[name]["layers"]
        return (LAYER * layers * BITS[precision] + VOCABULARY * HIDDEN * HEAD_BITS[precision]) / 8, self.samples(name, "lmmc", "decode_step")

    def over(self, name, figure):
        """How many times faster than the peer, turn by turn; a prefill with all layers, since only in the last one is there less to do."""
        factor = self.to_full(name, name.split("-")[1]) / self.to_full(name, "lmmc") if figure == "prefill" else 1
        return statistics.median(p / o * factor for o, p in zip(self.samples(name, "lmmc", figure), self.samples(name, "peer", figure)))

    def peers(self, precision, figure):
        """(title, weights, times faster), the best peer first."""
        found = []
        for name, result in self.results.items():
            words = name.split("-")
            if words[0] == precision and len(words) == 3 and figure in result["samples"]["peer"]:
                found.append((title(words[1], words[2]), words[2], self.over(name, figure)))
        return sorted(found, key=lambda row: row[2])

    # ---- the table of targets

    def add(self, work, target, measured, reached):
        self.rows.append((work, target, measured, reached))

    def missing(self, work, target, why):
        self.add(work, target, why, None)

    def kernels(self):
        work, target = "int8 matrix product, blocks of 64, as a kernel", f"{KERNEL} % of the int8 ceiling"
        if "kernels" not in self.results:
            return self.missing(work, target, "not measured")
        rows = [row for row in self.results["kernels"]["kernels"] if row["type"] == "q8"]
        shares = [row["share"] for row in rows]
        self.add(work, target, f"{statistics.median(shares):.0f} % ({min(shares):.0f} to {max(shares):.0f} over {len(shares)} shapes, {rows[0]['variant']})",
                 statistics.median(shares) >= KERNEL)

    def prefill(self, precision):
        work, kind = f"prefill of {ROWS} tokens, {precision}", SET[precision]
        share, rate = self.share(precision, "lmmc", self.prefill_work(precision, "lmmc"), kind)
        self.add(work, f"{PREFILL[precision]} % of the {kind} ceiling", f"{share:.0f} % ({rate:.0f} G/s)", share >= PREFILL[precision])
        peers = self.peers(precision, "prefill")
        lossless = [row for row in peers if row[1] != "w8a8"]
        target = f"{OVER_BEST[precision]} x the best {'near-lossless peer of the same bits' if precision != 'bf16' else 'peer'}"
        if lossless:
            self.add(work, target, "; ".join(f"{ratio:.2f} x {name}" for name, _, ratio in lossless), lossless[0][2] >= OVER_BEST[precision])
        else:
            self.missing(work, target, "no peer measured")
        if precision != "bf16":
            channel = [ratio for _, weights, ratio in peers if weights == "w8a8"]
            if channel:
                self.add(work, "ahead of OpenVINO's per-channel int8", f"{channel[0]:.2f} x", channel[0] > 1)
            else:
                self.missing(work, "ahead of OpenVINO's per-channel int8", "not measured")

    def float32(self):
        work, target = "float32 through OpenBLAS, prefill end to end", f"{FLOAT32} % of OpenBLAS with its best core type"
        if "f32" not in self.results:
            return self.missing(work, target, "not measured")
        amount, times = self.prefill_work("f32", "lmmc")
        ours = [amount / t / 1e6 for t in times]
        best = max((side for side in self.results["f32"]["samples"] if side != "lmmc"), key=lambda side: self.median("f32", side, "rate"))
        share = statistics.median(100 * o / b for o, b in zip(ours, self.samples("f32", best, "rate")))
        self.add(work, target, f"{share:.0f} % ({statistics.median(ours):.0f} of {self.median('f32', best, 'rate'):.0f} GFLOP/s, {best.split()[-1]})", share >= FLOAT32)

    def decode(self, precision):
        share, rate = self.share(precision, "lmmc", self.decode_work(precision, precision), "read")
        self.add(f"decode, {precision}", f"{DECODE} % of the read bandwidth", f"{share:.0f} % ({rate:.1f} GB/s)", share >= DECODE)
        peers = [row for row in self.peers(precision, "decode_step") if row[1] != "w8a8"]
        if peers:
            self.add(f"decode, {precision}", "never behind the best peer", "; ".join(f"{ratio:.2f} x {name}" for name, _, ratio in peers), peers[0][2] >= 1)
        else:
            self.missing(f"decode, {precision}", "never behind the best peer", "no peer measured")

    def vision(self, precision):
        flops = self.models.flops("llava-stf-7b")
        times = [v + p for v, p in zip(self.samples(precision, "lmmc", "vision"), self.samples(precision, "lmmc", "project"))]
        share, rate = self.share(precision, "lmmc", (flops["vision"] + flops["projector"], times), SET[precision])
        tower, _ = self.share(precision, "lmmc", (flops["vision"], self.samples(precision, "lmmc", "vision")), SET[precision])
        others = []
        for name, result in self.results.items():
            if name.startswith(f"vision-{precision}-"):
                theirs, _ = self.share(name, "peer", (flops["vision"], self.samples(name, "peer", "vision")), SET[precision])
                others.append(f"{self.over(name, 'vision'):.2f} x {title(*name.split('-')[2:])} ({theirs:.0f} %)")
        self.add(f"tower + MBTF + STF, {precision}", f"{VISION[precision]} % of the {SET[precision]} ceiling",
                 "; ".join([f"{share:.0f} % ({rate:.0f} G/s); tower alone {tower:.0f} %"] + others), share >= VISION[precision])

    def full_first(self, name, side):
        """Milliseconds to the first token with all layers of the 7B model: the prefill grows with them, what the tower and projector take does not."""
        figures = self.results[name]["samples"][side]
        own = side.startswith("lmmc")
        rest = figures["time_to_first_token"] if own else figures["vision"]
        extra = self.to_full(name, side if own else name.split("-")[1]) - own
        return [r + extra * p for r, p in zip(rest, figures["prefill"])]

    def first(self):
        work = "time to first token, int8, 61 text tokens"
        for peer, factor in FIRST.items():
            name, target = f"first-{peer}", f"{factor} x {NAMES[peer]}'s LLaVA-1.5 {'Q8_0' if peer == 'llama' else '8-bit'}"
            result = self.results.get(name)
            if not result:
                self.missing(work, target, "not measured")
            else:
                figures, tower, note = result["samples"]["peer"], self.results.get("vision-bf16-llama-BF16"), ""
                if "vision" not in figures:  # llama.cpp's tower is measured by itself, and counts nothing where it could not be
                    alone = statistics.median(tower["samples"]["peer"]["vision"]) if tower else 0
                    figures["vision"] = [alone] * len(figures["prefill"])
                    note = "" if tower else ", its tower not counted"
                ours, theirs = (self.full_first(name, side) for side in ("lmmc", "peer"))
                ratio = statistics.median(t / o for o, t in zip(ours, theirs))
                self.add(work, target, f"{ratio:.2f} x ({statistics.median(ours):.0f} to {statistics.median(theirs):.0f} ms{self.of_layers(result)}{note})", ratio >= factor)
        if "first" in self.results:
            result = self.results["first"]
            ours, plain = (self.full_first("first", side) for side in ("lmmc", "lmmc k=1"))
            per_row = [p / PLAIN_ROWS / (o / ROWS) for o, p in zip(self.samples("first", "lmmc", "prefill"), self.samples("first", "lmmc k=1", "prefill"))]
            self.add("the same against lmmc's own k=1", "reported (by FLOPs 2.8; the paper, batch 16 on an A100: 3.3)",
                     f"{statistics.median(p / o for o, p in zip(ours, plain)):.2f} ({statistics.median(ours):.0f} to {statistics.median(plain):.0f} ms"
                     f"{self.of_layers(result)})", None)
            share = 100 * statistics.median(per_row)
            self.add(f"prefill's rate at {ROWS} tokens over that at {PLAIN_ROWS}", "85 %", f"{share:.0f} %", share >= 85)

    @staticmethod
    def of_layers(result):
        return "" if result["layers"] == FULL else f", {result['layers']} layers brought to {FULL}"

    def memory_and_start(self):
        memory, start = "peak resident memory, int8", "start to first weight touched"
        if "first" not in self.results:
            self.missing(memory, "weights + KV cache + 5 % or 256 MiB", "not measured")
            return self.missing(start, f"under {START_MS} ms", "not measured")
        layers = self.results["first"]["layers"]
        weights = self.models.info("llava-stf-7b", "int8")["sizes"]["weight_bytes"]
        needed = weights + (ROWS + 32) * layers * 2 * HIDDEN * 2  # a KV cache in bf16
        limit, peak = needed + max(needed // 20, 256 * MIB), self.median("first", "lmmc", "peak_rss")
        self.add(memory, f"weights + KV cache + 5 % or 256 MiB: {limit / MIB:.0f} MiB", f"{peak / MIB:.0f} MiB", peak <= limit)
        times = [a + b for a, b in zip(self.samples("first", "lmmc", "load"), self.samples("first", "lmmc", "info"))]
        self.add(start, f"under {START_MS} ms", f"{statistics.median(times):.1f} ms (reading the command line and prompt, plus starting and ending a process)",
                 statistics.median(times) < START_MS)

    def compile(self):
        work = "compile to int8"
        if "compile" not in self.results:
            return self.missing(work, f"twice the disk's time or {COMPILE_S} s", "not measured")
        facts, layers = self.results["compile"]["compile"], self.results["compile"]["layers"]
        disk = facts["read"] / facts["disk_read"] / 1e9 + facts["written"] / facts["disk_write"] / 1e9
        self.add(f"{work}, {layers} layers", f"twice the disk's time, {2 * disk:.0f} s, or {COMPILE_S} s",
                 f"{facts['seconds']:.1f} s ({facts['read'] / 1e9:.1f} GB at {facts['disk_read']:.1f} GB/s in, {facts['written'] / 1e9:.1f} at {facts['disk_write']:.1f} out)",
                 facts["seconds"] <= max(2 * disk, COMPILE_S))
        self.add(work, "anonymous memory under 1 GiB", f"{facts['anonymous'] / MIB:.0f} MiB, the C compilers' included", facts["anonymous"] < 1 << 30)

    def elsewhere(self):
        for work, target, where in (
                ("small widths", "logits' error at most 1.5 x llama.cpp's rounding", "`swift test --filter SmallNet`"),
                ("perplexity over f32", "bf16 +0.1 %, int8 +0.3 %; int4 no worse than Q4_K_M", "`Tools/Quality/perplexity.sh`"),
                ("example model's right answers", "int8 within 0.3 points of f32, int4 within 1", "`examples/fashion/evaluate.py`")):
            self.missing(work, target, "measured by " + where)

    def one_sequence(self):
        self.kernels()
        for precision in ("int8", "int4", "bf16"):
            if precision in self.results:
                self.prefill(precision)
        self.float32()
        for precision in ("bf16", "int8", "int4"):
            if precision in self.results:
                self.decode(precision)
        for precision in ("bf16", "int8"):
            if precision in self.results:
                self.vision(precision)
        self.first()
        self.memory_and_start()
        self.compile()
        self.elsewhere()

    # ---- all figures

    def everything(self):
        lines, values = ["| measurement | side | figure | median | least | most |", "|---|---|---|---|---|---|"], []
        for name, result in self.results.items():
            for side, figures in result.get("samples", {}).items():
                for figure, samples in figures.items():
                    values.append((name, side, figure, statistics.median(samples), min(samples), max(samples)))
            for ceiling, samples in result.get("ceilings", {}).items():
                values.append((name, "ceiling", ceiling, statistics.median(samples), min(samples), max(samples)))
            for row in result.get("kernels", []):
                values.append((name, row["variant"], f"{row['type']} {row['shape']} % of the ceiling", row["share"], row["share"], row["share"]))
        lines += [f"| {n} | {s} | {f} | {a:.4g} | {b:.4g} | {c:.4g} |" for n, s, f, a, b, c in values if f not in ("info", "load")]
        return lines, values


def tables(results, models, sequences_only=False):
    """Markdown, and comma-separated values."""
    report = Report(results, models)
    if not sequences_only:
        report.one_sequence()
    bench_sequences.rows(report)
    if not sequences_only:
        bench_serving.rows(report)
    text = [f"LLaVA-7B's true widths with random weights, {models.layers} of {FULL} decoder layers; {machine()}; " + dates(results), ""]
    text += ["| work | target | measured | reached |", "|---|---|---|---|"]
    text += [f"| {work} | {target} | {measured} | {'-' if reached is None else 'yes' if reached else '**no**'} |" for work, target, measured, reached in report.rows]
    text += bench_sequences.table(results)
    lines, values = report.everything()
    text += ["", "Times are milliseconds, bandwidth GB/s, ceilings 1e9 operations a second.", ""] + lines
    quote = lambda word: '"' + str(word).replace('"', '""') + '"'
    csv = ["kind,name,side,figure,target,value,least,most,reached"]
    csv += [",".join(["target", quote(w), "", "", quote(t), quote(m), "", "", "" if r is None else "yes" if r else "no"]) for w, t, m, r in report.rows]
    csv += [",".join(["figure", quote(n), quote(s), quote(f), "", str(a), str(b), str(c), ""]) for n, s, f, a, b, c in values]
    return "\n".join(text), "\n".join(csv) + "\n"


def machine():
    return f"{cpu_facts().get('model name', 'a CPU')}, {os.cpu_count()} CPUs, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB"


def kind():
    """What is common to CPUs that kernels run alike on; the model's name where that is not known here."""
    cpu = cpu_facts()
    family, model = int(cpu.get("cpu family", 0)), int(cpu.get("model", 0)) if cpu.get("model", "").isdigit() else 0
    if cpu.get("vendor_id") != "AuthenticAMD":
        return cpu.get("model name", os.uname().machine)
    # AMD's: Zen 3 and 4 share a family, of which these models are Zen 4.
    if family == 25:
        return "AMD Zen 4" if 0x10 <= model <= 0x1F or 0x60 <= model <= 0x7F or 0xA0 <= model <= 0xAF else "AMD Zen 3"
    return {23: "AMD Zen or Zen 2", 26: "AMD Zen 5"}.get(family, cpu.get("model name", "AMD"))


def page_name(isa):
    words = "".join(c if c.isalnum() else " " for c in f"{kind()} {isa or ''}").lower().split()
    return "-".join(words) + ".md"


NOTES = "\n## Notes\n"


def page(text, isa, before):
    """A page of Docs/Performance: the tables without what was not measured, and the notes of the page before."""
    if before and NOTES not in before:
        sys.exit("error: the page that is there has no line '## Notes'; expected it before what is to stay")
    cpu, level = cpu_facts(), f", at {isa}" if isa else ""
    named = f" (family {cpu['cpu family']}, model {cpu['model']})" if "cpu family" in cpu else ""
    text = "\n".join(line for line in text.splitlines() if not line.endswith("| - |") or "measured" not in line)
    how = f"Tests/bench.sh --layers N{f' --isa {isa}' if isa else ''} --llama DIR --page Docs/Performance"
    return f"# {kind()}{level}\n\nMade by `{how}`{named}; [how it is measured](../Performance.md).\n\n{text}\n" + NOTES + before.partition(NOTES)[2]


def dates(results):
    days = sorted({result["date"] for result in results.values()})
    runs = sorted({result["runs"] for result in results.values()})
    return f"{days[0]} to {days[-1]}, medians of {' or '.join(map(str, runs))} turns" if days else "nothing measured"
