"""The tokenizer's training text and the tokenizer's training."""

import io
import os
import string

import numpy as np

import data

# Some plain English beside the questions, so that other words do not fall apart into bytes.
ENGLISH = """\
The shop has a wide window, and in the window stand coats and dresses for the winter.
Please tell me what you see in this picture, and where each of the things is.
There is nothing in the last row that I would wear on a warm day by the sea.
She put her bag on the table, took off her boots and asked for a cup of tea.
Which of these would you take with you if you had to walk for an hour in the rain?
The first column shows shoes only; the second one has a shirt above a pair of trousers.
I can not say for sure, but it looks like a pullover with long sleeves.
Count them again from left to right and from top to bottom, then write the number down.
A small model can answer short questions about small images, and it does so quickly.
He said that the sneakers were new, that they were white, and that they were his.
Where is the sandal? It is below the dress, between the bag and the other sandal.
Do the two images show the same items, or is one of them different from the other?
Every person who works here knows how to fold a shirt in less than three seconds.
What kind of clothes are these, what colour are they, and who might have made them?
"""


def tokenizer_text(seed, collages=3000):
    """Lines to train on: prompts with their answers, English, and every printable ASCII character."""
    rng = np.random.default_rng([seed, 99])
    lines = ENGLISH.splitlines() * 10 + [" ".join(string.printable[:94])]
    for i in range(collages):
        question, answer = data.ask(rng, rng.integers(0, len(data.CLASSES), data.CELLS), data.KINDS[i % len(data.KINDS)])
        before, after = data.prompt_parts(question)
        lines += [before, f"{after.strip()} {answer}"]
    return lines


def train_tokenizer(folder, size, seed):
    """Trains LLaMA's kind of SentencePiece model (BPE with byte fallback) into `folder`; returns its bytes."""
    import sentencepiece

    path = os.path.join(folder, "tokenizer.model")
    if not os.path.exists(path):
        model = io.BytesIO()  # a file name would be recorded inside the model
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(tokenizer_text(seed)), model_writer=model, model_type="bpe",
            vocab_size=size, byte_fallback=True, character_coverage=1.0, split_digits=True,
            normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True,
            allow_whitespace_only_pieces=True, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=1, num_threads=2)
        with open(path, "wb") as f:
            f.write(model.getvalue())
    with open(path, "rb") as f:
        return f.read()
