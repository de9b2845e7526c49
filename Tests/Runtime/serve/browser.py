"""A headless Chromium, driven by the DevTools protocol over a pair of pipes: JSON messages that end with a zero byte."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time


class BrowserError(Exception):
    pass


# Keys whose names say more than their characters.
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Tab": ("Tab", 9, ""),
    "Escape": ("Escape", 27, ""),
    "Space": ("Space", 32, " "),
    "Backspace": ("Backspace", 8, ""),
}
SHIFT, CONTROL = 8, 2


class Browser:
    def __init__(self, program):
        self.folder = tempfile.mkdtemp(prefix="browser-")
        out_read, out_write = os.pipe()  # commands
        in_read, in_write = os.pipe()  # answers and events
        # The browser reads descriptor 3 and writes 4. Root has no sandbox, and a container often no large /dev/shm.
        flags = [
            "--headless=new",
            "--remote-debugging-pipe",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-pings",
            "--mute-audio",
            "--hide-scrollbars",
            f"--user-data-dir={self.folder}",
            "--window-size=1000,760",
        ]
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{out_read} 4>&{in_write}', "bash", program, *flags, "about:blank"],
            pass_fds=(out_read, in_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(out_read)
        os.close(in_write)
        self.output, self.input, self.buffer = out_write, in_read, b""
        self.count, self.session, self.events, self.answers = 0, None, [], {}

    def close(self):
        try:
            self.command("Browser.close", session=None)
            self.process.wait(5)
        except (BrowserError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.output)
        os.close(self.input)
        shutil.rmtree(self.folder, ignore_errors=True)

    def read(self, timeout):
        """Takes in what the browser said; False where it says nothing in time."""
        if not select.select([self.input], [], [], timeout)[0]:
            return False
        data = os.read(self.input, 1 << 20)
        if not data:
            raise BrowserError("the browser ended")
        *whole, self.buffer = (self.buffer + data).split(b"\0")
        for text in whole:
            message = json.loads(text)
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)
        return True

    def command(self, method, session="own", timeout=15, **parameters):
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if session == "own" and self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data) :]
        end = time.monotonic() + timeout
        while message["id"] not in self.answers:
            if not self.read(max(0, end - time.monotonic())) and time.monotonic() >= end:
                raise BrowserError(f"no answer to {method}")
        answer = self.answers.pop(message["id"])
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    def open_tab(self):
        target = self.command("Target.createTarget", session=None, url="about:blank")["targetId"]
        self.session = self.command("Target.attachToTarget", session=None, targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM", "Accessibility"):
            self.command(domain + ".enable")

    def evaluate(self, expression):
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise BrowserError(f"{expression[:80]}: {details.get('exception', {}).get('description', details['text'])}")
        return result["result"].get("value")

    def wait(self, expression, timeout=5):
        """Waits until the expression is true, and gives its value."""
        end = time.monotonic() + timeout
        while True:
            value = self.evaluate(expression)
            if value or time.monotonic() > end:
                return value
            self.read(0.02)

    def key(self, name, modifiers=0, commands=()):
        letter = (f"Key{name.upper()}", ord(name[0].upper()), "" if modifiers & CONTROL else name)
        code, number, text = KEYS.get(name, letter)
        key = " " if name == "Space" else name
        common = {"modifiers": modifiers, "key": key, "code": code, "windowsVirtualKeyCode": number}
        more = {"text": text} if text else {}
        self.command("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", commands=list(commands), **common, **more)
        self.command("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        for character in text:
            self.command("Input.dispatchKeyEvent", type="keyDown", key=character, text=character)
            self.command("Input.dispatchKeyEvent", type="keyUp", key=character)

    def click(self, selector):
        box = self.evaluate(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def media(self, scheme):
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def size(self, width, height, mobile=False):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile)

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))
