#!/usr/bin/env python3
"""A server that answers as a program's `--serve` does, without a model: for tests of the page, and to look at it.

    mock_server.py [PORT]        serves the page as its sources are now, on 127.0.0.1

The first word of the last question says what happens: `slow` takes its time, `long` says many sentences, `script` answers with HTML, `bare`
leaves out timings and usage, `busy` is refused with 503 the first time, `midway` fails in the middle, `cut` loses the connection there,
`short` ends there without saying so, `length` ends at its limit, `whole` comes as one JSON object, `huge` is refused with 413, `odd` with 400;
any other is answered in words."""

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
MODEL = "fashion-int8"
SCRIPT = '<script>document.title = "owned"</script><img src=x onerror="document.title = \'owned\'"> <b>bold</b> & `code` **stars**'


def words(text):
    """Pieces as tokens are: a word each, with the space before it."""
    return [(" " if index else "") + word for index, word in enumerate(text.split(" "))]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def whole(self, status, body, kind="application/json", more=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in [("Content-Type", kind), ("Content-Length", str(len(data))), *more]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message, more=()):
        self.whole(status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, more=more)

    def is_allowed(self):
        key = self.server.key
        if key is None or self.headers.get("Authorization") == "Bearer " + key:
            return True
        self.refuse(401, "expected 'Authorization: Bearer KEY'")
        return False

    def do_GET(self):
        self.server.paths.append(self.path)
        if self.path == "/":
            page, policy = self.server.page()
            self.whole(200, page, "text/html; charset=utf-8", [("Content-Security-Policy", policy), *HEADERS.items()])
        elif self.path == "/v1/models":
            if self.is_allowed():
                self.whole(200, {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "lmmc"}]})
        else:
            self.refuse(404, "there is no " + self.path)

    def do_POST(self):
        self.server.paths.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/chat/completions":
            return self.refuse(404, "there is no " + self.path)
        if not self.is_allowed():
            return
        asked = json.loads(body)
        self.server.asked.append(asked)
        content = asked["messages"][-1]["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        question = "".join(part.get("text", "") for part in parts)
        pictures = sum(
            part["type"] == "image_url" for message in asked["messages"] for part in message["content"] if isinstance(part, dict)
        )
        kind = (question.split() or ["nothing"])[0]
        if kind == "busy" and not self.server.was_busy:
            self.server.was_busy = True
            return self.refuse(503, "8 requests wait already", [("Retry-After", "7")])
        if kind == "huge":
            return self.refuse(413, "a body has at most 64 MiB")
        if kind == "odd":
            return self.refuse(400, "'temperature' is 9; expected at most 2")
        self.answer(asked, kind, question, pictures)

    def answer(self, asked, kind, question, pictures):
        text = {
            "script": SCRIPT,
            "slow": " ".join(f"word{i}" for i in range(400)),
            "long": " ".join(f"This is sentence {i} of the answer." for i in range(60)),
            "cut": "half an answer",
            "short": "half an answer",
            "midway": "half an answer",
        }.get(kind, f"An answer to \u201c{question}\u201d, with {pictures} picture{'s' * (pictures != 1)} in view.")
        if asked.get("response_format"):
            text = '{"items": ["ankle boot", "pullover"]}'
        pieces, begun = words(text), time.monotonic()
        pause = self.server.pause * {"slow": 5, "long": 0.3}.get(kind, 1)
        seen = 576 * pictures
        usage = {
            "prompt_tokens": 38 + seen,
            "completion_tokens": len(pieces),
            "total_tokens": 38 + seen + len(pieces),
            "prompt_tokens_details": {"cached_tokens": 0, "image_tokens": seen},
        }
        timings = {
            "preprocess": 1.5,
            "vision": 182.4 * pictures,
            "project": 3.1,
            "prefill": 94.25,
            "decode": 20.0 * len(pieces),
            "time_to_first_token": 301.7,
            "tokens_per_second": 47.31,
        }
        if kind == "whole":
            return self.whole(
                200, {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": usage}
            )
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.event(self.chunk({"role": "assistant", "content": ""}))
            time.sleep(self.server.pause * 4)
            for index, piece in enumerate(pieces):
                self.event(self.chunk({"content": piece}))
                if index == 1 and kind == "cut":
                    self.close_connection = True
                    return
                if index == 1 and kind == "short":
                    break
                if index == 1 and kind == "midway":
                    self.event({"error": {"message": "memory is out"}})
                    break
                time.sleep(pause)
            else:
                self.event(self.chunk({}, "length" if kind == "length" else "stop"))
                if kind != "bare":
                    self.event({**self.chunk(None), "choices": [], "usage": usage, "timings": timings})
                self.data(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
            self.server.gone.append((question, time.monotonic() - begun))

    def chunk(self, delta, finish=None):
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    def event(self, value):
        self.data(b"data: " + json.dumps(value).encode() + b"\n\n")

    def data(self, data):
        # Chunks of HTTP need not be whole events.
        for part in (data[:9], data[9:]):
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, page, port=0, pause=0.01):
        """`page` gives the page's bytes and its policy; `pause` is what a token takes, in seconds."""
        super().__init__(("127.0.0.1", port), Handler)
        self.page, self.pause, self.key = page, pause, None
        self.asked, self.paths, self.gone, self.was_busy = [], [], [], False
        self.origin = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def start(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self


if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "Tools"))
    import page_to_c

    server = Server(page_to_c.compose, int(sys.argv[1]) if len(sys.argv) > 1 else 8080, 0.05)
    print("listening on " + server.origin, file=sys.stderr)
    server.serve_forever()
