"""A server that many ask at once: what bench.py measures of it, and its rows among the targets.

Clients send prompts of as many random tokens by each side's own tokenizer, none of which begins as another beyond a few letters, and ask for as many tokens each; so nobody has anything from
another request. A turn starts a server, has each client ask once, and takes the time of the requests that follow."""
import concurrent.futures
import contextlib
import http.client
import json
import random
import socket
import statistics
import string
import subprocess
import sys
import time

from bench_models import ENVIRONMENT
from bench_sequences import Ratio
from bench_sides import pinned

CLIENTS, REQUESTS, PROMPT, ANSWER = 16, 2, 64, 64  # requests of each client; tokens of a prompt and of an answer
SLACK = 4  # tokens by which prompts may differ, since letters join
CONTEXT = 256  # tokens that a slot has room for
TURNS = 5
OVER_PEER, HEALTH = 3, 50  # times llama-server's rate; milliseconds
END = 2  # the token that would end an answer


def ask(port, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status != 200:
        sys.exit(f"error: {path} has status {response.status}: {text[:300]!r}")
    return json.loads(text)


@contextlib.contextmanager
def serving(command, threads):
    """A server on a port of its own, until it has answered that it is well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([str(part).replace("PORT", str(port)) for part in command], env={**ENVIRONMENT, **pinned(threads)},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            time.sleep(0.1)
            if process.poll() is not None:
                sys.exit(f"error: '{command[0]}' ended with {process.returncode}")
            with contextlib.suppress(OSError, SystemExit):  # it is not there yet, or reads its weights
                ask(port, "/health")
                break
        else:
            sys.exit(f"error: '{command[0]}' was not well within a minute")
        yield port
    finally:
        process.terminate()
        process.wait()


def prompt_of(port, seed):
    """A text of PROMPT tokens less the one that begins it."""
    letters = "".join(random.Random(seed).choices(string.ascii_lowercase + " ", k=8 * PROMPT))
    low, high = 1, len(letters)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(ask(port, "/tokenize", {"content": letters[:middle]})["tokens"]) < PROMPT else (low, middle - 1)
    return letters[:low]


def complete(port, prompts):
    """One client's requests, one behind the other."""
    for prompt in prompts:
        usage = ask(port, "/v1/completions", {"prompt": prompt, "max_tokens": ANSWER, "temperature": 0, "logit_bias": {str(END): -100}})["usage"]
        if abs(usage["prompt_tokens"] - PROMPT) > SLACK or usage["completion_tokens"] != ANSWER:
            sys.exit(f"error: a request had {usage}, not {PROMPT} and {ANSWER} tokens")


def watch(port, is_over):
    """The longest time that /health took, in milliseconds, asked every 20."""
    longest = 0
    while not is_over():
        begin = time.perf_counter()
        ask(port, "/health")
        longest = max(longest, time.perf_counter() - begin)
        time.sleep(0.02)
    return longest * 1e3


def answer_all(command, threads):
    """Milliseconds of all requests of all clients, and the longest /health among them."""
    with serving(command, threads) as port, concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
        prompts = [[prompt_of(port, client * 100 + i) for i in range(REQUESTS + 1)] for client in range(CLIENTS)]
        list(pool.map(lambda own: complete(port, own[:1]), prompts))
        begin = time.perf_counter()
        asked = [pool.submit(complete, port, own[1:]) for own in prompts]
        health = pool.submit(watch, port, lambda: all(one.done() for one in asked))
        for one in asked:
            one.result()
        seconds = time.perf_counter() - begin
        return {"all": seconds * 1e3, "health": health.result()}


def measurements(bench):
    """By name, as Bench.measurements()."""
    models = bench.models
    server = models.llama_tool("llama-server")
    own = lambda: [models.slots(CLIENTS, CONTEXT), "--serve", "127.0.0.1:PORT"]
    peer = lambda: [server, "-m", models.gguf("Q8_0", models.slot_layers()), "--port", "PORT", "-np", CLIENTS, "-c", CLIENTS * CONTEXT,
                    "-t", bench.threads, "-tb", bench.threads]
    sides = {"lmmc": own} | ({"peer": peer} if server else {})
    runs = bench.options.runs or TURNS
    turn = lambda side: lambda: answer_all(side(), bench.threads)
    return {"serving": (lambda: [side() for side in sides.values()], lambda: {
        **bench.turns({name: turn(side) for name, side in sides.items()}, runs, limits=False), "runs": runs, "layers": models.slot_layers()})}


def rows(report):
    """Adds the rows to the table of targets."""
    samples = report.results.get("serving", {}).get("samples", {})
    work = f"{CLIENTS} clients of a server, int8"
    own, peer = samples.get("lmmc"), samples.get("peer")
    if not own:
        return report.missing(work, f"{OVER_PEER} x llama-server's tokens/s", "not measured")
    rate = lambda side: CLIENTS * REQUESTS * ANSWER * 1e3 / statistics.median(side["all"])
    if peer:
        ratio = Ratio(peer["all"], own["all"])
        report.add(work, f"{OVER_PEER} x llama-server's tokens/s (Q8_0)", f"{ratio.text()}: {rate(own):.0f} and {rate(peer):.0f} tokens/s",
                   ratio.most >= OVER_PEER)
    else:
        report.missing(work, f"{OVER_PEER} x llama-server's tokens/s (Q8_0)", f"{rate(own):.0f} tokens/s, no llama-server")
    report.add("/health meanwhile", f"at most {HEALTH} ms", f"{max(own['health']):.1f} ms", max(own["health"]) <= HEALTH)
