"""Writes tokenizer_odd_{symbols,plain}.{model,json}: small tokenizers with what LLaMA's lacks, and what the sentencepiece
package makes of texts with them. The cases are those of Tests/Golden/tokenizer_cases.py and fuzz beside them.

  symbols  user-defined symbols (also one that begins another, and one with spaces), and unused pieces
  plain    no byte pieces, so that unknown characters become one 'unk', no dummy prefix, scores with ties

    tokenizer_odd.py            needs sentencepiece and protobuf
"""
import json
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "Golden")
sys.dont_write_bytecode = True
sys.path.insert(0, GOLDEN)
import sentencepiece
import tokenizer_cases
from sentencepiece import sentencepiece_model_pb2 as pb

SYMBOLS = ["<sep>", "<sep>x", "<se", "\u2581the\u2581", "\u65e5\u672c", "\u00e9", "aa", "</tag>", "~"]
AROUND = ["aab", "\u2581aa", "\u65e5\u672c\u8a9e", "~a", "s~"]  # ordinary pieces that hold a symbol: never made
TEXTS = ["<sep>", "<sep>x<sep>y", "a<sep> b", " the the the ", "the <sep>the", "<se<sep", "aaaaa", "xaay", "\u65e5\u672c\u65e5\u672c\u8a9e", "caf\u00e9\u00e9", "assistant", "the assistants",
         "assistant assistant picture detailed", "</tag></tag", "\u2581the\u2581", "s\u00e9the ", "aab", " aab aa", "~a~", "s~s"]


def symbols(model):
    known = {p.piece: p for p in model.pieces}
    for text in SYMBOLS:
        (known.get(text) or model.pieces.add(piece=text)).type = pb.ModelProto.SentencePiece.USER_DEFINED
    for text in AROUND:
        model.pieces.add(piece=text, score=-0.5)
    normal = [p for p in model.pieces if p.type == pb.ModelProto.SentencePiece.NORMAL and len(p.piece) > 1]
    for piece in normal[:-len(AROUND):3]:
        piece.type = pb.ModelProto.SentencePiece.UNUSED
    next(p for p in model.pieces if p.piece == "e").type = pb.ModelProto.SentencePiece.UNUSED


def plain(model):
    kept = [p for p in model.pieces if p.type != pb.ModelProto.SentencePiece.BYTE]
    copy = [pb.ModelProto.SentencePiece.FromString(p.SerializeToString()) for p in kept]
    del model.pieces[:]
    for p in copy:
        p.score = float(int(p.score) // 8)
    model.pieces.extend(copy)
    model.trainer_spec.byte_fallback = False
    model.normalizer_spec.add_dummy_prefix = False


for name, change in {"symbols": symbols, "plain": plain}.items():
    model = pb.ModelProto()
    with open(os.path.join(GOLDEN, "llava-mlp", "tokenizer.model"), "rb") as file:
        model.ParseFromString(file.read())
    change(model)
    data = model.SerializeToString()
    sp, rng = sentencepiece.SentencePieceProcessor(model_proto=data), random.Random(3)
    n = sp.get_piece_size()
    pieces = [sp.id_to_piece(i).replace("\u2581", " ") for i in range(n) if not (sp.is_byte(i) or sp.is_control(i) or sp.is_unknown(i))]
    texts = TEXTS + tokenizer_cases.NASTY + tokenizer_cases.INVALID + [tokenizer_cases.fuzz_data(sp, rng, pieces) for _ in range(250)]
    groups = {"encode": [tokenizer_cases.encode_case(sp, text) for text in texts],
              "decode": [tokenizer_cases.decode_case(sp, [rng.randrange(n) for _ in range(rng.randint(1, 12))]) for _ in range(150)]
                        + [tokenizer_cases.decode_case(sp, [i]) for i in range(n)]}
    with open(os.path.join(HERE, f"tokenizer_odd_{name}.model"), "wb") as file:
        file.write(data)
    body = ",\n".join(f'"{key}": [\n' + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]" for key, cases in groups.items())
    with open(os.path.join(HERE, f"tokenizer_odd_{name}.json"), "w", encoding="ascii") as file:
        file.write("{\n" + body + "\n}\n")
