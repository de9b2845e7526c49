#!/usr/bin/env python3
"""Asks a server from many clients at once for some time, and says how it took it.

    load.py http://127.0.0.1:8080 --clients 16 --seconds 600 --pid $(pidof answer) --image picture.png

Each client asks one question after another over a connection of its own, as fast as it is answered. Questions repeat, and an answer
that is not that of the first who asked the same is an error, as is any status but 200 and 503. The report has the latencies of the first
token and of all of an answer, what the server answered a second, how alike the clients were served, and how its memory and CPU time grew.
The exit code is 1 where something was wrong. Python's standard library is all that it needs.
"""
import argparse
import base64
import collections
import http.client
import json
import mimetypes
import os
import random
import socket
import sys
import threading
import time
import urllib.parse

PROMPTS = [
    "What do you see?",
    "Name the items from the left to the right.",
    "How many are there?",
    "Which of them stands out the most, and why?",
]


class Connection(http.client.HTTPConnection):
    """To http://HOST:PORT or unix:PATH."""

    def __init__(self, address, timeout):
        self.path = address[5:] if address.startswith("unix:") else None
        place = "localhost" if self.path else urllib.parse.urlsplit(address).netloc
        super().__init__(place, timeout=timeout)

    def connect(self):
        if not self.path:
            super().connect()
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Results:
    def __init__(self):
        self.lock = threading.Lock()
        self.statuses, self.faults = collections.Counter(), collections.Counter()
        self.first, self.total, self.waits = [], [], collections.defaultdict(list)
        self.answers, self.tokens, self.gone, self.compared = {}, 0, 0, 0


def openai_body(options, question):
    content = [{"type": "text", "text": question["prompt"]}]
    if question["image"]:
        content.append({"type": "image_url", "image_url": {"url": question["image"][0] + question["image"][1]}})
    return {
        "model": options.model, "messages": [{"role": "user", "content": content}],
        "stream": True, "stream_options": {"include_usage": True},
        "max_tokens": options.max_tokens, "temperature": options.temperature, "seed": question["seed"],
    }


def openai_part(line):
    """The text, the number of tokens where it is told, and whether this is the end."""
    if not line.startswith(b"data:"):
        return "", 0, False
    if line[5:].strip() == b"[DONE]":
        return "", 0, True
    part = json.loads(line[5:])
    if "error" in part:
        raise ValueError(part["error"])
    text = "".join(c["delta"].get("content") or "" for c in part.get("choices", []))
    return text, (part.get("usage") or {}).get("completion_tokens", 0), False


def ollama_body(options, question):
    message = {"role": "user", "content": question["prompt"]}
    if question["image"]:
        message["images"] = [question["image"][1]]
    return {
        "model": options.model, "messages": [message], "stream": True,
        "options": {"num_predict": options.max_tokens, "temperature": options.temperature, "seed": question["seed"]},
    }


def ollama_part(line):
    part = json.loads(line)
    if "error" in part:
        raise ValueError(part["error"])
    return part["message"]["content"], part.get("eval_count", 0), part["done"]


FORMATS = {"openai": ("/v1/chat/completions", openai_body, openai_part), "ollama": ("/api/chat", ollama_body, ollama_part)}


class Client(threading.Thread):
    def __init__(self, number, options, questions, results, end):
        super().__init__(daemon=True)
        self.number, self.options, self.questions, self.results, self.end = number, options, questions, results, end
        self.random = random.Random(number)
        self.connection = None

    def ask(self, question):
        path, make_body, read_part = FORMATS[self.options.api]
        headers = {"Content-Type": "application/json"}
        if self.options.key:
            headers["Authorization"] = "Bearer " + self.options.key
        if not self.connection:
            self.connection = Connection(self.options.address, self.options.timeout)
        began = time.monotonic()
        self.connection.request("POST", path, json.dumps(make_body(self.options, question)), headers)
        response = self.connection.getresponse()
        with self.results.lock:
            self.results.statuses[response.status] += 1
        if response.status != 200:
            response.read()
            if response.status == 503:
                wait = response.getheader("Retry-After")
                if wait is None:
                    raise ValueError("a 503 without Retry-After")
                time.sleep(min(float(wait), max(0, self.end - time.monotonic())) * self.random.uniform(0.5, 1))
            return
        first, data, seen = None, b"", 0
        leaves = self.random.random() < self.options.leave
        # Lines are read when all are there, but for those up to the first text: a client that reads each keeps the others of this process from
        # running, and what is measured would be that.
        while some := response.read1(65536):
            data += some
            while not first and (end := data.find(b"\n", seen)) >= 0:
                line, seen = data[seen:end], end + 1
                first = time.monotonic() if line.strip() and read_part(line)[0] else None
            if first and leaves:
                self.connection.close()
                self.connection = None
                with self.results.lock:
                    self.results.gone += 1
                return
        ended = time.monotonic()
        parts = [read_part(line) for line in data.split(b"\n") if line.strip()]
        if not parts or not parts[-1][2]:
            raise ValueError("an answer without its end")
        self.keep(question, began, first, ended, "".join(p[0] for p in parts), sum(p[1] for p in parts))

    def keep(self, question, began, first, ended, text, tokens):
        r = self.results
        with r.lock:
            r.tokens += tokens
            r.total.append(ended - began)
            if first:
                r.first.append(first - began)
                r.waits[self.number].append(first - began)
            known = r.answers.setdefault(question["key"], text)
            r.compared += 1
            if known != text:
                r.faults[f"another answer to question {question['key']}: {text[:60]!r}, not {known[:60]!r}"] += 1

    def run(self):
        i = self.number
        while time.monotonic() < self.end:
            try:
                self.ask(self.questions[i % len(self.questions)])
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                with self.results.lock:
                    self.results.faults[f"{type(error).__name__}: {error}"[:200]] += 1
                if self.connection:
                    self.connection.close()
                self.connection = None
                time.sleep(0.05)
            i += 1


def read_process(pid):
    """Resident bytes, those of them that are no file's, CPU seconds and open descriptors; None when it is gone."""
    try:
        with open(f"/proc/{pid}/status") as f:
            status = dict(line.split(":", 1) for line in f)
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    return (int(status["VmRSS"].split()[0]) * 1024, int(status["RssAnon"].split()[0]) * 1024,
            (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), descriptors)


def slope(times, values):
    """Least squares, in units a second."""
    if len(times) < 2:
        return 0.0
    mean_t, mean_v = sum(times) / len(times), sum(values) / len(values)
    spread = sum((t - mean_t) ** 2 for t in times)
    return sum((t - mean_t) * (v - mean_v) for t, v in zip(times, values)) / spread if spread else 0.0


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def spread(values):
    return {name: percentile(values, share) for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("most", 1.0))}


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("address", help="http://HOST:PORT or unix:PATH")
    p.add_argument("--clients", type=int, default=16)
    p.add_argument("--seconds", type=float, default=60)
    p.add_argument("--api", choices=FORMATS, default="openai")
    p.add_argument("--prompt", action="append", help="what is asked, may be repeated")
    p.add_argument("--image", action="append", default=[], help="a file that every other question has, may be repeated")
    p.add_argument("--max-tokens", type=int, default=32)
    p.add_argument("--temperature", type=float, default=0.8)
    p.add_argument("--seeds", type=int, default=4, help="with how many seeds each question is asked")
    p.add_argument("--model", default=None, help="default: the first that /v1/models has")
    p.add_argument("--key", help="an API key")
    p.add_argument("--pid", type=int, help="of the server, whose memory and CPU time are then told")
    p.add_argument("--settle", type=float, help="seconds after which memory should be flat (default: 60, at most a third of all)")
    p.add_argument("--leave", type=float, default=0, help="share of requests whose client goes away behind the first token")
    p.add_argument("--timeout", type=float, default=120, help="seconds that a client waits for a byte")
    p.add_argument("--json", action="store_true", help="the report as a JSON object")
    return p.parse_args()


def first_model(options):
    connection = Connection(options.address, options.timeout)
    connection.request("GET", "/v1/models", headers={"Authorization": "Bearer " + options.key} if options.key else {})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        sys.exit(f"error: /v1/models has status {response.status}: {body[:200]!r}")
    return json.loads(body)["data"][0]["id"]


def make_questions(options):
    images = [None]
    for path in options.image:
        with open(path, "rb") as f:
            images.append((f"data:{mimetypes.guess_type(path)[0]};base64,", base64.b64encode(f.read()).decode()))
    return [
        {"key": f"{p}/{i}/{s}", "prompt": prompt, "image": image, "seed": s}
        for s in range(options.seeds) for p, prompt in enumerate(options.prompt or PROMPTS) for i, image in enumerate(images)
    ]


def watch(options, end):
    """Samples of the server until then."""
    samples, began = [], time.monotonic()
    while time.monotonic() < end:
        seen = read_process(options.pid) if options.pid else None
        if seen:
            samples.append((time.monotonic() - began, *seen))
        time.sleep(min(1, max(0, end - time.monotonic())))
    return samples


def summarize(options, r, samples, seconds):
    settle = options.settle if options.settle is not None else min(60, options.seconds / 3)
    late = [s for s in samples if s[0] >= settle]
    report = {
        "clients": options.clients, "seconds": round(seconds, 2), "statuses": {str(k): v for k, v in sorted(r.statuses.items())},
        "answers": len(r.total), "answers_a_second": len(r.total) / seconds, "tokens_a_second": r.tokens / seconds,
        "first_token_seconds": spread(r.first), "total_seconds": spread(r.total),
        "compared": r.compared, "different_questions": len(r.answers), "left": r.gone, "faults": dict(r.faults.most_common(20)),
    }
    means = [sum(w) / len(w) for w in r.waits.values()]
    if means:
        report["fairness"] = {
            "p99_over_p50_of_first_token": percentile(r.first, 0.99) / percentile(r.first, 0.5),
            "slowest_over_fastest_client": max(means) / min(means),
            "fewest_answers": min(map(len, r.waits.values())), "most_answers": max(map(len, r.waits.values())),
        }
    if samples:
        report["process"] = {
            "resident_MB": [samples[0][1] / 1e6, samples[-1][1] / 1e6], "private_MB": [samples[0][2] / 1e6, samples[-1][2] / 1e6],
            "private_kB_a_minute_settled": slope([s[0] for s in late], [s[2] for s in late]) * 60 / 1e3, "settled_samples": len(late),
            "cpu_share": (samples[-1][3] - samples[0][3]) / max(samples[-1][0] - samples[0][0], 1e-9),
            "descriptors": [samples[0][4], max(s[4] for s in samples), samples[-1][4]],
        }
    return report


def show(report, indent=""):
    for name, value in report.items():
        if isinstance(value, dict):
            print(f"{indent}{name.replace('_', ' ')}:")
            show(value, indent + "  ")
        else:
            numbers = value if isinstance(value, list) else [value]
            text = " -> ".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in numbers)
            print(f"{indent}{name.replace('_', ' ')}: {text}")


def main():
    options = parse()
    options.model = options.model or first_model(options)
    results, questions = Results(), make_questions(options)
    began = time.monotonic()
    clients = [Client(i, options, questions, results, began + options.seconds) for i in range(options.clients)]
    for c in clients:
        c.start()
    samples = watch(options, began + options.seconds)
    for c in clients:
        c.join(options.timeout + 5)
    if any(c.is_alive() for c in clients):
        results.faults["a client that never came back"] += 1
    report = summarize(options, results, samples, time.monotonic() - began)
    if options.json:
        print(json.dumps(report))
    else:
        show(report)
    wrong = set(results.statuses) - {200, 503} or results.faults or not results.total
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
