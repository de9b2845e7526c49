"""Decode of several sequences together: what bench.py measures of it, and its rows among the targets.

Few decoder layers stand for 32, on both sides of every ratio. The sides alternate, and a target is met if the 95 % interval of the turns' median reaches it."""
import dataclasses
import random
import statistics

from bench_models import Models, cpu_facts
from bench_sides import forget, llama_together, run_together

WIDTHS = (1, 2, 4, 8, 16, 32)  # sequences
SLOTS, MOST, PROMPTS = 8, 32, 4  # slots of the programs beside that of one
ROWS, CONTEXT, LONG_CONTEXT = 205, 256, 1024  # of a prompt; of a slot, and where one prompt is as long as PROMPTS of them
STEPS, WIDE_STEPS, ALONE_STEPS = 8, 4, 16  # of up to 8 sequences, of more, and of one where 1 % counts
TURNS, TABLE_TURNS = 21, 5
PEER, OTHER_PEER = "Q8_0", "Q4_K_M"  # llama.cpp's weights
# Targets: times one sequence; steps of one sequence; times llama.cpp's Q8_0 with 16; of the int8 ceiling; of the other side.
OVER_ONE, TWO, OVER_PEER, CEILING = {4: 3.6, 8: 6.5}, 1.05, 4, 0.65
SLOT, BEFORE, PREFILL = 0.99, 0.99, 0.98
DRAWS = 10_000


def sixteen():
    """How many times one sequence's rate 16 are to have: arithmetic bounds them, of which Zen 5 does more at a time."""
    facts = cpu_facts()
    return 10 if facts.get("vendor_id") == "AuthenticAMD" and facts.get("cpu family") == "26" else 8


# ---- what is measured

@dataclasses.dataclass
class Own:
    """A side: so many sequences in a program of so many slots. `anew`: before each turn the page cache drops the program."""
    models: Models
    slots: int
    sequences: int
    steps: int
    context: int = CONTEXT
    lmmc: str | None = None
    anew: bool = False

    def file(self):
        return self.models.slots(self.slots, self.context, self.lmmc)

    def __call__(self):
        if self.anew:
            forget(self.file())
        return run_together(self.file(), self.sequences, ROWS, self.steps)


@dataclasses.dataclass
class Peer:
    models: Models
    threads: int
    weights: str
    sequences: int
    steps: int

    def file(self):
        return self.models.gguf(self.weights, self.models.slot_layers())

    def __call__(self):
        return llama_together(self.file(), self.models.llama_tool("llama-batched-bench"), self.threads, self.sequences, ROWS, self.steps)


def measurements(bench, before=None):
    """By name, as Bench.measurements(); `before` is an older compiler."""
    models, result = bench.models, {}
    has_peer = models.llama_tool("llama-batched-bench") is not None

    def steps(n):
        return STEPS if n <= 8 else WIDE_STEPS

    def own(n):
        return Own(models, MOST if n > 1 else 1, n, steps(n))

    def peers(n, *weights):
        return {w: Peer(models, bench.threads, w, n, steps(n)) for w in weights if has_peer}

    def add(name, sides, turns=TURNS, limits=False):
        runs = bench.options.runs or turns
        result["sequences-" + name] = (lambda: [side.file() for side in sides.values()]), lambda: {
            **bench.turns(sides, runs, limits), "runs": runs, "layers": models.slot_layers()}

    for n in WIDTHS[1:-1]:
        add(str(n), {"one": dataclasses.replace(own(1), steps=steps(n)), "lmmc": own(n)} | (peers(n, PEER) if n == 16 else {}))
    add(str(MOST), {"lmmc": own(MOST)}, limits=True)
    add("prefill", {"lmmc": Own(models, PROMPTS, PROMPTS, 1, LONG_CONTEXT)})
    one = Own(models, 1, 1, ALONE_STEPS, anew=True)
    add("slots", {"one": one, "lmmc": dataclasses.replace(one, slots=SLOTS)})
    if before:
        add("before", {"before": dataclasses.replace(one, lmmc=before), "lmmc": one})
    add("table", {f"{kind} {n}": side for n in WIDTHS for kind, side in ({"lmmc": own(n)} | peers(n, PEER, OTHER_PEER)).items()}, TABLE_TURNS)
    return result


# ---- what is reported

def interval(values):
    """The 95 % bootstrap interval of the values' median."""
    source = random.Random(1)
    medians = sorted(statistics.median(source.choices(values, k=len(values))) for _ in range(DRAWS))
    return medians[round(0.025 * DRAWS)], medians[round(0.975 * DRAWS) - 1]


class Ratio:
    """The median of the turns' ratios of two sides that alternated, and its interval."""

    def __init__(self, over, under):
        ratios = [a / b for a, b in zip(over, under, strict=True)]
        self.median, (self.least, self.most) = statistics.median(ratios), interval(ratios)

    def text(self, unit="x"):
        if unit == "%":
            return f"{100 * self.median:.1f} % ({100 * self.least:.1f} to {100 * self.most:.1f})"
        return f"{self.median:.3f} {unit} ({self.least:.3f} to {self.most:.3f})"


def of_sequences(results):
    return {name.removeprefix("sequences-"): result for name, result in results.items() if name.startswith("sequences-")}


def rows(report):
    """Adds the rows to the table of targets."""
    results = of_sequences(report.results)

    def samples(name, side="lmmc", figure="decode_step"):
        return results.get(name, {}).get("samples", {}).get(side, {}).get(figure)

    def add(work, target, over, under, reached, unit="x"):
        """A row of the report, from two sides' milliseconds."""
        if over and under:
            ratio = Ratio(over, under)
            report.add(work, target, ratio.text(unit), reached(ratio))
        else:
            report.missing(work, target, "not measured")

    def at_least(factor):
        return lambda ratio: ratio.most >= factor

    def work(n):
        return f"decode of {n} sequences, int8"

    add(work(2), f"at most {TWO} x one sequence's step", samples("2"), samples("2", "one"), lambda ratio: ratio.least <= TWO)
    for n, factor in {**OVER_ONE, 16: sixteen()}.items():
        add(work(n), f"{factor} x the tokens/s of one", [n * t for t in samples(str(n), "one") or ()], samples(str(n)), at_least(factor))
    add(work(16), f"{OVER_PEER} x llama.cpp {PEER} with 16", samples("16", PEER), samples("16"), at_least(OVER_PEER))
    add(work(MOST), f"{100 * CEILING:.0f} % of the int8 ceiling (the head, in bf16, of bf16's)", ideal(report, results.get(str(MOST))), samples(str(MOST)),
        at_least(CEILING), "%")
    add(f"decode of one sequence in a program of {SLOTS} slots", f"{SLOT} x that in a program of one slot", samples("slots", "one"), samples("slots"),
        at_least(SLOT))
    add("decode of one sequence", f"{BEFORE} x that of the program by the compiler before", samples("before", "before"), samples("before"), at_least(BEFORE))
    add(f"prefill of {PROMPTS} prompts in one call", f"{PREFILL} x the rate of one prompt of as many rows", samples("prefill", figure="prefill_long"),
        samples("prefill", figure="prefill_together"), at_least(PREFILL))


def ideal(report, result):
    """Milliseconds of a step's products with MOST sequences at the ceilings of their types, turn by turn."""
    if not result:
        return None
    layers, head = report.step_products(result["layers"])
    return [2 * MOST * (layers / int8 + head / bf16) / 1e6 for int8, bf16 in zip(result["ceilings"]["int8"], result["ceilings"]["bf16"])]


def table(results):
    """Tokens/s of all sequences together by their number, in Markdown; no lines where nothing was measured."""
    result = of_sequences(results).get("table")
    if not result:
        return []
    lines = ["", f"Tokens/s of all sequences together, {result['layers']} layers, {ROWS} rows of prompt in each, medians of {result['runs']} turns:", "",
             "| sequences | " + " | ".join(map(str, WIDTHS)) + " |", "|---" * (1 + len(WIDTHS)) + "|"]
    for kind, title in {"lmmc": "lmmc int8", PEER: f"llama.cpp {PEER}", OTHER_PEER: f"llama.cpp {OTHER_PEER}"}.items():
        sides = [result["samples"].get(f"{kind} {n}") for n in WIDTHS]
        if all(sides):
            rates = [n * 1e3 / statistics.median(side["decode_step"]) for n, side in zip(WIDTHS, sides)]
            lines.append(f"| {title} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |")
    return lines
