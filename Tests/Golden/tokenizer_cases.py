"""Encode and decode cases with what SentencePiece gives: a fixed nasty list for the small tokenizer, fuzz for any.

An encode case is {"text": string, "ids": [...]}, or {"base64": bytes, "ids": [...]} where the input is not valid UTF-8 or
holds a zero byte; ids are without BOS. A decode case is {"ids": [...], "text": string}, bytes that form no UTF-8 being
U+FFFD in the text."""
import base64
import json
import random

import sentencepiece

NASTY = [
    "", " ", "  ", "   ", " " * 17, "a", " a", "a ", "  a  ", "a  b   c", "\t", "\t\t x", "\n", "\n\n", " \n ", "\r\n", "a\r\nb", "\v\f", "\u00a0", "a\u00a0b", "\u3000\u3000",
    "\u200b", "\u2028line\u2029", "\ufeffbom", "The picture", "the picture of the assistant", "ASSISTANT:", "USER: What is it? ASSISTANT:", "helpful, detailed, and polite answers",
    "artificialintelligence", "ARTIFICIAL", "3", "12", "1234567890", "3.14159e-10", "25 %", "x" * 100, "a" * 257, "e " * 60, "the " * 40, "aaaaaaaab", "\u65e5" * 33,
    "\u2581", "\u2581\u2581", " \u2581 ", "a\u2581b", "\u2581the", "\u2581 the", "<s>", "</s>", "<unk>", "<0x41>", "<0x0A>", " <s> ", "a</s>b", "<s></s><unk><0x00>", "<pad>", "<image>", "[INST]",
    "<|eot_id|>", "\U0001f600", "\U0001f600\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f3f3\ufe0f\u200d\U0001f308", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea",
    "e\u0301", "\u00e9", "e\u0301\u0327\u0323", "Z\u0334\u0321\u0300algo", "caf\u00e9 na\u00efve Z\u00fcrich", "\u00df\u1e9e\u0130\u0131", "\ufb01\ufb02", "\u212b\u00c5A\u030a", "\uff21\uff22\uff23",
    "\u65e5\u672c\u8a9e\u3002", "\u65e5 \u672c \u8a9e", "\u4f60\u597d\uff0c\u4e16\u754c", "\ud55c\uad6d\uc5b4", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\u05e9\u05dc\u05d5\u05dd \u202eabc\u202c", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35",
    "\u043f\u0440\u0438\u0432\u0435\u0442", "\U00010348\U0001d11e\U00020000", "\U0010ffff", "\uffff\ufffe", "\ufffd", "\ufffd\ufffd a", "\u0001", "\u0001\u0002\u001f\u007f", "\x1b[31mred\x1b[0m", "\u0080\u009f", "a\u0000b", "\u0000",
    "def area(width, height):\n    return width * height  # in square metres", "\\n \\t \\\" '", "{\"a\": [1, 2]}", "https://example.org/a?b=c&d=%20#e", "#" * 65, "?!?!?!", "...,,,;;;:::", "'s 's's", "it's user's", "--- -- -",
    "USER:  two spaces", "trailing   ", "\n leading newline", "mixed \t \n \t whitespace", "The\nThe\n The", "theThethe", "caf" + "\u00e9" * 50, "\U0001f600" * 40, "a\u0301" * 40]

INVALID = [b"\xff", b"\x80", b"\xc3", b"a\xc3", b"\xc3(", b"\xe6\x97", b"\xe6\x97a\xa5", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80",
           b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe\xfe\xff\xff", b"ok \xff ok", b" \xff", b"\xff ", b"\xff\xff\xff", b"the\xe2\x96", b"\xe2\x96\x81\xe2\x96", b"\x00\xff\x00",
           bytes(range(256)), bytes(range(255, 127, -1)), b"\xef\xbb\xbf\xbb", b"\xef\xbf\xbd\xef\xbf"]


def encode_case(sp, data):
    """One case for a string or bytes."""
    data = data.encode() if isinstance(data, str) else data
    ids = sp.encode(data)
    try:
        text = data.decode()
        if "\0" not in text:
            return {"text": text, "ids": ids}
    except UnicodeDecodeError:
        pass
    return {"base64": base64.b64encode(data).decode(), "ids": ids}


def decode_lists(sp, rng):
    """Lists of ids for decoding: byte pieces forming good and bad UTF-8, control ids and unk in every place, spaces first."""
    n, byte = sp.get_piece_size(), sp.piece_to_id("<0x00>")
    spelled = lambda data: [byte + b for b in data]
    the, spaces = sp.encode("the assistant"), sp.encode("   the")
    lists = [[], [0], [1], [2], [0, 0], [1, 2], *([i] for i in range(n)), the, spaces, [1] + the, [1, 1] + the, the + [2], the + [2] + the, [2] + spaces, [0] + the, the + [0] + the, [1, 0] + the,
             sp.encode(" "), sp.encode("  "), [1] + sp.encode(" "), sp.encode("\n"), sp.encode("\n x"), sp.encode("a"), [*sp.encode("x"), *sp.encode("x")]]
    for data in INVALID + ["\u65e5\u672c".encode(), "\U0001f600".encode(), b"\n", b" ", b"  a", b"\xe2\x96\x81", b"\xe2\x96\x81a", b"a\xe6\x97", b"\xe6\x97\xa5\xe6"]:
        lists += [spelled(data), the + spelled(data), spelled(data) + the, [1] + spelled(data), spelled(data[:1]) + [2] + spelled(data[1:])]
    for length in (2, 3, 5, 9, 20) * 12:
        lists.append([rng.randrange(n) for _ in range(length)])
    return lists


def decode_case(sp, ids):
    return {"ids": ids, "text": sp.decode(ids)}


def long_text(rng):
    """10 kB of words, spaces, digits and other scripts."""
    words = ["the", "assistant", "picture", "  ", "\n", "caf\u00e9", "\u65e5\u672c", "\U0001f600", "1234", "x" * 9, "polite,", "\u0434\u0430"]
    text = ""
    while len(text.encode()) < 10240:
        text += rng.choice(words) + rng.choice(["", " ", " "])
    return text


def write_cases(model, path):
    """tokenizer_cases.json for the tokenizer whose bytes are `model`, one case a line."""
    sp, rng = sentencepiece.SentencePieceProcessor(model_proto=model), random.Random(11)
    groups = {"encode": [encode_case(sp, data) for data in NASTY + INVALID + [long_text(rng)]],
              "decode": [decode_case(sp, ids) for ids in decode_lists(sp, rng)]}
    body = ",\n".join(f'"{name}": [\n' + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]" for name, cases in groups.items())
    with open(path, "w", encoding="ascii") as file:
        file.write("{\n" + body + "\n}\n")


SCRIPTS = [(0x20, 0x7e)] * 4 + [(0xa0, 0x17f), (0x300, 0x36f), (0x370, 0x52f), (0x590, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f), (0x1100, 0x11ff), (0x2000, 0x206f), (0x2190, 0x22ff), (0x2580, 0x25a0),
                                (0x3000, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xfe00, 0xfe0f), (0xff00, 0xffef), (0x1f300, 0x1f6ff), (0x20000, 0x2a6df), (0, 0x1f)]


def fuzz_data(sp, rng, pieces):
    """One random string (or bytes): the tokenizer's own pieces glued, random scripts, space runs, repeats, broken bytes."""
    def part():
        kind = rng.randrange(8)
        if kind < 3:
            return "".join(rng.choice(pieces) for _ in range(rng.randint(1, 12)))
        if kind == 3:
            low, high = rng.choice(SCRIPTS)
            return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 20)))
        if kind == 4:
            return rng.choice([" ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2581"]) * rng.randint(1, 9)
        if kind == 5:
            return chr(rng.randint(33, 126)) * rng.randint(1, 70)
        if kind == 6:
            return rng.choice(NASTY)
        return "".join(rng.choice("aeiouthns ,.'") for _ in range(rng.randint(1, 40)))
    data = "".join(part() for _ in range(rng.randint(1, 5))).encode()
    if rng.random() < 0.1:
        data = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) + 1)
            data[at:at + rng.randint(0, 2)] = bytes(rng.randrange(256) for _ in range(rng.randint(0, 3)))
    return bytes(data)


def print_fuzz(path, count, seed):
    """`count` encode cases as JSON lines, and after every tenth a decode case {"ids": ids, "text": string} of random ids."""
    sp, rng = sentencepiece.SentencePieceProcessor(model_file=path), random.Random(seed)
    pieces = [sp.id_to_piece(i).replace("\u2581", " ") for i in range(sp.get_piece_size()) if not (sp.is_byte(i) or sp.is_control(i) or sp.is_unknown(i))]
    byte = sp.piece_to_id("<0x00>")
    for number in range(count):
        print(json.dumps(encode_case(sp, fuzz_data(sp, rng, pieces)), separators=(",", ":")))
        if number % 10 == 9:
            ids = [rng.randrange(byte, byte + 256) if rng.random() < 0.3 else rng.randrange(sp.get_piece_size()) for _ in range(rng.randint(1, 30))]
            print(json.dumps({"ids": ids, "text": sp.decode(ids)}, separators=(",", ":")))
