#!/usr/bin/env python3
"""Trains a small LLaMA decoder in float32 on Debian's perl-doc (some 7 MB of English manual), whose weights, unlike those of most small models at hand,
lie on no 4-bit grid. Writes a transformers checkpoint with a SentencePiece tokenizer, and OUT/held-out.txt, two manuals it never saw.

    apt-get download perl-doc
    train_decoder.py perl-doc_*.deb OUT [--steps N] [--batch N] [--threads N]

Needs torch, transformers and sentencepiece; 4 million weights, some ten minutes of two cores. Every width is a multiple of 256, which llama.cpp's K types need."""
import argparse
import math
import os
import pathlib
import subprocess
import tempfile
import time

HELD_OUT = ("perlretut.pod", "perlipc.pod")
LEFT_OUT = ("perltoc.pod", "perluniprops.pod")  # the headings of all others; a table
VOCABULARY, WINDOW = 2048, 512


def texts(package):
    """The manuals' names and texts, in the order of their names."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg", "-x", package, folder], check=True)
        paths = sorted(pathlib.Path(folder).rglob("*.pod"), key=lambda path: path.name)
        return {path.name: path.read_text("utf-8", "replace") for path in paths if path.name not in LEFT_OUT}


def tokenizer(out, training):
    import sentencepiece
    source = out / "text"
    source.write_text("\n".join(training))
    sentencepiece.SentencePieceTrainer.train(
        input=str(source), model_prefix=str(out / "tokenizer"), vocab_size=VOCABULARY, model_type="bpe", byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, max_sentence_length=1 << 16,
        minloglevel=2)
    source.unlink()
    (out / "tokenizer.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    manuals = texts(options.package)
    held_out = "".join(manuals.pop(name) for name in HELD_OUT)
    (options.out / "held-out.txt").write_text(held_out)
    words = tokenizer(options.out, manuals.values())
    ids = torch.tensor([i for text in manuals.values() for i in words.encode(text)])
    judged = torch.tensor(words.encode(held_out))
    print(f"{len(ids)} tokens, {len(judged)} held out", flush=True)

    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=4,
        max_position_embeddings=WINDOW, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2, pad_token_id=None,
        attn_implementation="sdpa"))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million weights", flush=True)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=1, betas=(0.9, 0.95))

    def loss_of(windows):
        """Mean over windows [count, WINDOW - 1], with BOS before each, as perplexity is counted."""
        rows = torch.cat([torch.full((len(windows), 1), 1), windows], 1)
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())

    begin, warm = time.process_time(), 40
    for step in range(options.steps):
        rate = 2e-3 * min(1, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * max(0, step - warm) / (options.steps - warm)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = torch.randint(len(ids) - WINDOW, (options.batch,))
        loss = loss_of(torch.stack([ids[s:s + WINDOW - 1] for s in starts]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0 or step == options.steps - 1:
            print(f"step {step}: loss {loss.item():.3f}, {time.process_time() - begin:.0f} s of processors", flush=True)
    with torch.no_grad():
        whole = judged[:len(judged) // (WINDOW - 1) * (WINDOW - 1)].view(-1, WINDOW - 1)
        held = sum(loss_of(part).item() * len(part) for part in whole.split(16)) / len(whole)
    print(f"held-out text: loss {held:.4f}, perplexity {math.exp(held):.3f}")
    model.save_pretrained(options.out)


if __name__ == "__main__":
    main()
