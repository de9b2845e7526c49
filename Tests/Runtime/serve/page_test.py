#!/usr/bin/env python3
"""The page that a server shows at `/`, in a headless Chromium, against a server without a model. The last line is `N passed, M failed`.

    page_test.py [--browser PROGRAM] [--screenshots FOLDER] [--only NAME]
    page_test.py --server http://ADDR:PORT ...       asks that server a little instead

The page is what the C file holds, sent with the policy that it holds. Needs a C compiler (CC, cc), Chromium and the standard library."""

import argparse
import base64
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "..", "Tools")]
import mock_server
import page_to_c
from browser import CONTROL, SHIFT, Browser
from page_driver import ANSWER, CONTRAST, IS_DONE, PICTURES, ROOT, Page, page_of_c_file

NAMED_ROLES = {
    "button",
    "textbox",
    "spinbutton",
    "link",
    "image",
    "img",
    "dialog",
    "main",
    "list",
    "form",
    "group",
    "region",
    "log",
    "heading",
    "searchbox",
    "checkbox",
    "combobox",
}


class MockTests(Page):
    """The server is mock_server's."""

    def __init__(self, browser, server, folder, screenshots):
        super().__init__(browser, server.origin, folder, screenshots)
        self.server = server

    def begin(self):
        super().begin()
        self.server.asked.clear()
        self.server.gone.clear()

    def test_streams_an_answer_by_keys(self):
        assert self.b.wait("document.getElementById('model').textContent === 'fashion-int8'"), "no model name"
        assert self.b.evaluate("document.title") == "fashion-int8"
        assert self.b.evaluate("document.activeElement.id") == "question", "the question has no focus"
        assert self.b.evaluate("document.getElementById('send').disabled"), "an empty question can be sent"
        self.show("empty-light")
        self.b.type("What is")
        self.b.key("Enter", SHIFT)
        self.b.type("this?")
        self.b.key("Enter")
        part = self.b.wait(f"{ANSWER}.length > 3 && {ANSWER}")
        assert part and not part.endswith("in view."), f"no part of the answer was seen, but {part!r}"
        assert self.b.evaluate("document.body.classList.contains('busy')"), "the answer ended at once"
        assert self.b.wait(IS_DONE)
        whole = self.b.evaluate(ANSWER)
        assert whole == "An answer to \u201cWhat is\nthis?\u201d, with 0 pictures in view.", whole
        asked = self.server.asked[-1]
        assert asked["messages"] == [{"role": "user", "content": "What is\nthis?"}], asked
        assert asked["stream"] is True and asked["stream_options"] == {"include_usage": True} and asked["model"] == "fashion-int8", asked
        assert not {"temperature", "top_p", "seed", "stop", "response_format"} & set(asked), "what nobody set was sent"
        assert self.b.evaluate("document.activeElement.id") == "question", "the focus was lost"

    def test_several_turns(self):
        self.ask("First question")
        self.ask("Second question")
        first = self.b.evaluate("document.querySelector('.turn .answered .words').textContent")
        assert [m["role"] for m in self.server.asked[-1]["messages"]] == ["user", "assistant", "user"]
        assert self.server.asked[-1]["messages"][1]["content"] == first
        # The last one is asked again, with the same messages.
        self.b.evaluate("[...document.querySelectorAll('.turn:last-child button')].find((b) => b.textContent === 'Ask again').click()")
        assert self.b.wait(IS_DONE) and len(self.server.asked) == 3 and self.server.asked[2] == self.server.asked[1], "not the same again"
        # And edited: what was being written comes back when that is given up.
        self.b.type("draft")
        edit = "[...document.querySelectorAll('.turn:last-child button')].find((b) => b.textContent === 'Edit').click()"
        self.b.evaluate(edit)
        assert self.b.evaluate("document.getElementById('question').value") == "Second question"
        self.b.key("Escape")
        assert self.b.evaluate("document.getElementById('question').value") == "draft"
        self.b.evaluate("document.getElementById('question').value = ''")
        self.b.evaluate(edit)
        self.b.type(" with more")
        self.b.key("Enter")
        assert self.b.wait("document.querySelector('.turn:last-child .asked .words').textContent === 'Second question with more'")
        assert self.b.wait(IS_DONE)
        assert len(self.server.asked[-1]["messages"]) == 3 and self.b.evaluate("document.querySelectorAll('.turn').length") == 2
        # A new conversation, which can be taken back.
        self.b.click("#new")
        assert self.b.evaluate("document.querySelectorAll('.turn').length") == 0
        self.b.click("#notice button")
        assert self.b.evaluate("document.querySelectorAll('.turn').length") == 2

    def test_pictures_come_by_paste_drop_and_choice(self):
        # Pasting, from the real clipboard.
        self.b.command(
            "Browser.grantPermissions", session=None, origin=self.origin, permissions=["clipboardReadWrite", "clipboardSanitizedWrite"]
        )
        self.b.command("Page.bringToFront")
        self.b.evaluate("""(async () => {
          const canvas = document.createElement('canvas');
          canvas.width = 320; canvas.height = 200;
          const to = canvas.getContext('2d'), sky = to.createLinearGradient(0, 0, 320, 200);
          sky.addColorStop(0, '#f7b267'); sky.addColorStop(1, '#5c4d7d');
          to.fillStyle = sky; to.fillRect(0, 0, 320, 200);
          const blob = await new Promise((done) => canvas.toBlob(done, 'image/png'));
          await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]);
        })()""")
        self.b.key("v", CONTROL, ["paste"])
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 1"), "nothing was pasted"
        # Dropping, onto the conversation.
        drag = {"items": [], "files": [os.path.join(PICTURES, "sixth.webp")], "dragOperationsMask": 1}
        self.b.command("Input.dispatchDragEvent", type="dragEnter", x=300, y=200, data=drag)
        assert self.b.wait("!document.getElementById('curtain').hidden"), "dragging shows nothing"
        for kind in ("dragOver", "drop"):
            self.b.command("Input.dispatchDragEvent", type=kind, x=300, y=200, data=drag)
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 2"), "nothing was dropped: " + self.b.evaluate(
            "document.body.innerText"
        )
        assert self.b.evaluate("document.getElementById('curtain').hidden")
        # Choosing; what is no picture is refused in words.
        text = os.path.join(self.folder, "notes.png")
        with open(text, "w", encoding="ascii") as file:
            file.write("no picture")
        self.choose("fifth.jpg", text)
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 3"), "nothing was chosen"
        assert self.b.wait("document.getElementById('notice').textContent.includes('notes.png is no JPEG, PNG or WebP picture')")
        names = self.b.evaluate("[...document.querySelectorAll('#pictures button')].map((b) => b.ariaLabel)")
        assert names == ["Remove image.png", "Remove sixth.webp", "Remove fifth.jpg"], names
        # One is taken back by keys.
        self.b.evaluate("document.querySelectorAll('#pictures button')[1].focus()")
        self.b.key("Enter")
        assert self.b.evaluate("document.querySelectorAll('#pictures li').length") == 2
        assert self.b.evaluate("document.activeElement.ariaLabel") == "Remove fifth.jpg", "the focus was lost"
        self.b.evaluate("document.getElementById('question').focus()")
        self.ask("Name both")
        parts = self.pieces_of(self.server.asked[-1]["messages"][0])
        assert [part["type"] for part in parts] == ["image_url", "image_url", "text"], parts
        assert [part["image_url"]["url"].split(",")[0] for part in parts[:2]] == ["data:image/png;base64", "data:image/jpeg;base64"]
        figures = self.b.evaluate("document.querySelector('.figures').textContent")
        for part in ("tower365 ms", "prefill94 ms", "first token302 ms", "tokens/s47.3", "vision1152 of 1190 tokens (97 %)"):
            assert part in figures, figures
        self.ask("And now?")
        assert [part["type"] for part in self.pieces_of(self.server.asked[-1]["messages"][0])] == ["image_url", "image_url", "text"]
        self.show("pictures-light")
        self.b.media("dark")
        self.show("pictures-dark")

    def test_turned_pictures_are_put_upright(self):
        with open(os.path.join(ROOT, "Tests", "Runtime", "image", "image_golden", "40x3.jpg"), "rb") as file:
            plain = file.read()
        # EXIF that says orientation 6: to be turned by a quarter; both byte orders.
        for order, pack in (
            ("little", b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0"),
            ("big", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0"),
        ):
            exif = b"Exif\0\0" + pack + bytes(4)
            with open(os.path.join(self.folder, order + ".jpg"), "wb") as file:
                file.write(plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:])
        with open(os.path.join(self.folder, "plain.jpg"), "wb") as file:
            file.write(plain)
        self.choose(*(os.path.join(self.folder, name + ".jpg") for name in ("little", "big", "plain")))
        assert self.b.wait("document.querySelectorAll('#pictures img').length === 3")
        sizes = self.b.evaluate("[...document.querySelectorAll('#pictures img')].map((image) => [image.naturalWidth, image.naturalHeight])")
        assert sizes == [[3, 40], [3, 40], [40, 3]], sizes
        self.ask("How tall?")
        urls = [part["image_url"]["url"] for part in self.server.asked[-1]["messages"][0]["content"][:3]]
        sent = [base64.b64decode(url.split(",")[1]) for url in urls]
        assert b"Exif" not in sent[0] + sent[1] and sent[2] == plain, "a file that needs no turning was changed"

    def test_stops(self):
        for how in ("key", "button"):
            self.ask("slow please", False)
            assert self.b.wait(f"{ANSWER}.split(' ').length > 2")
            if how == "key":
                self.b.key("Escape")
            else:
                self.show("growing-light")
                self.b.click("#stop")
            assert self.b.wait(IS_DONE), "it did not stop"
            count = len(self.b.evaluate(ANSWER).split(" "))
            assert 2 < count < 200, count
            assert "Stopped" in self.b.evaluate("document.querySelector('.turn:last-child .state').textContent")
            assert self.b.evaluate("document.activeElement.id") == "question", "the focus was lost"
        end = time.monotonic() + 3
        while len(self.server.gone) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.server.gone) == 2, "the server was not left"
        self.ask("What next")
        assert self.server.asked[-1]["messages"][1]["content"].startswith("word0 word1"), "what was said of it is not in the conversation"

    def test_text_is_never_html(self):
        self.ask("script <i>mine</i>")
        assert self.b.evaluate(ANSWER) == mock_server.SCRIPT
        assert self.b.evaluate("document.title") == "fashion-int8"
        assert self.b.evaluate("document.querySelectorAll('#turns script, #turns img, #turns b, #turns i:not(.share i)').length") == 0
        # The policy holds, even where the page would do such a thing.
        assert (
            self.b.evaluate("(() => { try { document.body.innerHTML += '<b>x</b>'; return 'done'; } catch (e) { return e.name; } })()")
            == "TypeError"
        )
        self.b.evaluate("document.head.append(Object.assign(document.createElement('style'), {textContent: 'body { color: red }'}))")
        assert self.b.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)", "a style of somebody else holds"
        assert self.b.evaluate("fetch('http://127.0.0.2:9/').then(() => 'sent', () => 'refused')") == "refused"
        self.b.wait("true")
        wanted = sum("Content Security Policy" in text or "TrustedHTML" in text for text in self.take_errors())
        assert wanted >= 2, "the policy refused nothing"

    def test_errors_in_words(self):
        notice = "document.querySelector('.turn:last-child .notice')?.textContent || ''"
        self.server.was_busy = False
        self.ask("busy today")
        words = self.b.evaluate(notice)
        assert "The server is busy. Try again in 7 seconds, at " in words and "8 requests wait already" in words and "s left" in words, (
            words
        )
        assert self.b.evaluate("document.getElementById('alarm').textContent").startswith("The server is busy"), "nothing is read out"
        self.show("busy-light")
        self.b.evaluate("[...document.querySelectorAll('.turn:last-child button')].find((b) => b.textContent === 'Ask again').click()")
        assert self.b.wait(IS_DONE) and self.b.evaluate(ANSWER).startswith("An answer to"), "not answered when asked again"
        assert not self.b.evaluate(notice)
        self.b.evaluate("document.getElementById('question').focus()")
        for question, expected in [
            ("midway", "The server gave the answer up. It says: \u201cmemory is out\u201d."),
            ("cut", "The connection broke before the answer was whole."),
            ("short", "The connection broke before the answer was whole."),
            ("huge", "too much for the server"),
            ("odd", "The server refuses this question (400). The server says: \u201c'temperature' is 9"),
        ]:
            self.ask(question)
            assert expected in self.b.evaluate(notice), (question, self.b.evaluate(notice))
        assert self.b.evaluate("document.querySelectorAll('.turn')[1].querySelector('.answered .words').textContent") == "half an"
        network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.b.command("Network.emulateNetworkConditions", offline=True, **network)
        self.ask("nobody")
        self.b.command("Network.emulateNetworkConditions", offline=False, **network)
        assert "The server cannot be reached" in self.b.evaluate(notice), self.b.evaluate(notice)
        self.ask("length")
        assert "Cut" in self.b.evaluate("document.querySelector('.turn:last-child .state').textContent")
        # Questions without an answer are no part of the conversation, half answers are.
        assert [m["content"] for m in self.server.asked[-1]["messages"] if m["role"] == "user"] == [
            "busy today",
            "midway",
            "cut",
            "short",
            "length",
        ]
        self.take_errors()

    def test_without_timings(self):
        self.ask("bare")
        figures = self.b.evaluate("document.querySelector('.figures').textContent")
        assert "first token" in figures and "tokens/s" in figures and "measuredby this page" in figures and "tower" not in figures, figures
        self.ask("whole")
        assert self.b.evaluate(ANSWER).startswith("An answer to"), "one JSON object is no answer"

    def test_settings(self):
        self.b.click("#open-settings")
        assert self.b.evaluate("document.getElementById('settings').open")
        for name, value in {"temperature": "0.7", "top_p": "0.9", "top_k": "40", "seed": "7", "max_tokens": "99"}.items():
            self.b.evaluate(f"document.getElementById('{name}').focus()")
            self.b.type(value)
        self.b.evaluate("document.getElementById('system').focus()")
        self.b.type("Be brief")
        self.b.evaluate("document.getElementById('stops').focus()")
        self.b.type("END")
        self.b.key("Enter")
        self.b.type("a\\n")
        self.b.evaluate("document.getElementById('schema').focus()")
        self.b.type('{"type": ')
        assert self.b.wait("document.getElementById('schema-hint').textContent.startsWith('This is no JSON')")
        self.b.key("Escape")
        assert self.b.wait("!document.getElementById('settings').open"), "Escape does not close the settings"
        self.b.evaluate("document.getElementById('question').focus()")
        self.b.type("x")
        self.b.key("Enter")
        assert self.b.wait("document.activeElement.id === 'schema'"), "a wrong schema was sent"
        assert not self.server.asked
        self.b.type('"object"}')
        assert self.b.evaluate("document.getElementById('schema').ariaInvalid") == "false"
        self.show("settings-light")
        self.b.media("dark")
        self.show("settings-dark")
        self.load()  # They are remembered.
        self.ask("Items?")
        asked = self.server.asked[-1]
        for name, value in {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 7, "max_tokens": 99, "stop": ["END", "a\n"]}.items():
            assert asked.get(name) == value, (name, asked.get(name))
        assert asked["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}},
        }
        assert asked["messages"][0] == {"role": "system", "content": "Be brief"}
        assert self.b.evaluate("document.getElementById('open-settings').textContent") == "Settings (8)"

    def test_api_key(self):
        self.server.key = "secret-key"
        try:
            self.load()
            assert self.b.wait("document.getElementById('notice').textContent.includes('wants an API key')")
            self.b.click("#notice button")
            assert self.b.wait("document.activeElement.id === 'key'")
            self.b.type("secret-key")
            self.b.key("Escape")
            assert self.b.wait("document.getElementById('model').textContent === 'fashion-int8'"), "the key does not help"
            self.b.evaluate("document.getElementById('question').focus()")
            self.ask("Now?")
            assert self.b.evaluate(ANSWER).startswith("An answer to")
            assert "secret-key" not in self.b.evaluate("JSON.stringify(localStorage)"), "the key is kept for good"
            assert self.b.evaluate("sessionStorage.getItem('lmmc-key')") == "secret-key"
        finally:
            self.server.key = None
            self.take_errors()

    def test_export(self):
        self.b.command("Browser.setDownloadBehavior", session=None, behavior="allow", downloadPath=self.folder, eventsEnabled=True)
        self.choose("first.png")
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 1")
        self.ask("script with ```` fences")
        files = {}
        for ending, button in (("json", "#as-json"), ("md", "#as-markdown")):
            self.b.click("#export")
            assert self.b.wait("document.getElementById('exports').matches(':popover-open')")
            if ending == "json":
                self.show("export-light")
            self.b.click(button)
            end = time.monotonic() + 5
            while not self.took("Browser.downloadProgress", state="completed") and time.monotonic() < end:
                self.b.read(0.02)
            self.b.events = [e for e in self.b.events if e["method"] != "Browser.downloadProgress"]
            names = [name for name in os.listdir(self.folder) if name.endswith("." + ending)]
            assert names, f"no {ending} file came"
            with open(os.path.join(self.folder, names[0]), encoding="utf-8") as file:
                files[ending] = file.read()
            assert self.b.evaluate("document.activeElement.id") == "export", "the focus was lost"
        value = json.loads(files["json"])
        assert [m["role"] for m in value["messages"]] == ["user", "assistant"] and value["model"] == "fashion-int8"
        assert value["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
        assert value["messages"][1]["content"] == mock_server.SCRIPT and value["answers"][0]["timings"]["vision"] == 182.4
        text = files["md"]
        assert text.startswith("# Conversation with fashion\\-int8\n") and "Picture: first.png" in text.replace("\\", ""), text
        assert "\n`````text\nscript with ```` fences\n`````\n" in text and f"\n```text\n{mock_server.SCRIPT}\n```\n" in text, text
        assert "tower 182 ms, prefill 94 ms" in text, text

    def test_keyboard_alone(self):
        self.choose("first.png")
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 1")
        self.ask("One")
        self.choose("second.png")
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 1")
        self.b.type("T")
        self.b.evaluate("document.querySelector('.skip').focus()")
        walk = []
        for _ in range(20):
            name, outline = self.b.evaluate(
                "(() => { const e = document.activeElement, s = getComputedStyle(e), c = getComputedStyle(e.closest('.card') || e);"
                " return [e.id || e.ariaLabel || e.textContent, s.outlineStyle !== 'none' || c.boxShadow.includes('0px 0px 0px 1px')]; })()"
            )
            if walk and name == walk[0] or name.startswith("\n"):
                break
            walk.append(name)
            assert outline, f"nothing shows that {name} has the focus"
            self.b.key("Tab")
        expected = [
            "Skip to the question",
            "new",
            "export",
            "open-settings",
            "talk",
            "Edit",
            "Copy",
            "Ask again",
            "Remove second.png",
            "question",
            "choose",
            "send",
        ]
        assert walk == expected, walk
        self.b.evaluate("document.getElementById('export').focus()")
        self.b.key("Enter")
        self.b.key("Tab")
        assert self.b.evaluate("document.activeElement.id") == "as-json", "the menu is not behind its button"
        self.b.key("Escape")
        assert self.b.evaluate("document.activeElement.id") == "export"
        self.b.evaluate("document.getElementById('open-settings').focus()")
        self.b.key("Enter")
        for _ in range(14):
            assert self.b.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')"), (
                "the focus leaves the settings"
            )
            self.b.key("Tab")
        self.b.key("Escape")
        assert self.b.evaluate("document.activeElement.id") == "open-settings", "the focus does not come back"
        self.b.evaluate("document.getElementById('send').focus()")
        self.b.key("Space")
        assert self.b.wait("document.querySelectorAll('.turn').length === 2") and self.b.evaluate("document.activeElement.id") == "stop", (
            "Stop has no focus"
        )
        assert self.b.wait(IS_DONE) and self.b.evaluate("document.activeElement.id") == "question"

    def test_names_and_roles(self):
        self.choose("first.png", "second.png")
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 2")
        self.ask("script")
        self.choose("third.png")
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 1")
        for place in ("page", "settings"):
            names = self.names()
            assert [] == [role for role, name in names if role in NAMED_ROLES and not name.strip() and role not in ("list", "group")], names
            if place == "page":
                for wanted in [
                    ("textbox", "Your question"),
                    ("main", "Conversation"),
                    ("button", "Remove third.png"),
                    ("image", "first.png"),
                    ("log", "The answer, read out"),
                    ("button", "Send"),
                    ("button", "Add pictures"),
                    ("heading", "fashion-int8"),
                ]:
                    assert wanted in names, (wanted, names)
                self.b.click("#open-settings")
        for wanted in [
            ("dialog", "Settings"),
            ("spinbutton", "Temperature"),
            ("spinbutton", "Tokens at most"),
            ("textbox", "System text"),
            ("textbox", "Stop at"),
            ("textbox", "JSON schema of the answer"),
            ("textbox", "API key"),
            ("button", "Close"),
        ]:
            assert wanted in names, (wanted, names)

    def test_is_read_out_in_sentences(self):
        self.b.evaluate("""window.told = 0;
          new MutationObserver((list) => { window.told += list.filter((m) => m.addedNodes.length).length; })
          .observe(document.getElementById('spoken'), {childList: true, subtree: true, characterData: true})""")
        assert self.b.evaluate("!document.getElementById('turns').closest('[aria-live], [role=log], [role=status], [role=alert]')")
        self.ask("long")
        told, pieces = self.b.evaluate("window.told"), len(self.b.evaluate(ANSWER).split(" "))
        assert pieces > 300 and 2 <= told <= 8, (told, pieces)
        spoken = self.b.evaluate("document.getElementById('spoken').textContent")
        assert "This is sentence 59 of the answer." in spoken and spoken.endswith("The answer is whole."), spoken[-200:]
        # The view follows the answer to its end, but not where somebody reads further up.
        behind = "(() => { const t = document.getElementById('talk'); return t.scrollHeight - t.scrollTop - t.clientHeight; })()"
        assert self.b.wait(behind + " < 5"), self.b.evaluate(behind)
        self.ask("long", False)
        self.b.evaluate("document.getElementById('talk').scrollTop = 0")
        assert self.b.wait(IS_DONE) and self.b.evaluate("document.getElementById('talk').scrollTop") == 0, "the view was taken away"

    def test_contrast_and_widths(self):
        self.choose("first.png")
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 1")
        self.ask("Which " + "very" * 30)
        self.server.was_busy = False
        self.ask("busy")
        self.choose("fourth.png", os.path.join(HERE, "page_test.py"))
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 1")
        for scheme in ("light", "dark"):
            self.b.media(scheme)
            for place in ("page", "settings"):
                ratio, where = self.b.evaluate(CONTRAST)
                assert ratio >= 4.5, f"{scheme}, {place}: {ratio:.2f} at {where}"
                if place == "page":
                    self.b.click("#open-settings")
            self.b.key("Escape")
            ground = self.b.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(246, 245, 241)", "dark": "rgb(20, 21, 25)"}[scheme], ground
        for width, height in ((320, 560), (390, 844), (1400, 800)):
            self.b.size(width, height, width < 1000)
            wide = self.b.evaluate(
                "[document.documentElement, document.getElementById('talk')].map((node) => node.scrollWidth - node.clientWidth)"
            )
            assert wide == [0, 0] and self.b.evaluate("innerWidth") == width, (width, wide)
            assert self.b.evaluate(
                "(({width, right, bottom}) => width > 0 && right <= innerWidth && bottom <= innerHeight)"
                "(document.getElementById('send').getBoundingClientRect())"
            )
            self.show(f"width-{width}-dark")
            self.b.media("light")
            self.show(f"width-{width}-light")
            self.b.media("dark")
        self.take_errors()

    def test_asks_for_nothing_else(self):
        assert set(self.server.paths) <= {"/", "/v1/models", "/v1/chat/completions"}, self.server.paths


class ServerTests(Page):
    """The server is a program's: the page is sent as it must be, and understands what the server says."""

    def test_is_sent_with_its_headers(self):
        page, policy = page_to_c.compose()
        with urllib.request.urlopen(self.origin + "/") as response:
            assert response.read() == page, "another page"
            sent = response.headers
        for name, value in {"Content-Security-Policy": policy, "Content-Type": "text/html; charset=utf-8", **mock_server.HEADERS}.items():
            assert sent[name] == value, (name, sent[name])

    def test_conversation(self):
        assert self.b.wait("document.getElementById('model').textContent !== 'Ask about a picture'"), "no model name"
        self.choose("first.png")
        assert self.b.wait("document.querySelectorAll('#pictures li').length === 1")
        self.ask("How many pullovers do you see?", timeout=60)
        self.ask("And how many bags?", timeout=60)
        assert self.b.evaluate("[...document.querySelectorAll('.answered .words')].every((node) => node.textContent)"), "an answer is empty"
        assert not self.b.evaluate("document.querySelectorAll('#turns .notice:not([hidden])').length"), "an error is shown"
        figures = self.b.evaluate("[...document.querySelectorAll('.figures')].map((node) => node.textContent).join(' ')")
        for part in ("tower", "prefill", "first token", "tokens/s", "answer", "vision"):
            assert part in figures, figures
        assert "measured" not in figures, figures
        for scheme in ("light", "dark"):
            self.b.media(scheme)
            self.show("server-" + scheme)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--browser", default=shutil.which("chromium"))
    arguments.add_argument("--screenshots")
    arguments.add_argument("--only", default="")
    arguments.add_argument("--server")
    asked = arguments.parse_args()
    if not page_to_c.is_current():
        print("FAILED  Runtime/serve/page/page_content.c is not what Runtime/serve/page gives; Tools/page_to_c.py writes it\n0 passed, 1 failed")
        return 1
    if not asked.browser:
        print("not run: the page in a browser; there is no 'chromium' in PATH (chromium)\n1 passed, 0 failed")
        return 0
    if asked.screenshots:
        os.makedirs(asked.screenshots, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="page-")
    browser = None
    try:
        page, policy, tag = page_of_c_file(folder)
        assert len(page) < page_to_c.MOST_BYTES and tag[0] == tag[-1] == '"'
        browser = Browser(asked.browser)
        browser.open_tab()
        if asked.server:
            tests = ServerTests(browser, asked.server.rstrip("/"), folder, asked.screenshots)
        else:
            tests = MockTests(browser, mock_server.Server(lambda: (page, policy)).start(), folder, asked.screenshots)
        passed, failed = tests.run(asked.only)
    finally:
        if browser:
            browser.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed + 1} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
