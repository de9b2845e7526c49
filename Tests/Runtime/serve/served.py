"""A program that serves, for tests in Python: started on a port that the kernel chooses, and asked by the standard library alone."""
import base64
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib


def png(width, height, seed=0):
    """The bytes of a picture: stripes that differ from seed to seed."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def pixel(x, y):
        return bytes(((x * 40 + seed * 97) % 256, (y * 30 + seed * 31) % 256, (x + y + seed) * 11 % 256))

    rows = b"".join(b"\0" + b"".join(pixel(x, y) for x in range(width)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURE = png(24, 20)
PICTURE_TEXT = base64.b64encode(PICTURE).decode()


class Server:
    def __init__(self, program, *options, environment=None):
        self.program, self.log = program, []
        self.process = subprocess.Popen([program, "--serve", "127.0.0.1:0", *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        stdin=subprocess.DEVNULL, text=True, env={**os.environ, **(environment or {})})
        self.address = None
        for line in self.process.stderr:
            self.log.append(line)
            if line.startswith("listening on http://"):
                self.address = line.split()[2].rstrip("/")
                break
        if not self.address:
            raise RuntimeError("no server: " + "".join(self.log))
        self.place = self.address.split("//")[1]
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        for line in self.process.stderr:
            self.log.append(line)

    def ask(self, method, path, body=None, headers=None, timeout=60):
        """Status, Content-Type and the bytes of the body."""
        connection = http.client.HTTPConnection(self.place, timeout=timeout)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        kind = {} if data is None else {"Content-Type": "application/json"}
        connection.request(method, path, data, {**kind, **(headers or {})})
        response = connection.getresponse()
        found = response.status, response.getheader("Content-Type") or "", response.read()
        connection.close()
        return found

    def behind_head(self, path):
        """What is sent behind the head to who asks for that alone, of which a library says nothing."""
        host, port = self.place.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as s:
            s.sendall(f"HEAD {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while some := s.recv(65536):
                data += some
        return data.split(b"\r\n\r\n", 1)[1]

    def get(self, path):
        status, _, body = self.ask("GET", path)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:200]!r}")
        return json.loads(body)

    def model(self):
        return self.get("/v1/models")["data"][0]["id"]

    def said(self, *options, image=False, environment=None):
        """What the same program says on its command line."""
        command = [self.program, "--json", *options]
        if image:
            path = f"/tmp/lmmc-picture-{os.getpid()}.png"
            with open(path, "wb") as f:
                f.write(PICTURE)
            command += ["--image", path]
        done = subprocess.run(command, capture_output=True, env={**os.environ, **(environment or {})}, check=False)
        if image:
            os.unlink(path)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    def stop(self):
        """Its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return -9


class Checks:
    """Counts checks, and prints those that failed."""

    def __init__(self, name):
        self.name, self.passed, self.failed = name, 0, 0

    def check(self, right, what):
        if right:
            self.passed += 1
        else:
            self.failed += 1
            print(f"{self.name}: failed: {what}")
        return right

    def equal(self, got, wanted, what):
        return self.check(got == wanted, f"{what}: {got!r}, not {wanted!r}")

    def end(self):
        print(f"{self.name}: {self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
