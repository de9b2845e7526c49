"""Collages of Fashion-MNIST items, questions about them, and the prompt that carries a question.

A collage is a 4 x 4 grid of 28-pixel items: a uint8 grey array [112, 112], shown to the model as RGB
with the grey repeated. Cells are numbered in reading order, row * 4 + column, from 0.
"""

import gzip
import os
import struct

import numpy as np

DATASET = "/usr/share/datasets/fashion-mnist"  # Debian: dataset-fashion-mnist
GRID, CELL = 4, 28
CELLS, SIDE = GRID * GRID, GRID * CELL
VALIDATION = 2000  # training-split items, the last ones, that no stage trains on

CLASSES = ["t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]
PLURALS = ["t-shirts", "trousers", "pullovers", "dresses", "coats", "sandals", "shirts", "sneakers", "bags", "boots"]
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
           "twelve", "thirteen", "fourteen", "fifteen", "sixteen"]
KINDS = ["position", "count", "exists", "row", "order"]  # the types that are scored; "tally" only teaches counting

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

IMAGE = "<image>"
SYSTEM = ("A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
          "detailed, and polite answers to the user's questions.")

PHRASINGS = {
    "position": ["What stands in row {r}, column {c}?", "What is in row {r}, column {c}?",
                 "Which item is at row {r}, column {c}?", "What is at row {r}, column {c}?"],
    "count": ["How many {many} are there?", "How many {many} are in the image?", "How many {many} do you see?"],
    "exists": ["Are there any {many}?", "Is there {one} in the image?", "Is there {one}?", "Do you see {one}?"],
    "row": ["What stands in row {r}?", "What is in row {r}?", "Which items are in row {r}?", "Name the items in row {r}."],
    "order": ["What is in the image, in reading order?", "Name all items in reading order.",
              "Which items are in the image?", "What is in the image?"],
    "tally": ["How many of each item are there?"],
}


def load_split(split, folder=DATASET):
    """Items and labels of "train", "validation" or "test": uint8 [n, 28, 28] and int64 [n].

    Raises FileNotFoundError with the package to install, ValueError when a file is not what it should be.
    """
    stem = "t10k" if split == "test" else "train"
    arrays = []
    for part, magic, dims in (("images-idx3", 0x803, 3), ("labels-idx1", 0x801, 1)):
        path = os.path.join(folder, f"{stem}-{part}-ubyte.gz")
        if not os.path.exists(path):
            raise FileNotFoundError(f"'{path}' is missing; install the package 'dataset-fashion-mnist'")
        with gzip.open(path) as f:
            raw = f.read()
        head = struct.unpack(f">{1 + dims}I", raw[: 4 + 4 * dims])
        body = np.frombuffer(raw, np.uint8, offset=4 + 4 * dims)
        if head[0] != magic or body.size != np.prod(head[1:]):
            raise ValueError(f"'{path}' is not an IDX file with magic {magic:#x} and shape {head[1:]}")
        arrays.append(body.reshape(head[1:]))
    items, labels = arrays[0], arrays[1].astype(np.int64)
    if split == "train":
        return items[:-VALIDATION], labels[:-VALIDATION]
    if split == "validation":
        return items[-VALIDATION:], labels[-VALIDATION:]
    return items, labels


class Collages:
    """Draws collages whose 16 cells are independent items with classes drawn uniformly."""

    def __init__(self, split, folder=DATASET):
        items, self.labels = load_split(split, folder)
        self.margin = 2
        self.items = np.pad(items, ((0, 0), (self.margin,) * 2, (self.margin,) * 2))
        self.by_class = [np.flatnonzero(self.labels == c) for c in range(len(CLASSES))]

    def draw(self, rng, count, augment=0.0):
        """Grey images uint8 [count, 112, 112] and labels int64 [count, 16].

        `augment` is the chance that a cell is shifted by one or two pixels and that a collage gets another
        brightness; half of it, that a cell is mirrored; a quarter, that a rectangle of a cell is blanked.
        Zero leaves the items as they are.
        """
        labels = rng.integers(0, len(CLASSES), (count, CELLS))
        index = np.empty_like(labels)
        for c, members in enumerate(self.by_class):
            hit = labels == c
            index[hit] = rng.choice(members, hit.sum())
        shift = rng.choice([-2, -1, -1, 0, 0, 1, 1, 2], (2, count, CELLS)) * (rng.random((count, CELLS)) < augment)
        mirror = rng.random((count, CELLS)) < augment / 2
        span = np.arange(CELL)
        y = self.margin + shift[0][..., None] + span
        x = self.margin + shift[1][..., None] + np.where(mirror[..., None], span[::-1], span)
        cells = self.items[index[..., None, None], y[..., :, None], x[..., None, :]]
        if augment:
            size = rng.integers(5, 15, (2, count, CELLS, 1)) * (rng.random((count, CELLS, 1)) < augment / 4)
            start = rng.integers(0, CELL - 5, (2, count, CELLS, 1))
            inside = (span >= start) & (span < start + size)
            cells = np.where(inside[0][..., :, None] & inside[1][..., None, :], 0, cells)
        images = cells.reshape(count, GRID, GRID, CELL, CELL).transpose(0, 1, 3, 2, 4).reshape(count, SIDE, SIDE)
        if augment:
            gain = np.where(rng.random(count) < augment, rng.uniform(0.75, 1.2, count), 1.0)
            images = np.minimum(images * gain[:, None, None].astype(np.float32) + 0.5, 255)
        return images.astype(np.uint8), labels


# [3, 256]: the normalised value of every grey level in every channel.
LEVELS = (np.arange(256, dtype=np.float32) / np.float32(255) - np.float32(CLIP_MEAN)[:, None]) / np.float32(CLIP_STD)[:, None]


def pixel_values(images):
    """Grey uint8 [n, 112, 112] or RGB uint8 [n, 112, 112, 3] -> normalised float32 [n, 3, 112, 112]."""
    channels = [images if images.ndim == 3 else images[..., c] for c in range(3)]
    return np.stack([level.take(channel) for level, channel in zip(LEVELS, channels)], 1)


def open_image(path):
    """An image file -> normalised float32 [3, 112, 112]: padded to a square with the mean colour, resized."""
    from PIL import Image

    image = Image.open(path).convert("RGB")
    if image.width != image.height:
        side = max(image.size)
        square = Image.new("RGB", (side, side), tuple(int(255 * m) for m in CLIP_MEAN))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    if image.width != SIDE:
        image = image.resize((SIDE, SIDE), Image.BICUBIC)
    return pixel_values(np.asarray(image)[None])[0]


def with_article(name):
    return "a pair of trousers" if name == "trousers" else "a " + name


def ask(rng, labels, kind):
    """One question about a collage with these 16 labels: (question, answer).

    "exists" is balanced: half of the questions name a class that is there, as far as there is one that is not.
    """
    cells = labels.reshape(GRID, GRID)
    r, c = (int(v) for v in rng.integers(0, GRID, 2))
    subject = int(rng.integers(len(CLASSES)))
    if kind == "position":
        answer = CLASSES[cells[r, c]]
    elif kind == "count":
        answer = NUMBERS[int((labels == subject).sum())]
    elif kind == "exists":
        present = np.isin(np.arange(len(CLASSES)), labels)
        wanted = present if rng.random() < 0.5 or present.all() else ~present
        subject = int(rng.choice(np.flatnonzero(wanted)))
        answer = "yes" if present[subject] else "no"
    elif kind == "row":
        answer = ", ".join(CLASSES[i] for i in cells[r])
    elif kind == "tally":  # in any order, so that a number follows from its word and not from its place
        answer = ", ".join(f"{PLURALS[i]} {NUMBERS[int((labels == i).sum())]}" for i in rng.permutation(len(CLASSES)))
    else:
        answer = ", ".join(CLASSES[i] for i in labels)
    phrasing = PHRASINGS[kind][int(rng.integers(len(PHRASINGS[kind])))]
    question = phrasing.format(r=r + 1, c=c + 1, many=PLURALS[subject], one=with_article(CLASSES[subject]))
    return question, answer


def prompt_parts(question):
    """LLaVA's `vicuna_v1` prompt, split at the image: (text before, text after)."""
    before, after = f"{SYSTEM} USER: {IMAGE}\n{question} ASSISTANT:".split(IMAGE, 1)
    return before, after


def questions(rng, labels, total):
    """`total` questions over collages with labels [n, 16], types in turn: dicts of image index, type, question, answer."""
    asked = []
    for i in range(total):
        kind = KINDS[i % len(KINDS)]
        image = i // len(KINDS) % len(labels)
        question, answer = ask(rng, labels[image], kind)
        asked.append({"image": image, "type": kind, "question": question, "truth": answer})
    return asked


def score(kind, answer, truth):
    """(right, total) of one answer. A list counts each item in its place; everything else is one exact match."""
    if kind not in ("row", "order"):
        return int(answer.strip() == truth), 1
    given, wanted = answer.strip().split(", "), truth.split(", ")
    return sum(g == w for g, w in zip(given, wanted)), len(wanted)
