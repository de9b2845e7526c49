"""The page in a tab: what a person does with it, what the browser tells of it, and how its tests run."""

import os
import subprocess
import time
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
PICTURES = os.path.join(ROOT, "examples", "fashion", "images")
PRINTER = """#include "serve/page/page.h"
#include <stdio.h>
#include <string.h>
int main(void) {
  if (lmmc_page[lmmc_page_bytes] != 0) return 1;
  printf("%s\\n%s\\n", lmmc_page_policy, lmmc_page_tag);
  return fwrite(lmmc_page, 1, lmmc_page_bytes, stdout) == lmmc_page_bytes ? 0 : 1;
}
"""
# Of all that shows a text of its own: the least ratio of its colour to what lies behind it, and where that is.
CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (c) => {
    const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const c = colour(getComputedStyle(node).backgroundColor);
      if (c[3] === 255) return c;
    }
    return [255, 255, 255];
  };
  let least = [99, ''];
  for (const node of document.querySelectorAll('body *')) {
    const field = node.matches('input, textarea');
    const own = field || [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility({visibilityProperty: true}) || node.matches(':disabled')) continue;
    if (node.closest('.unseen, noscript, script, style')) continue;
    for (const part of field ? [null, '::placeholder'] : [null]) {
      const a = light(colour(getComputedStyle(node, part).color)), b = light(behind(node));
      const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (ratio < least[0]) least = [ratio, `${node.tagName} ${node.id || node.className} ${node.textContent.slice(0, 30)}`];
    }
  }
  return least;
})()"""
ANSWER = "(document.querySelector('.turn:last-child .answered .words')?.textContent || '')"
IS_DONE = "!document.body.classList.contains('busy') && !!document.querySelector('.turn')"


def page_of_c_file(folder):
    """What a program has of the page, by the C file that it is compiled from."""
    source, program = os.path.join(folder, "print.c"), os.path.join(folder, "print")
    with open(source, "w", encoding="ascii") as file:
        file.write(PRINTER)
    runtime = os.path.join(ROOT, "Runtime")
    subprocess.run(
        [
            *os.environ.get("CC", "cc").split(),
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{runtime}",
            source,
            os.path.join(runtime, "serve", "page", "page_content.c"),
            "-o",
            program,
        ],
        check=True,
    )
    policy, tag, page = subprocess.run([program], check=True, stdout=subprocess.PIPE).stdout.split(b"\n", 2)
    return page, policy.decode(), tag.decode()


class Page:
    """The page of one server in one tab, and the methods `test_*` of a class that is made of it, in their order."""

    def __init__(self, browser, origin, folder, screenshots):
        self.b, self.origin, self.folder, self.screenshots = browser, origin, folder, screenshots

    def begin(self):
        """A page without a conversation, settings or a key."""
        self.b.media("light")
        self.b.size(1000, 760)
        self.b.evaluate("try { localStorage.clear(); sessionStorage.clear(); } catch {}")
        self.load()

    def load(self):
        self.b.evaluate("window.isOld = true")
        self.b.command("Page.navigate", url=self.origin + "/")
        assert self.b.wait("!window.isOld && document.readyState === 'complete'"), "the page does not load"

    def ask(self, text, is_done=True, timeout=5):
        """By keys, in the field that has the focus."""
        count = self.b.evaluate("document.querySelectorAll('.turn').length")
        self.b.type(text)
        self.b.key("Enter")
        assert self.b.wait(f"document.querySelectorAll('.turn').length > {count}"), "no question appeared"
        if is_done:
            assert self.b.wait(IS_DONE, timeout), "the answer does not end"

    def show(self, name):
        if self.screenshots:
            self.b.screenshot(os.path.join(self.screenshots, name + ".png"))

    def choose(self, *names):
        count = self.b.evaluate("document.querySelectorAll('#pictures li').length")
        node = self.b.command("DOM.querySelector", nodeId=self.b.command("DOM.getDocument")["root"]["nodeId"], selector="#file")["nodeId"]
        self.b.command(
            "DOM.setFileInputFiles", nodeId=node, files=[name if os.path.isabs(name) else os.path.join(PICTURES, name) for name in names]
        )
        return count

    def took(self, method, **parameters):
        """Whether such an event came."""
        return any(e["method"] == method and parameters.items() <= e["params"].items() for e in self.b.events)

    def names(self):
        """Role and name of what the accessibility tree has, without what it ignores."""
        nodes = self.b.command("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")]

    def pieces_of(self, message):
        return message["content"] if isinstance(message["content"], list) else [{"type": "text", "text": message["content"]}]

    # What no test may leave behind

    def take_errors(self):
        """Texts of errors and warnings that the browser told since the last call."""
        self.b.evaluate("0")
        texts = []
        for event in self.b.events:
            p = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                texts.append(p["exceptionDetails"].get("exception", {}).get("description") or p["exceptionDetails"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
                texts.append(str(p["args"]))
            elif event["method"] == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
                texts.append(p["entry"]["text"])
            elif event["method"] == "Network.requestWillBeSent":
                url = p["request"]["url"]
                if not url.startswith((self.origin + "/", "data:", "blob:" + self.origin)) and "127.0.0.2" not in url:
                    texts.append("a request to " + url)
        self.b.events.clear()
        return texts

    def run(self, only):
        passed = failed = 0
        for name in [name for name in vars(type(self)) if name.startswith("test_") and only in name]:
            begun = time.monotonic()
            try:
                self.begin()
                self.take_errors()
                getattr(self, name)()
                errors = self.take_errors()
                assert not errors, f"the browser tells: {errors}"
                passed += 1
                print(f"ok      {name} ({time.monotonic() - begun:.1f} s)")
            except Exception as error:  # whatever it is, the others run
                failed += 1
                line = traceback.extract_tb(error.__traceback__)[1].line
                print(f"FAILED  {name}: {type(error).__name__}: {error}: {line}")
                self.show("failed-" + name)
        return passed, failed
