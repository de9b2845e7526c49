#!/usr/bin/env python3
"""Reads the inner loops of the packed products by llvm-mca's models of CPUs that are not at hand, and prints a table in Markdown.

    kernel_models.py [--kernel PATTERN] [--model PATTERN] [--mca llvm-mca-19]

For each kernel and model: the cycles that the model gives a multiplying instruction of the loop, what share that is of the rate at which it would
issue such instructions with nothing between them, and what it says binds the loop: a unit of the CPU, or the latency of sums that wait for one
another. Every read is taken to hit the first cache. The models are rough, and an older llvm takes some from another CPU (the units' names say which): they rank tiles and say what binds one; a machine, where there is one,
decides. Needs llvm-mca (Debian: llvm-19, the older llvm knows fewer models), gcc, and for 64-bit ARM gcc-aarch64-linux-gnu."""
import argparse
import fnmatch
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "Runtime/kernels/product"
FIRST = 22  # the newest llvm-mca that is looked for, and the oldest
LAST = 14
TURNS = 100  # of a loop in a model

AVX2 = ["haswell", "skylake", "alderlake", "gracemont", "znver2", "znver3", "znver4", "znver5"]
AVX512 = ["skylake-avx512", "icelake-server", "znver4", "znver5"]
DOTS = ["cortex-a55", "cortex-a76", "cortex-a78", "neoverse-n1", "neoverse-v1"]
# File, functions, models, and the instruction that multiplies, as it stands in a loop of nothing else; {0} is a register of its own.
KERNELS = [
    ("x86_64/int_avx2.c", ["tile_wide_6", "tile_q4_6", "stream_q8_1", "stream_q4_1"], AVX2, "vpmaddubsw %ymm14, %ymm15, %ymm{0}"),
    ("x86_64/bf16_avx2.c", ["tile_6", "stream_1"], AVX2, "vfmadd231ps %ymm14, %ymm15, %ymm{0}"),
    ("x86_64/int_avxvnni.c", ["tile_q8_6", "stream_q8_1"], ["alderlake", "gracemont"], "{{vex}} vpdpbusd %ymm14, %ymm15, %ymm{0}"),
    ("x86_64/int_avx512.c", ["tile_q8_8", "tile_q4_6", "stream_q8_1", "stream_q4_1"], AVX512, "vpmaddubsw %zmm14, %zmm15, %zmm{0}"),
    ("x86_64/bf16_avx512.c", ["tile_12", "stream_1"], AVX512, "vfmadd231ps %zmm14, %zmm15, %zmm{0}"),
    ("x86_64/q8_avx512vnni.c", ["tile_6", "stream_1", "stream_6"], AVX512[1:], "vpdpbusd %zmm14, %zmm15, %zmm{0}"),
    ("x86_64/q4_avx512vnni.c", ["stream_1", "stream_6"], AVX512[1:], "vpdpbusd %zmm14, %zmm15, %zmm{0}"),
    ("x86_64/bf16_avx512bf16.c", ["tile_7", "stream_1"], AVX512[2:], "vdpbf16ps %zmm14, %zmm15, %zmm{0}"),
    ("arm64/int_neon.c", ["tile_q8_*", "stream_q8_1"], ["cortex-a55", "cortex-a72"], "smlal v{0}.8h, v14.8b, v15.8b"),
    ("arm64/int_dotprod.c", ["tile_q8_*", "stream_q8_1"], DOTS, "sdot v{0}.4s, v14.16b, v15.16b"),
    ("arm64/int_i8mm.c", ["*tile*_8", "*tile*_6", "stream*_1"], ["neoverse-v1"], "smmla v{0}.4s, v14.16b, v15.16b"),
    ("arm64/bf16_neon.c", ["tile_*", "stream_1"], ["cortex-a55", "cortex-a72", "cortex-a76"], "fmla v{0}.4s, v14.4s, v15.4s"),
    ("arm64/bf16_bfdot.c", ["tile_*", "stream_1"], ["neoverse-v1"], "bfdot v{0}.4s, v14.8h, v15.8h"),
]
# Other names of what multiplies, by the one above.
SAME = {"vpmaddubsw": {"vpmaddubsw", "vpmaddwd"}, "smlal": {"smlal", "smlal2", "smull", "smull2"}, "smmla": {"smmla", "usmmla", "ummla"},
        "sdot": {"sdot", "udot"}}


def find_mca():
    for name in [f"llvm-mca-{version}" for version in range(FIRST, LAST - 1, -1)] + ["llvm-mca"]:
        if shutil.which(name):
            return name
    sys.exit("error: there is no llvm-mca; expected Debian's llvm-19, or --mca NAME")


def functions(source, folder):
    """The lines of each function of a file, as assembly."""
    is_arm = source.startswith("arm64")
    compiler = "aarch64-linux-gnu-gcc" if is_arm else "gcc"
    out = folder / "kernel.s"
    subprocess.run([compiler, "-std=gnu11", "-O3", "-fopenmp", f"-I{ROOT / 'Runtime'}", "-S", PRODUCT / source, "-o", out], check=True)
    found, name = {}, None
    for line in out.read_text().splitlines():
        if label := re.match(r"([A-Za-z_]\w*):", line):
            name = label.group(1)
            found[name] = []
        elif name and (re.match(r"\.L\w+:", line) or (line.startswith("\t") and not line.startswith("\t."))):
            found[name].append(line.strip())
    return found


def mnemonic(line):
    words = line.replace("{vex}", "").split()
    return words[0] if words else ""


def inner_loop(lines, multiply):
    """The loop without another in it that multiplies most; it has no labels and no jumps."""
    places = {line[:-1]: at for at, line in enumerate(lines) if line.endswith(":")}
    loops = []
    for at, line in enumerate(lines):
        target = line.split()[-1]
        if re.match(r"(j[a-z]+|b\.?[a-z]*|cbn?z)\s", line) and places.get(target, len(lines)) < at:
            loops.append((places[target], at))
    inner = [(a, b) for a, b in loops if not any((a, b) != (c, d) and a <= c and d <= b for c, d in loops)]
    bodies = [[x for x in lines[a:b] if not x.endswith(":") and not re.match(r"(j|b\.|cb)", x)] for a, b in inner]
    count = lambda body: sum(mnemonic(x) in SAME.get(multiply, {multiply}) for x in body)
    best = max(bodies, key=count, default=[])
    return best, count(best)


def model(mca, lines, cpu, is_arm):
    """Cycles of a turn, and the busiest unit with its cycles; None where the model or an instruction is not known."""
    command = [mca, f"-mcpu={cpu}", f"-iterations={TURNS}", "-resource-pressure", *(["-mtriple=aarch64"] if is_arm else [])]
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True)
    cycles = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if done.returncode or not cycles or "is not a recognized processor" in done.stderr:
        return None
    units = dict(re.findall(r"^\[(\d+(?:\.\d+)?)\]\s+- (.+)$", done.stdout, re.M))
    rows = done.stdout.split("Resource pressure per iteration:")[1].splitlines()
    names, busy = rows[1].split(), rows[2].split()
    pressure = {units.get(name.strip("[]"), name): float(value) for name, value in zip(names, busy) if value != "-"}
    unit = max(pressure, key=pressure.get)
    return int(cycles.group(1)) / TURNS, unit, pressure[unit]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="*", help="of the names in the first column")
    parser.add_argument("--model", default="*")
    parser.add_argument("--mca")
    options = parser.parse_args()
    mca = options.mca or find_mca()
    if not shutil.which(mca):
        sys.exit(f"error: there is no '{mca}'; expected Debian's llvm-19, or --mca NAME")
    version = subprocess.run([mca, "--version"], capture_output=True, text=True).stdout.split("version")[1].split()[0]
    print(f"LLVM {version}\n")
    print("| kernel | model | cycles a multiply | of the model's rate | bound by |\n|---|---|---|---|---|")
    left_out = set()
    with tempfile.TemporaryDirectory() as folder:
        for source, wanted, models, peak in KERNELS:
            is_arm, multiply = source.startswith("arm64"), mnemonic(peak.format(0))
            if is_arm and not shutil.which("aarch64-linux-gnu-gcc"):
                left_out.add("64-bit ARM, for which there is no aarch64-linux-gnu-gcc")
                continue
            code = functions(source, pathlib.Path(folder))
            alone = {cpu: model(mca, [peak.format(r) for r in range(12)], cpu, is_arm) for cpu in fnmatch.filter(models, options.model)}
            for name in [n for n in code if any(fnmatch.fnmatch(n, w) for w in wanted)]:
                title = f"{pathlib.Path(source).stem} {name}"
                body, count = inner_loop(code[name], multiply)
                if count == 0 or not fnmatch.fnmatch(title, options.kernel):
                    continue
                for cpu, peaks in alone.items():
                    whole = model(mca, body, cpu, is_arm)
                    if not peaks or not whole:
                        left_out.add(cpu)
                        continue
                    cycles, unit, busy = whole
                    bound = f"{unit}, {100 * busy / cycles:.0f} % busy" + ("" if busy > 0.9 * cycles else ": latency or issue")
                    print(f"| {title} | {cpu} | {cycles / count:.2f} | {100 * (peaks[0] / 12) / (cycles / count):.0f} % | {bound} |", flush=True)
    if left_out:
        print(f"\nLeft out, as {mca} does not know them: {', '.join(sorted(left_out))}.")


if __name__ == "__main__":
    main()
