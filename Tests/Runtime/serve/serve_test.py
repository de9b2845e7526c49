#!/usr/bin/python3
"""A program that serves, asked as its clients ask it, and as those that nobody wants do.

    serve_test.py PROGRAM WITHOUT GOLDEN     WITHOUT: a program that was made without the server

What answers must be says the command line of the same program, which is asked the same. The model is the fake one of the command line's tests: a
byte through a pipe lets it take a step (FAKE_WAIT_STEP), so that what happens while it works is no matter of luck. The last line is
`N passed, M failed`.
"""
import base64
import http.client
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import zlib

PROGRAM, WITHOUT, GOLDEN = sys.argv[1:4]
IMAGES = [f"{GOLDEN}/images/{name}" for name in ("odd-444.jpg", "grey.png", "lossy.webp")]
WAIT = 20  # seconds after which something never happens
passed = failed = 0


def check(condition, what):
    global passed, failed
    passed, failed = passed + bool(condition), failed + (not condition)
    if not condition:
        print(f"line {sys._getframe(1).f_lineno}: {what}")
    return bool(condition)


class Reply:
    def __init__(self, response):
        self.status, self.headers, self.bytes = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.bytes)

    def error(self):
        """The error in OpenAI's form; {} where it is none."""
        try:
            error = self.json()["error"]
        except (ValueError, KeyError, TypeError):
            return {}
        return error if set(error) == {"message", "type", "param", "code"} else {}


class Server:
    all = []

    def __init__(self, *options, steps=None, address="127.0.0.1:0", environment=None, fds=()):
        """steps: a number of steps that the model may take; step() lets it take more. None: all."""
        self.gate = os.pipe() if steps is not None else None
        environment = dict(os.environ, **(environment or {}))
        if self.gate:
            environment.update(FAKE_WAIT=str(self.gate[0]), FAKE_WAIT_STEP=str(self.gate[0]))
            os.write(self.gate[1], b"." * steps)
        inherited = tuple(fds) + ((self.gate[0],) if self.gate else ())
        arguments = ["--serve"] + ([address] if address else []) + list(options)
        # Whoever starts a server may have blocked signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG, signal.SIGTERM, signal.SIGINT})
        self.process = subprocess.Popen([PROGRAM, *arguments], stderr=subprocess.PIPE, env=environment, pass_fds=inherited, text=True)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGURG, signal.SIGTERM, signal.SIGINT})
        Server.all.append(self.process)
        self.lines, self.url = [], None
        ready = threading.Event()

        def read():
            for line in self.process.stderr:
                self.lines.append(line.rstrip("\n"))
                if line.startswith("listening on "):
                    self.url = line.split()[2]
                    ready.set()
            ready.set()

        self.reader = threading.Thread(target=read)
        self.reader.start()
        check(ready.wait(WAIT) and self.url, f"the server does not come: {self.lines}")
        self.port = int(self.url.rsplit(":", 1)[1]) if self.url and self.url.startswith("http") else None

    def step(self, count=10000):
        os.write(self.gate[1], b"." * count)

    def hold(self):
        """No steps from now on."""
        while select.select([self.gate[0]], [], [], 0)[0]:
            os.read(self.gate[0], 1 << 16)

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), WAIT)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def ask(self, path, body=None, method=None, headers=None, timeout=WAIT):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        reply = Reply(connection.getresponse())
        connection.close()
        return reply

    def chat(self, text, images=(), **members):
        content = [{"type": "image_url", "image_url": {"url": url}} for url in images] + [{"type": "text", "text": text}]
        return self.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": content if images else text}], **members})

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) << 10

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def load(self):
        health = self.ask("/health").json()
        return health["answering"], health["waiting"]

    def comes_to(self, answering, waiting, steps=0):
        """Whether so many are answered and wait, soon; the model takes so many steps between two looks, at most 40, far from a whole answer."""
        end, taken = time.monotonic() + WAIT, 0
        while self.load() != (answering, waiting) and time.monotonic() < end and taken <= 40:
            if steps:
                self.step(steps)
            taken += steps
            time.sleep(0.02)
        return self.load() == (answering, waiting)

    def stop(self, number=signal.SIGTERM, wanted=0):
        if self.gate:
            self.step()
        self.process.send_signal(number)
        return self.wait(wanted)

    def wait(self, wanted=0):
        try:
            code = self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "never"
        self.reader.join()
        self.process.stderr.close()
        for fd in self.gate or ():
            os.close(fd)
        said = [line for line in self.lines if "error" in line.lower() and " HTTP" not in line]
        check(code == wanted and not said, f"the server ends with {code}: {said}")
        return code


def data_url(path, kind=None):
    with open(path, "rb") as file:
        return f"data:image/{kind or path.rsplit('.', 1)[1]};base64,{base64.b64encode(file.read()).decode()}"


def command_line(*arguments):
    run = subprocess.run([PROGRAM, "--json", *arguments], capture_output=True, text=True)
    return json.loads(run.stdout) if run.returncode == 0 else run.stderr


def events(reply):
    """The objects of a stream, and whether it ends as OpenAI's do."""
    parts = reply.bytes.decode().split("\n\n")
    objects = [json.loads(part[6:]) for part in parts if part.startswith("data: {")]
    return objects, parts[-2:] == ["data: [DONE]", ""]


def streamed(objects):
    return "".join(choice["delta"].get("content") or "" for o in objects for choice in o["choices"])


def test_command_line():
    run = lambda *arguments, program=PROGRAM: subprocess.run([program, *arguments], capture_output=True, text=True)
    without = run("--serve", program=WITHOUT)
    check((without.returncode, without.stderr) == (2, "error: this program was compiled without the server\n"), without)
    for wrong in ("nowhere:80", "127.0.0.1:x", ":80", "127.0.0.1:70000", "::1:80", "unix:", "1.2.3:4"):
        check(run("--serve", wrong).returncode == 2, wrong)
    check(run("--serve", "127.0.0.1:1", "--json").returncode == 2, "--json beside --serve")
    check(run("--api-key", "x", "--prompt", "x").returncode == 2, "--api-key without --serve")
    check("'--serve'" in run("--parallel", "2", "--prompt", "x").stderr, "--parallel without --serve")
    check(run("--serve", "127.0.0.1:0", "--api-key", "/nothing").returncode == 1, "no file of keys")
    check(run("--serve", "127.0.0.1:0", "--media-path", "/nothing").returncode == 1, "no folder of images")
    check("--api-key" in run("--help", "serving").stdout, "help")


def test_routes(s):
    check(s.ask("/health").json()["status"] == "ok", "health")
    models = s.ask("/v1/models").json()
    name = models["data"][0]["id"]
    check(models["object"] == "list" and name == os.path.basename(PROGRAM), models)
    check(s.ask(f"/v1/models/{name}").json()["id"] == name, "one model")
    check(s.ask("/v1/models/other").status == 404, "another model")
    props = s.ask("/props").json()
    check(props["context"] == 256 and props["program"]["layers"] == 2, props)
    text = "What is it?"
    ids = s.ask("/tokenize", {"content": text}).json()["tokens"]
    check(ids == json.loads(subprocess.run([PROGRAM, "--tokenize", text], capture_output=True).stdout), ids)
    check(s.ask("/detokenize", {"tokens": ids}).json()["content"] == text, "detokenize")
    check(s.ask("/detokenize", {"tokens": [448]}).status == 400, "a token that is none")
    head = s.ask("/health", method="HEAD")
    check(head.status == 200 and head.bytes == b"", "HEAD")
    check(len(s.ask("/health").headers["X-Request-Id"]) == 32, "X-Request-Id")
    for path, status in (("/v1/nothing", 404), ("/v1/chat/completions/", 404), ("/..", 404)):
        reply = s.ask(path)
        check(reply.status == status and reply.error(), path)
    page = s.ask("/")
    check(page.status == 200 and page.headers["Content-Type"].startswith("text/html") and b"</html>" in page.bytes, "the page")
    check("script-src 'sha256-" in page.headers["Content-Security-Policy"] and page.headers["Referrer-Policy"] == "no-referrer", "its headers")
    again = s.ask("/", headers={"If-None-Match": page.headers["ETag"]})
    check((again.status, again.bytes) == (304, b""), "the page to who has it")
    reply = s.ask("/v1/responses", {})
    check(reply.status == 404 and "/v1/responses" in reply.error()["message"], reply.bytes)
    for path, method, allowed in (("/v1/chat/completions", "GET", "POST"), ("/health", "POST", "GET, HEAD"), ("/health", "PUT", "GET, HEAD")):
        reply = s.ask(path, method=method, body=b"" if method != "GET" else None)
        check(reply.status == 405 and reply.headers["Allow"] == allowed and reply.error(), f"{method} {path}")


def test_answers(s):
    told = command_line("--prompt", "What is it?", "--max-tokens", "9")
    reply = s.chat("What is it?", max_tokens=9)
    answer = reply.json()
    choice = answer["choices"][0]
    check(choice["message"]["content"] == told["text"] and choice["message"]["role"] == "assistant", answer)
    check(choice["finish_reason"] == told["finish_reason"] == "length" and choice["logprobs"] is None, answer)
    usage = answer["usage"]
    check(usage["prompt_tokens"] == told["prompt_tokens"] and usage["completion_tokens"] == 9, usage)
    check(usage["total_tokens"] == usage["prompt_tokens"] + 9 and answer["object"] == "chat.completion", usage)

    # With images of each kind, and as a stream.
    for image, kind in zip(IMAGES, (None, None, None)):
        told = command_line("--prompt", "What?", "--image", image, "--max-tokens", "7")
        answer = s.chat("What?", [data_url(image, kind)], max_completion_tokens=7).json()
        check(answer["choices"][0]["message"]["content"] == told["text"], f"{image}: {answer}")
        check(answer["usage"]["prompt_tokens"] == told["prompt_tokens"] + told["visual_tokens"], answer)
    reply = s.chat("What?", [data_url(IMAGES[2])], max_tokens=7, stream=True, stream_options={"include_usage": True})
    objects, ends = events(reply)
    check(ends and reply.headers["Content-Type"] == "text/event-stream", reply.bytes)
    check(streamed(objects) == told["text"] and objects[0]["choices"][0]["delta"]["role"] == "assistant", objects)
    check([o["choices"][0]["finish_reason"] for o in objects if o["choices"]][-1] == "length", objects)
    check(objects[-1]["choices"] == [] and objects[-1]["usage"]["completion_tokens"] == 7, objects[-1])
    check(all(o["usage"] is None for o in objects[:-1]) and len({o["id"] for o in objects}) == 1, objects)

    # What samples.
    told = command_line("--prompt", "Go on", "--max-tokens", "12", "--temperature", "0.8", "--top-p", "0.9", "--seed", "5", "--presence-penalty", "0.5",
                        "--frequency-penalty", "0.25", "--logit-bias", "300=-50", "--n", "3")
    answer = s.chat("Go on", max_tokens=12, temperature=0.8, top_p=0.9, seed=5, presence_penalty=0.5, frequency_penalty=0.25,
                    logit_bias={"300": -50}, n=3).json()
    check([c["message"]["content"] for c in answer["choices"]] == [c["text"] for c in told["choices"]], answer)
    check(len({c["text"] for c in told["choices"]}) == 3, "the seeds give the same")
    objects, ends = events(s.chat("Go on", max_tokens=12, temperature=0.8, top_p=0.9, seed=5, presence_penalty=0.5, frequency_penalty=0.25,
                                  logit_bias={"300": -50}, n=3, stream=True))
    texts = ["".join(c["delta"].get("content") or "" for o in objects for c in o["choices"] if c["index"] == i) for i in range(3)]
    check(ends and texts == [c["text"] for c in told["choices"]], texts)

    # Stops.
    told = command_line("--prompt", "What is it?", "--max-tokens", "9")
    stop = told["text"][4:6]
    answer = s.chat("What is it?", max_tokens=9, stop=["never", stop]).json()["choices"][0]
    check(answer["finish_reason"] == "stop" and answer["message"]["content"] == told["text"][:told["text"].index(stop)], answer)

    # Log probabilities.
    told = command_line("--prompt", "What is it?", "--max-tokens", "5", "--logprobs", "3")["logprobs"]
    for stream in (False, True):
        reply = s.chat("What is it?", max_tokens=5, logprobs=True, top_logprobs=3, stream=stream)
        choices = [c for o in (events(reply)[0] if stream else [reply.json()]) for c in o["choices"] if c["logprobs"]]
        content = [token for choice in choices for token in choice["logprobs"]["content"]]
        check([c["logprob"] for c in content] == [t["logprob"] for t in told], content)
        check([[p["logprob"] for p in c["top_logprobs"]] for c in content] == [[p["logprob"] for p in t["top"]] for t in told], content)
        check(all(bytes(c["bytes"]).decode(errors="replace") == c["token"] for c in content), content)

    # Several turns, and a system text where the template takes one or not.
    turns = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}, {"role": "user", "content": [{"type": "text", "text": "Three"}]}]
    batch = subprocess.run([PROGRAM, "--batch", "-"], input=json.dumps({"messages": turns, "max_tokens": 6}), capture_output=True, text=True)
    answer = s.ask("/v1/chat/completions", {"messages": turns, "max_tokens": 6}).json()
    check(answer["choices"][0]["message"]["content"] == json.loads(batch.stdout)["text"], answer)

    # Verbatim prompts.
    told = command_line("--raw-prompt", "One two", "--max-tokens", "6", "--logprobs", "2")
    answer = s.ask("/v1/completions", {"prompt": "One two", "max_tokens": 6, "logprobs": 2}).json()
    logs = answer["choices"][0]["logprobs"]
    check(answer["choices"][0]["text"] == told["text"] and answer["object"] == "text_completion", answer)
    check(logs["token_logprobs"] == [t["logprob"] for t in told["logprobs"]] and len(logs["tokens"]) == len(logs["text_offset"]) == 6, logs)
    objects, ends = events(s.ask("/v1/completions", {"prompt": ["One two"], "max_tokens": 6, "stream": True}))
    check(ends and "".join(c["text"] for o in objects for c in o["choices"]) == told["text"], objects)

    # What the answer must be.
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}, "b": {"type": "boolean"}}, "required": ["a", "b"], "additionalProperties": False}
    told = command_line("--prompt", "Say", "--json-schema", json.dumps(schema))
    for stream in (False, True):
        reply = s.chat("Say", stream=stream, response_format={"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}})
        text = streamed(events(reply)[0]) if stream else reply.json()["choices"][0]["message"]["content"]
        check(text == told["text"] and json.loads(text)["a"] in "xy", text)
    reply = s.chat("Say", max_tokens=3, response_format={"type": "json_object"}).json()
    check(reply["choices"][0]["message"]["content"].startswith("{"), reply)
    reply = s.chat("Say", response_format={"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}})
    check(reply.status == 400 and reply.error()["param"] == "response_format", reply.bytes)

    # What is not known is ignored, and null is nothing.
    reply = s.chat("What is it?", max_tokens=9, user="me", metadata={"a": "b"}, tools=[], stop=None, n=None, tool_choice="none", model="other")
    check(reply.status == 200, reply.bytes)


def test_refusals(s):
    messages = [{"role": "user", "content": "x"}]
    small = base64.b64encode(open(IMAGES[1], "rb").read()[:40]).decode()
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)) + png_chunk(b"IDAT", zlib.compress(bytes(1 << 16)))
    image = lambda url: [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    for members, param, status in (
        ({"tools": [{"type": "function"}]}, "tools", 400),
        ({"functions": [{}]}, "functions", 400),
        ({"audio": {"voice": "x"}}, "audio", 400),
        ({"modalities": ["text", "audio"]}, "modalities", 400),
        ({"messages": None}, "messages", 400),
        ({"messages": []}, "messages", 400),
        ({"messages": "x"}, "messages", 400),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", 400),
        ({"messages": [{"role": "user"}]}, "messages[0].content", 400),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content", 400),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages", 400),
        ({"messages": [{"role": "user", "content": "word " * 400}]}, "messages", 400),
        ({"messages": image("https://example.com/a.png")}, "messages[0].content", 400),
        ({"messages": image("http://169.254.169.254/")}, "messages[0].content", 400),
        ({"messages": image("file:///etc/passwd")}, "messages[0].content", 400),
        ({"messages": image("/etc/passwd")}, "messages[0].content", 400),
        ({"messages": image("data:image/png;base64,####")}, "messages[0].content", 400),
        ({"messages": image("data:image/png,abc")}, "messages[0].content", 400),
        ({"messages": image("data:image/png;base64," + small)}, "image_url", 400),
        ({"messages": image("data:image/png;base64," + base64.b64encode(bomb).decode())}, "image_url", 400),
        ({"messages": [{"role": "user", "content": image(data_url(IMAGES[1]))[0]["content"] * 9}]}, "messages", 400),
        ({"messages": [{"role": "user", "content": "<image>"}]}, "messages", 400),
        ({"temperature": -1}, "temperature", 400),
        ({"temperature": "x"}, "temperature", 400),
        ({"top_p": 0}, "top_p", 400),
        ({"n": 0}, "n", 400),
        ({"n": 10**9}, "n", 400),
        ({"max_tokens": 0}, "max_tokens", 400),
        ({"max_tokens": 1e3}, "max_tokens", 400),
        ({"seed": 0.5}, "seed", 400),
        ({"stop": ""}, "stop", 400),
        ({"stop": ["x"] * 17}, "stop", 400),
        ({"logit_bias": {"x": 1}}, "logit_bias", 400),
        ({"logit_bias": {"447": 200}}, "logit_bias", 400),
        ({"logit_bias": {"100000": 1}}, "logit_bias", 400),
        ({"top_logprobs": 3}, "top_logprobs", 400),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", 400),
        ({"response_format": {"type": "xml"}}, "response_format", 400),
        ({"stream": "yes"}, "stream", 400),
    ):
        reply = s.ask("/v1/chat/completions", {"messages": messages, **members})
        check(reply.status == status and reply.error().get("param") == param, f"{str(members)[:100]}: {reply.status} {reply.bytes[:200]}")
    long = s.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": "word " * 400}]})
    check(long.error()["code"] == "context_length_exceeded", long.bytes)
    for body in (b"", b"{", b"[]", b"x" * 1000, b'"text"', b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', b'{"a": 1, "a": 2}',
                 b"[" * 200000, b'{"a":' * 200000, b'{"messages": ' + b"[" * 100000 + b"]" * 100000 + b"}", b'{"messages": "\\u0000"}', b"\0" * 100):
        reply = s.ask("/v1/chat/completions", body, "POST", {"Content-Type": "application/json"})
        check(reply.status == 400 and reply.error().get("message"), f"{body[:40]}: {reply.status} {reply.bytes[:200]}")
    for members, param in (({"prompt": ["a", "b"]}, "prompt"), ({"prompt": [1, 2]}, "prompt"), ({"prompt": "x", "suffix": "y"}, "suffix"),
                           ({"prompt": "x", "echo": True}, "echo"), ({"prompt": "x", "best_of": 3}, "best_of")):
        reply = s.ask("/v1/completions", members)
        check(reply.status == 400 and reply.error().get("param") == param, reply.bytes)
    for kind, origin, status in (("application/json; charset=utf-8", None, 200), ("text/plain", None, 200), ("text/plain", "http://evil", 415),
                                 ("multipart/form-data", None, 415), ("application/json", "http://evil", 200)):
        headers = {"Content-Type": kind, **({"Origin": origin} if origin else {})}
        reply = s.ask("/tokenize", '{"content": "x"}', headers=headers)
        check(reply.status == status and "Access-Control-Allow-Origin" not in reply.headers, f"{kind} {origin}: {reply.status}")
    check(s.ask("/tokenize", b"x", headers={"Content-Encoding": "gzip"}).status == 415, "Content-Encoding")
    raw = s.connect()
    raw.sendall(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    check(b" 411 " in read_all(raw), "no body")


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def read_all(s):
    """What comes until the other side closes."""
    data = b""
    try:
        while part := s.recv(1 << 16):
            data += part
    except ConnectionError:
        pass
    s.close()
    return data


def test_odd_clients(s):
    # Heads that are none or too long, and bodies that are too long: libevent's own refusals have the form of all others.
    for head, status in ((b"GARBAGE\r\n\r\n", 400), (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n", 400),
                         (b"GET / HTTP/1.1\r\nA: " + b"x" * 20000 + b"\r\n\r\n", 400), (b"POST /tokenize HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
                         (b"POST /tokenize HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
                         (b"POST /tokenize HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", 413)):
        raw = s.connect()
        raw.sendall(head)
        said = read_all(raw)
        check(said.startswith(b"HTTP/1.1 %d " % status) and b'{"error": {' in said and b"HTML" not in said, f"{head[:50]}: {said[:200]}")
    before = s.memory()
    raw = s.connect()
    size = 300 << 20
    raw.sendall(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size)
    block = b" " * (1 << 20)
    try:
        for _ in range(size >> 20):
            raw.sendall(block)
    except ConnectionError:
        pass
    said = read_all(raw)
    check(b" 413 " in said and b'{"error": {' in said, said[:200])
    check(s.memory() - before < 64 << 20, f"a body that is refused takes {s.memory() - before} bytes")

    # Requests one behind another on one connection, in pieces, and in chunks.
    raw = s.connect()
    body = b'{"content": "What"}'
    one = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    raw.sendall(one * 5 + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    said = read_all(raw)
    check(said.count(b"HTTP/1.1 200 OK") == 6 and said.count(b'{"tokens"') == 5, said)
    raw = s.connect()
    for at in range(0, len(one), 7):
        raw.sendall(one[at:at + 7])
        time.sleep(0.001)
    check(b'{"tokens"' in raw.recv(4096), "a body in pieces")
    raw.sendall(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (
        body[:5], len(body) - 5, body[5:]))
    check(b'{"tokens"' in read_all(raw), "a body in chunks")
    raw = s.connect()
    raw.sendall(b"HEAD /props HTTP/1.1\r\n\r\nHEAD /nothing HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\nConnection: close\r\n\r\n")
    said = read_all(raw)
    check(said.count(b"HTTP/1.1 ") == 3 and said.count(b"{") == 1 and said.count(b"Content-Length: ") == 3, said)
    # What is no path, no host, no version or no text; half-closed connections.
    for head, statuses in ((b"OPTIONS * HTTP/1.1", {404}), (b"CONNECT h:80 HTTP/1.1", {405}), (b"GET //health HTTP/1.1", {200}), (b"GET  HTTP/1.1", {400}),
                           (b"GET /\xff\xfe\x1b HTTP/1.1", {404}), (b"GET /health HTTP/9.9", {400}), (b"GET /a\0b HTTP/1.1", {400}),
                           (b"GET /health HTTP/1.1\r\nnothing", {400}), (b"\x16\x03\x01\x02\0\x01\0", {400}), (b"FOO / HTTP/1.1", {400, 405, 501}),
                           (b"GET /health?a=b HTTP/1.1", {200}), (b"GET http://x/health HTTP/1.1", {200})):
        raw = s.connect()
        raw.sendall(head + b"\r\nConnection: close\r\n\r\n")
        said = read_all(raw)
        check(said[:9] == b"HTTP/1.1 " and int(said[9:12]) in statuses and b"\x1b" not in said and b"HTML" not in said, f"{head}: {said[:200]}")
    raw = s.connect()
    raw.sendall(b"GET /health HTTP/1.0\r\n\r\n")
    check(b'"ok"' in read_all(raw), "HTTP/1.0")

    # Half-sent requests are told so and end; idle connections end.
    slow, idle, dripping = s.connect(), s.connect(), s.connect()
    slow.sendall(one[:-5])
    began = time.monotonic()

    def drip():
        try:
            for byte in b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 100:
                dripping.sendall(bytes([byte]))
                time.sleep(0.2)
        except OSError:
            pass

    dripper = threading.Thread(target=drip)
    dripper.start()
    check(b" 408 " in read_all(slow), "a body that is half sent")
    check(read_all(idle) == b"", "an idle connection")
    check(b" 408 " in read_all(dripping) and time.monotonic() - began < 10, "a head that comes byte by byte")
    dripper.join()

    # More connections than may be: the idle ones make room, one after the other.
    crowd = [s.connect() for _ in range(100)]
    check(s.ask("/health").status == 200, "nobody gets in while a crowd is idle")
    check(s.descriptors() < 80, "the crowd gets in")
    for raw in crowd:
        raw.close()


def test_many(s):
    """16 clients at once, whose answers are those of the command line."""
    words = ["What is there to see?", "Where does it stand, and why?", "How many?"]
    asked = []
    for i in range(48):
        images = [IMAGES[i % 3]] if i % 2 else []
        how = {"temperature": 0.9, "seed": i} if i % 4 == 3 else {}
        asked.append((words[i % 5 % 3], images, 3 + i % 12, how))
    lines = [{"id": i, "prompt": text, "images": images, "max_tokens": tokens, **how} for i, (text, images, tokens, how) in enumerate(asked)]
    batch = subprocess.run([PROGRAM, "--batch", "-"], input="\n".join(map(json.dumps, lines)), capture_output=True, text=True)
    told = [json.loads(line)["text"] for line in batch.stdout.splitlines()]
    text, images, tokens, how = asked[3]
    alone = command_line("--prompt", text, "--image", images[0], "--max-tokens", str(tokens), "--temperature", "0.9", "--seed", "3")
    check(alone["text"] == told[3], "the batch and the command line differ")
    got, urls = [None] * len(asked), {path: data_url(path) for path in IMAGES}
    rest = iter(range(len(asked)))
    lock = threading.Lock()

    def client():
        while True:
            with lock:
                i = next(rest, None)
            if i is None:
                return
            text, images, tokens, how = asked[i]
            reply = s.chat(text, [urls[path] for path in images], max_tokens=tokens, stream=i % 3 == 0, **how)
            got[i] = reply.bytes if reply.status != 200 else streamed(events(reply)[0]) if i % 3 == 0 else reply.json()["choices"][0]["message"]["content"]

    clients = [threading.Thread(target=client) for _ in range(16)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    check(got == told, [(a, b) for a, b in zip(got, told) if a != b])
    check(s.comes_to(0, 0), "something is left")


def begin_stream(s, tokens=200, **members):
    """A connection that has begun to get an answer, or waits for one."""
    raw = s.connect()
    body = json.dumps({"messages": [{"role": "user", "content": "What is it?"}], "max_tokens": tokens, "stream": True,
                       "logit_bias": {"2": -100, "440": -100}, **members}).encode()
    raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return raw


def test_queue_and_leaving():
    s = Server("--parallel", "2", "--queue", "3", "--log-json", steps=0)
    waiting = [begin_stream(s) for _ in range(5)]
    check(s.comes_to(2, 3), f"two are answered and three wait: {s.load()}")
    began = time.monotonic()
    refused = s.chat("x")
    check(refused.status == 503 and int(refused.headers["Retry-After"]) >= 1 and refused.error()["code"] == "server_busy", refused.bytes)
    check(s.ask("/health").status == 200 and time.monotonic() - began < 1, "others wait while the model works")
    # Who waits and goes away makes room at once; who is answered, at the next token.
    waiting.pop().close()
    waiting.pop(0).close()
    check(s.comes_to(2, 1, steps=1), f"those that left still count: {s.load()}")
    raw = waiting[0]
    s.step()
    said = read_until(raw, b"[DONE]")
    check(b'"finish_reason": "length"' in said, said[-300:])
    for raw in waiting:
        raw.close()
    check(s.comes_to(0, 0), f"something is left: {s.load()}")
    # An answer of hundreds of tokens whose client is gone takes no more than a token's time; one that was not streamed neither.
    s.hold()
    raw = begin_stream(s, stream=False)
    check(s.comes_to(1, 0), "one is answered")
    raw.close()
    check(s.comes_to(0, 0, steps=1), f"it still is: {s.load()}")
    # Clients that ask ahead and go away.
    s.hold()
    raw = begin_stream(s)
    raw.sendall(b"x" * (16 << 10))
    check(s.comes_to(1, 0), "one is answered")
    raw.close()
    check(s.comes_to(0, 0, steps=1), f"it still is: {s.load()}")
    s.step()
    # Clients that are killed at any moment.
    for i in range(60):
        raw = begin_stream(s, 1 + i)
        time.sleep(i % 7 * 0.0005)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
    check(s.comes_to(0, 0), f"something is left: {s.load()}")
    told = command_line("--prompt", "What is it?", "--max-tokens", "9")
    check(s.chat("What is it?", max_tokens=9).json()["choices"][0]["message"]["content"] == told["text"], "the answer behind all of that")
    check(s.chat("What is it?", n=6).status == 503, "more answers than may wait")
    s.stop()
    log = [json.loads(line) for line in s.lines if line.startswith("{")]
    check({"status", "path", "seconds", "client", "id", "method"} <= set(log[0]), log[0])
    check(any(l.get("completion_tokens") == 9 for l in log) and any(l["status"] == 503 for l in log), log)
    check(not any("What" in line for line in s.lines), "the log has what was asked")


def read_until(s, text):
    data = b""
    while text not in data and (part := s.recv(1 << 16)):
        data += part
    return data


def test_slow_reader():
    """Who does not read what was sent holds nobody up."""
    s = Server("--parallel", "1")
    raw = s.connect()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    raw.sendall(b"GET /props HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20000)
    told = command_line("--prompt", "What is it?", "--max-tokens", "9")
    before = s.memory()
    for _ in range(5):
        check(s.chat("What is it?", max_tokens=9).json()["choices"][0]["message"]["content"] == told["text"], "an answer beside a slow reader")
    check(s.memory() - before < 16 << 20, f"it takes {s.memory() - before} bytes")
    with_it = s.descriptors()
    end = time.monotonic() + WAIT
    while s.descriptors() >= with_it and time.monotonic() < end:
        time.sleep(0.05)
    check(s.descriptors() < with_it, "what is not read for so long is kept all the same")
    raw.close()
    s.stop()


def test_time_and_stopping():
    s = Server("--timeout", "1", steps=0)
    reply = s.chat("x")
    check(reply.status == 503 and reply.error()["code"] == "timeout", reply.bytes)
    raw = begin_stream(s)
    s.step(30)
    said = read_until(raw, b'"error"')
    check(b"200 OK" in said and b'"code": "timeout"' in said, said[-300:])
    raw.close()
    s.stop()

    # Asked to stop: what is there is answered, what comes is not let in, and then it ends.
    s = Server("--parallel", "1", steps=0)
    first, second = begin_stream(s, 5), begin_stream(s, 5)
    check(s.comes_to(1, 1), "one is answered and one waits")
    kept = http.client.HTTPConnection("127.0.0.1", s.port, timeout=WAIT)
    s.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + WAIT
    refused = False
    while not refused and time.monotonic() < end:
        try:
            s.connect().close()
        except ConnectionRefusedError:
            refused = True
        except ConnectionError:  # it was let in, and the server stopped to listen
            pass
    check(refused, "it is still listened")
    check(s.process.poll() is None, "it has ended before what it had to answer")
    s.step()
    check(b"[DONE]" in read_all(first) and b"[DONE]" in read_all(second), "an answer was cut")
    s.wait()
    kept.close()

    # What is not ready by then is cut, and told so; asked twice, at once.
    for seconds, signals in (("1", 1), ("1000", 2)):
        s = Server("--grace", seconds, steps=0)
        raw = begin_stream(s, stream=False)
        check(s.comes_to(1, 0), "one is answered")
        for _ in range(signals):
            s.process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        said = read_all(raw)
        check(b" 503 " in said and b"server_stopping" in said and b"Connection: close" in said, said)
        s.step()
        s.wait()


def test_keys():
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("# keys\n  first key \nsecond\r\n\n")
        file.flush()
        s = Server("--api-key", file.name)
        for key, status in ((None, 401), ("Bearer second", 200), ("bearer first key", 200), ("Bearer secon", 401), ("Bearer second2", 401), ("Bearer ", 401),
                            ("second", 401), ("Basic second", 401), ("Bearer # keys", 401)):
            reply = s.ask("/v1/models", headers={"Authorization": key} if key else {})
            check(reply.status == status and (status == 200 or reply.error()), f"{key}: {reply.status}")
            check(status == 200 or reply.headers["WWW-Authenticate"] == "Bearer", key)
        check(s.ask("/health").status == 200 and s.ask("/nothing").status == 401, "routes without a key")
        s.stop()
        check(not any("second" in line for line in s.lines), "the log has a key")


def test_hosts():
    """Names that a page may have led here are not this machine's; a key, or a socket that others reach, makes them welcome."""
    s = Server()
    for host, status in (("127.0.0.1:80", 200), ("localhost", 200), ("LOCALHOST:1234", 200), ("box.localhost:8080", 200), ("[::1]:8080", 200), ("[::1]", 200),
                         ("localhost.", 200), ("host.docker.internal:80", 200), ("", 200), ("192.168.0.9", 200),
                         ("evil.example", 421), ("evil.example:8080", 421), ("127.0.0.1.evil.example", 421), ("notlocalhost", 421),
                         ("localhost.evil.example:80", 421), ("[::1", 421), ("[::1]x", 421), ("[evil]", 421), ("x" * 300 + ".localhost", 421), ("127.1", 421)):
        for path in ("/health", "/", "/v1/models", "/api/tags"):
            reply = s.ask(path, headers={"Host": host})
            check(reply.status == status, f"{host}{path}: {reply.status}")
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    reply = s.ask("/v1/chat/completions", body, headers={"Host": "evil.example", "Origin": "http://evil.example"})
    check(reply.status == 421 and "evil.example" in reply.error()["message"], reply.status)
    raw = s.connect()
    raw.sendall(b"GET /health HTTP/1.0\r\n\r\n")
    check(b" 200 " in read_all(raw), "no name at all")
    s.stop()
    s = Server(address="0.0.0.0:0")
    check(s.ask("/health", headers={"Host": "answers.example"}).status == 200, "a name, where others reach the server")
    s.stop()
    s = Server(address="[::ffff:127.0.0.1]:0")
    check(s.ask("/health", headers={"Host": "answers.example"}).status == 421, "an address of this machine as IPv6")
    s.stop()
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("key\n")
        file.flush()
        s = Server("--api-key", file.name)
        check(s.ask("/v1/models", headers={"Host": "answers.example", "Authorization": "Bearer key"}).status == 200, "a name, with a key")
        check(s.ask("/v1/models", headers={"Host": "answers.example"}).status == 401, "a name without it")
        s.stop()


def test_media():
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/in/deep")
        with open(IMAGES[0], "rb") as file, open(f"{folder}/in/deep/a.jpg", "wb") as to:
            to.write(file.read())
        os.link(f"{folder}/in/deep/a.jpg", f"{folder}/secret.jpg")
        os.symlink(f"{folder}/secret.jpg", f"{folder}/in/link.jpg")
        os.symlink("deep/a.jpg", f"{folder}/in/good.jpg")
        os.mkfifo(f"{folder}/in/pipe")
        told = command_line("--prompt", "What?", "--image", IMAGES[0], "--max-tokens", "7")
        s = Server("--media-path", f"{folder}/in")
        for path, status in (("deep/a.jpg", 200), ("./deep/a.jpg", 200), (f"{folder}/in/deep/a.jpg", 200), (f"file://{folder}/in/deep/a.jpg", 200),
                             ("good.jpg", 200), ("deep/../deep/a.jpg", 200), ("../secret.jpg", 400), ("deep/../../secret.jpg", 400), ("link.jpg", 400),
                             ("pipe", 400), ("deep", 400), ("/etc/passwd", 400), (f"{folder}/in/../secret.jpg", 400), (f"{folder}/inner", 400),
                             ("none.jpg", 400), ("", 400), ("/proc/self/environ", 400)):
            reply = s.chat("What?", [path], max_tokens=7)
            check(reply.status == status and (status == 400 or reply.json()["choices"][0]["message"]["content"] == told["text"]), f"{path}: {reply.bytes}")
        s.stop()


def test_sockets():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        for _ in range(2):
            s = Server(address=f"unix:{path}")
            check(s.url == f"unix:{path}", s.url)
            raw = socket.socket(socket.AF_UNIX)
            raw.connect(path)
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            check(b'"ok"' in read_all(raw), "a socket of a path")
            busy = subprocess.run([PROGRAM, "--serve", f"unix:{path}"], capture_output=True, text=True)
            check(busy.returncode == 1 and "in use" in busy.stderr, busy)
            s.process.kill() if os.path.exists(path) and _ == 0 else s.process.terminate()
            s.wait(-9 if _ == 0 else 0)
        check(not os.path.exists(path), "the path stays")
    if socket.has_ipv6:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
            s = Server(address="[::1]:0")
            check(s.url.startswith("http://[::1]:"), s.url)
            s.stop()
        except OSError:
            pass
    # A socket that was listened on before, as systemd hands it over; the variables name the process.
    listening = socket.create_server(("127.0.0.1", 0))
    command = f'exec 3<&{listening.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$0" --serve'
    run = subprocess.Popen(["/bin/sh", "-c", command, PROGRAM], stderr=subprocess.PIPE, pass_fds=[listening.fileno()], text=True)
    line = run.stderr.readline()
    if line.startswith("note: "):  # what the machine has none of to restrict it by
        line = run.stderr.readline()
    port = listening.getsockname()[1]
    check(line == f"listening on http://127.0.0.1:{port}\n", line)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    connection.request("GET", "/health")
    check(connection.getresponse().status == 200, "a socket that was handed over")
    run.terminate()
    check(run.wait(WAIT) == 0, "the server of a socket that was handed over")
    run.stderr.close()
    listening.close()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    test_command_line()
    s = Server()
    for test in (test_routes, test_answers, test_refusals, test_many, test_odd_clients):
        test(s)
    # Nobody asks: nothing is done.
    before = cpu_seconds(s.process.pid)
    time.sleep(0.5)
    check(cpu_seconds(s.process.pid) - before <= 0.02, "an idle server works")
    s.stop()
    for test in (test_queue_and_leaving, test_slow_reader, test_time_and_stopping, test_keys, test_hosts, test_media, test_sockets):
        test()
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        # A test that fails leaves servers, and threads that read what they say.
        for process in Server.all:
            if process.poll() is None:
                process.kill()
