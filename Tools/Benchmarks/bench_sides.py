"""What bench.py runs in turn: each function runs one side once and gives its figures, times in milliseconds."""
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import time

from bench_models import ENVIRONMENT, ROOT, output

IMAGE = ROOT / "Tests/Golden/images/photo.jpg"
TEXT_TOKENS = 61


def pinned(threads):
    return {"OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "true", "OMP_PLACES": "cores"}


def ceilings(models, threads, isa):
    line = models.kernels("--threads", threads, "--ceilings", *isa)
    return {name: float(re.search(name + r" ([0-9.]+)", line).group(1)) for name in ("int8", "bf16", "read")}


# ---- lmmc

def run_warm(program, rows, steps):
    """A prompt of `rows` tokens, the image's included, and `steps` more, in a process that has done so once before."""
    result = json.loads(output(program, "--bench", "--runs", 1, "--image", IMAGE, "--raw-prompt", "<image>What?", "--prompt-tokens", rows,
                               "--max-tokens", steps, "--json"))
    return {name: result[name]["median"] for name in ("vision", "project", "prefill", "time_to_first_token", "decode_step")} | {
        "peak_rss": result["peak_rss_bytes"]}


def sixty_one_tokens(program, cache={}):
    """A prompt whose text has TEXT_TOKENS tokens, BOS included."""
    if program not in cache:
        text = ""
        for word in ("what is the person in the picture holding and " * TEXT_TOKENS).split():
            for letter in word + " ":
                longer = text + letter
                if len(json.loads(output(program, "--tokenize", longer))) > TEXT_TOKENS - 1:
                    break
                text = longer
            else:
                continue
            break
        cache[program] = text
    return "<image>" + cache[program]


def run_fresh(program, steps):
    """An answer from a process of its own, as a user sees it; the page cache is warm."""
    prompt = sixty_one_tokens(program)
    begin = time.perf_counter()
    output(program, "--info")
    started = time.perf_counter()
    result = json.loads(output(program, "--image", IMAGE, "--raw-prompt", prompt, "--max-tokens", steps, "--json"))
    if result["prompt_tokens"] != TEXT_TOKENS:
        sys.exit(f"error: the prompt has {result['prompt_tokens']} text tokens, not {TEXT_TOKENS}")
    times = result["timings"]
    return {**{name: times[name] for name in ("load", "vision", "project", "prefill", "time_to_first_token")}, "info": (started - begin) * 1e3,
            "peak_rss": result["peak_rss_bytes"]}


def run_together(program, sequences, rows, steps):
    """A token for each of so many sequences behind a prompt of `rows` tokens (`decode_step`), and where there are several and the context has room, a prefill of
    all their prompts in one call and of one as long, in a process that has done so once before."""
    several = ["--sequences", sequences] if sequences > 1 else []  # what older programs lack
    result = json.loads(output(program, "--bench", *several, "--runs", 1, "--raw-prompt", "What?", "--prompt-tokens", rows, "--max-tokens", steps, "--json"))
    figures = {name: result.get(name, {"median": 0})["median"] for name in ("decode_step", "prefill_together", "prefill_long")}
    return {name: value for name, value in figures.items() if value > 0}


def forget(path):
    """Lets the page cache drop a file, so that other pages of memory, faster or slower ones, hold it next time."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def anonymous(pid):
    """Bytes of anonymous memory of a process and all below it."""
    total = 0
    try:
        with open(f"/proc/{pid}/status") as status:
            total = int(re.search(r"RssAnon:\s+(\d+)", status.read()).group(1)) * 1024
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as children:
                total += sum(anonymous(child) for child in children.read().split())
    except (OSError, AttributeError):
        pass  # it has ended
    return total


def disk_rate(path, count, write):
    """GB/s of `count` bytes around the page cache."""
    buffer = mmap.mmap(-1, 1 << 24)
    file = os.open(path, (os.O_WRONLY | os.O_CREAT if write else os.O_RDONLY) | os.O_DIRECT)
    begin, done = time.perf_counter(), 0
    while done < count:
        step = os.write(file, buffer) if write else os.readv(file, [buffer])
        if step == 0:
            break
        done += step
    os.close(file)
    return done / (time.perf_counter() - begin) / 1e9


def compile_once(models):
    """Compiles to int8 anew; seconds, bytes in and out, the disk's speed, and the most anonymous memory, its C compilers' included."""
    source, target = models.checkpoint("llava-stf-7b"), models.folder / "compiled"
    weights = max(source.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    begin = time.perf_counter()
    process = subprocess.Popen([models.lmmc, "compile", source, "-o", target, "--quiet"], env=ENVIRONMENT)
    most = 0
    while process.poll() is None:
        most = max(most, anonymous(process.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - begin
    if process.returncode != 0:
        sys.exit("error: the compilation failed")
    result = {"seconds": seconds, "anonymous": most, "read": sum(path.stat().st_size for path in source.glob("*.safetensors")), "written": target.stat().st_size}
    target.unlink()
    result["disk_read"] = disk_rate(weights, 1 << 30, False)
    result["disk_write"] = disk_rate(target, 1 << 30, True)
    target.unlink()
    return result


# ---- peers

class Server:
    """A peer that builds once and then answers (peer_serve.py). It is stopped between answers: its waiting threads would take lmmc's time."""

    def __init__(self, command, threads):
        self.process = subprocess.Popen([str(part) for part in command], env={**ENVIRONMENT, **pinned(threads)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.line()
        self.process.send_signal(signal.SIGSTOP)

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: '{' '.join(map(str, self.process.args))}' ended: {self.process.stderr.read().strip()[-2000:]}")
        return line

    def ask(self, *words):
        """Milliseconds of the second time of two, as lmmc's program and llama-bench warm up too."""
        self.process.send_signal(signal.SIGCONT)
        for _ in range(2):
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()
            seconds = float(self.line())
        self.process.send_signal(signal.SIGSTOP)
        return seconds * 1e3

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


def llama_bench(models, weights, threads, rows, steps):
    tests = json.loads(output(models.llama_tool("llama-bench"), "-m", models.gguf(weights), "-t", threads, "-r", 1, "-p", rows, "-n", steps, "-o", "json",
                              **pinned(threads)))
    return {"decode_step" if test["n_gen"] else "prefill": (1 if test["n_gen"] else rows) / test["avg_ts"] * 1e3 for test in tests}


def llama_together(model, tool, threads, sequences, rows, steps):
    """A token for each of so many sequences, of which each has its copy of one prompt's keys and values."""
    slot = (rows + steps + 255) // 256 * 256  # it gives out contexts by 256
    lines = output(tool, "-m", model, "-t", threads, "-tb", threads, "-c", slot * sequences, "-npp", rows, "-ntg", steps, "-npl", sequences, "-pps",
                   "--output-format", "jsonl", **pinned(threads)).splitlines()
    results = [json.loads(line) for line in lines if line.startswith("{")]
    if [(result["pl"], result["tg"]) for result in results] != [(sequences, steps)]:
        sys.exit(f"error: llama-batched-bench measured {results}, not {steps} steps of {sequences} sequences")
    return {"decode_step": results[0]["t_tg"] / steps * 1e3}


def llama_tower(models, threads):
    """One image through tower and projector; fails where the tool tells no time within a minute."""
    tower, decoder = models.peer_tower("llama", "BF16")
    command = [models.llama_tool("llama-mtmd-cli"), "-m", decoder, "--mmproj", tower, "--image", IMAGE, "-p", "?", "-n", "1", "-t", str(threads),
               "--chat-template", "vicuna", "-v"]
    try:
        done = subprocess.run(command, env={**ENVIRONMENT, **pinned(threads)}, capture_output=True, text=True, timeout=60)
        found = re.search(r"(?:slice encoded|encoding done) in (\d+) ms", done.stdout + done.stderr)
    except subprocess.TimeoutExpired:
        found = None
    if not found:
        sys.exit("error: llama-mtmd-cli tells no time of the tower")
    return float(found.group(1))


def openblas(program, core, rows, threads):
    """GFLOP/s; None where OpenBLAS lacks this core type."""
    rate, name = output(program, rows, OPENBLAS_CORETYPE=core, **pinned(threads)).split()
    return float(rate) if name.lower() == core.lower() else None
