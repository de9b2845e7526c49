"""Token reducers of the vision side: PruMerge, PruMerge+, VisionZip, MMTok, ToMe and MustDrop's merge in the tower.

Each works on one image. Rows of the tower are [T, C], row 0 the class token, then N patches in raster order. Block b is 1-based."""
import math
import re

import torch

import reference

STOP_WORDS = set("""a an and answer at are be been being but by did do does for from had has have he how i if into is it onto or question she so the then
they to upon was we were what when where which who why with you""".split())
PHRASES = ("Answer the question using a single word or phrase.", "Answer with the option's letter from the given choices directly.")
DEFAULT_QUESTION = "What do you see in this image?"


def unit(x, eps=1e-12):
    return x / x.norm(dim=-1, keepdim=True).clamp_min(eps)


class Tower:
    """The blocks of a reference's CLIP tower, one at a time."""

    def __init__(self, model):
        self.model, self.layers = model.tower, list(model.tower.encoder.layers)
        self.blocks, self.heads, self.size = len(self.layers), model.tower.config.num_attention_heads, model.tower.config.patch_size

    def embedded(self, pixels):
        """[3, S, S] -> s_0 [T, C]."""
        return self.model.pre_layrnorm(self.model.embeddings(pixels[None]))[0]

    def queries_keys(self, b, x):
        """Block b's q and k, [T, C] each, biases in, not scaled."""
        layer = self.layers[b - 1]
        y = layer.layer_norm1(x)
        return layer.self_attn.q_proj(y), layer.self_attn.k_proj(y)

    def split(self, x):
        return x.reshape(len(x), self.heads, -1).transpose(0, 1)

    def probabilities(self, q, k, sizes=None):
        """[heads, T, T]; sizes: how many rows each key stands for."""
        q, k = self.split(q), self.split(k)
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        if sizes is not None:
            scores = scores + sizes.log()
        return torch.softmax(scores, -1)

    def attended(self, b, x, sizes=None):
        """x with block b's attention added."""
        attention = self.layers[b - 1].self_attn
        value = self.split(attention.v_proj(self.layers[b - 1].layer_norm1(x)))
        out = (self.probabilities(*self.queries_keys(b, x), sizes) @ value).transpose(0, 1).reshape(len(x), -1)
        return x + attention.out_proj(out)

    def fed(self, b, x):
        """x with block b's MLP added."""
        layer = self.layers[b - 1]
        return x + layer.mlp(layer.layer_norm2(x))

    def block(self, b, x):
        return self.fed(b, self.attended(b, x))

    def run(self, pixels, last):
        """[s_0, ..., s_last]."""
        states = [self.embedded(pixels)]
        for b in range(1, last + 1):
            states.append(self.block(b, states[-1]))
        return states


def projector(model, rows):
    """[n, C] -> [n, C3]."""
    return reference.layers_1x1(rows[None], model.fusion.layers, model.fusion.final)[0]


# ---- PruMerge

def outliers(values, choices):
    """How many values lie above Q3 + 1.5 (Q3 - Q1), quartiles by linear interpolation."""
    ordered = values.sort().values
    def quantile(p):
        at = p * (len(ordered) - 1)
        low = math.floor(at)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
    first, third = quantile(0.25), quantile(0.75)
    return int(choices.above("prumerge outliers", values, float(third + 1.5 * (third - first))).sum())


def prumerge_kept(a, plus, ratio, choices):
    """Class attention of the patches [N] -> kept indices in the order of the output rows, duplicates included."""
    count = len(a)
    fixed = ratio is not None
    if not fixed:
        ratio = outliers(a, choices) / count
    if plus and fixed:
        step = round(1 / ratio)
        kept = choices.top("prumerge kept", a, count // step, ordered=True).tolist()
        return kept + list(range(step // 2, count - 1, step))
    kept = choices.top("prumerge kept", a, int(count * ratio), ordered=True).tolist()
    if plus and ratio > 0:
        kept += [i for i in range(0, count - 1, int(1 / ratio) // 3) if i not in kept]
    return kept


def prumerge_merged(x, k, a, kept, neighbours, choices):
    """Patch rows x [N, C], keys k [N, C], class attention a [N] -> [len(kept) + 1, C]."""
    # The lowest of the unkept are lost, one for each duplicate among the kept: the complement has N - len(kept) entries.
    unkept = [i for i in range(len(x)) if i not in set(kept)][len(kept) - len(set(kept)):]
    keys, rows = unit(k), []
    for place, i in enumerate(kept):
        others = torch.tensor(kept[:place] + kept[place + 1:] + unkept)
        similar = keys[others] @ keys[i]
        nearest = others[twin_aware_top(similar, others, min(neighbours, len(others)), choices)]
        rows.append(x[i] + (a[nearest, None] * x[nearest]).sum(0))
    unkept = torch.tensor(unkept, dtype=torch.long)
    rows.append((a[unkept, None] * x[unkept]).sum(0))
    return torch.stack(rows)


def twin_aware_top(values, names, k, choices):
    """The k largest; a tie between two copies of one row decides nothing and is not counted."""
    order = torch.sort(values, descending=True, stable=True).indices
    if k < len(order) and names[order[k - 1]] != names[order[k]]:
        choices.compared("prumerge neighbours", values[order[k - 1]], values[order[k]])
    return order[:k]


def share(text):
    """'0.125' or '1/8'."""
    over, _, under = text.partition("/")
    return float(over) / float(under or 1)


def prumerge(model, pixels, options, choices, plus):
    tower = Tower(model)
    x = tower.run(pixels, tower.blocks - 1)[-1]
    q, k = tower.queries_keys(tower.blocks, x)
    a = torch.softmax(k @ q[0] / math.sqrt(q.shape[1]), 0)[1:]
    ratio = share(options["ratio"]) if "ratio" in options else None
    kept = prumerge_kept(a, plus, ratio, choices)
    merged = prumerge_merged(x[1:], k[1:], a, kept, int(options.get("neighbours", 32)), choices)
    return {"projected": projector(model, merged), "selected": kept, "counted": ratio is None}


# ---- VisionZip

def visionzip_budget(options):
    """(dominant, contextual)."""
    if "keep" in options:
        contextual = 5 * int(options["keep"]) // 32
        return int(options["keep"]) - contextual, contextual
    return int(options["dominant"]), int(options["contextual"])


def visionzip(model, pixels, options, choices):
    tower = Tower(model)
    dominant, contextual = visionzip_budget(options)
    states = tower.run(pixels, tower.blocks - 1)
    x = states[-1]
    q, k = tower.queries_keys(tower.blocks - 1, states[-2])
    score = tower.probabilities(q, k)[:, 0, 1:].sum(0)
    patches = (choices.top("visionzip dominant", score, dominant - 1).sort().values + 1).tolist()
    first = [0] + patches
    rest = [row for row in range(len(x)) if row not in set(first)]
    if contextual > len(rest):
        raise reference.UnsupportedError(f"{contextual} contextual rows of {len(rest)}")
    step = max(1, len(rest) // contextual)
    metric = unit(tower.split(k).mean(0)[rest])
    targets = [i * step for i in range(contextual)]
    others = [i for i in range(len(rest)) if i not in set(targets)]
    joined = choices.best("visionzip cluster", metric[others] @ metric[targets].T).tolist() if others else []
    rows = []
    for number, target in enumerate(targets):
        members = [rest[other] for other, cluster in zip(others, joined) if cluster == number]
        rows.append(x[rest[target]] + (x[members].mean(0) if members else 0))
    output = torch.cat((x[first], torch.stack(rows)))
    return {"projected": projector(model, output), "selected": [row - 1 for row in patches + [rest[target] for target in targets]]}


# ---- MMTok

def question_words(message):
    """The words of a user's message whose embeddings choose the patches."""
    message = re.sub(r"^(<image>[ ]?)+\n", "", message)
    for phrase in PHRASES:
        message = message.replace(phrase, "")
    if not message.strip():
        message = DEFAULT_QUESTION
    words = [word for word in re.findall(r"\w+", message) if word.lower() not in STOP_WORDS]
    return words or message.split()


def padding_bars(width, height, size, patch):
    """Patches [grid * grid] that lie wholly in the bars of an image padded to a square: True is barred."""
    grid = size // patch
    barred = torch.zeros(grid, grid, dtype=torch.bool)
    bar = size - round(min(width, height) * (size / max(width, height)))
    first, last = bar // 2 // patch, (bar - bar // 2) // patch
    lines = barred if width > height else barred.T
    lines[:first] = True
    lines[grid - last:] = True
    return barred.flatten()


def greedy_cover(gains, keep, barred, choices):
    """M [rows, N] -> the chosen columns, in the order of choice."""
    best = torch.zeros(len(gains), dtype=gains.dtype)
    barred, chosen = barred.clone(), []
    for _ in range(keep):
        gain = (gains - best[:, None]).clamp_min(0).sum(0).masked_fill(barred, -torch.inf)
        j = int(choices.top("mmtok gain", gain, 1)[0])
        chosen.append(j)
        best = torch.maximum(best, gains[:, j])
        barred[j] = True
    return chosen


def mmtok(model, pixels, options, choices, question, picture):
    """question: ids of the words' tokens; picture: (width, height) before padding."""
    tower = Tower(model)
    c = tower.run(pixels, tower.blocks - 1)[-1][1:]
    projected = projector(model, c)
    keep = int(options["keep"])
    if keep >= len(c):
        return {"projected": projected, "selected": list(range(len(c)))}
    z = unit(model.decoder.get_input_embeddings()(torch.tensor(question)), 1e-8)
    x, c = unit(projected, 1e-8), unit(c, 1e-8)
    text = torch.softmax(z @ x.T / float(options.get("t_text", 0.02)), 1) / len(z)
    vision = torch.softmax(c @ c.T / float(options.get("t_vis", 0.2)), 1) / len(c)
    bars = options.get("padding", "auto")
    if bars == "off" or bars == "auto" and not model.preprocessor.pad:
        barred = torch.zeros(len(c), dtype=torch.bool)
    else:
        barred = padding_bars(*picture, model.tower.config.image_size, tower.size)
    gains = torch.cat((text, float(options.get("alpha", 0.5)) * vision))
    kept = sorted(greedy_cover(gains, keep, barred, choices))
    return {"projected": projected[kept], "selected": kept}


# ---- ToMe

def tome_schedule(options, blocks, count):
    """How many rows merge in each of the blocks 1..blocks."""
    if "keep" in options:
        total = count - int(options["keep"])
        return [total * b // blocks - total * (b - 1) // blocks for b in range(1, blocks + 1)]
    listed = [int(r) for r in options["r"].split("+")]
    return listed if len(listed) > 1 else listed * blocks


def tome_merge(x, metric, sizes, r, choices):
    """Rows with a class token, metric [T, d], sizes [T] -> (x, sizes, the sources of the rows that are left), r rows fewer."""
    r = min(r, (len(x) - 1) // 2)
    metric = unit(metric)
    similar = metric[0::2] @ metric[1::2].T
    similar[0] = -torch.inf
    best = similar.amax(1)
    merging = choices.top("tome pairs", best, r)
    target = choices.best("tome target", similar[merging])
    unmerged = sorted(set(range(len(best))) - set(merging.tolist()))
    order = torch.tensor([2 * i for i in unmerged] + list(range(1, len(x), 2)))
    weighted = x * sizes[:, None]
    total, number = weighted[1::2].clone(), sizes[1::2].clone()
    for i, into in sorted(zip(merging.tolist(), target.tolist())):
        total[into] += weighted[2 * i]
        number[into] += sizes[2 * i]
    sums, numbers = torch.cat((weighted[0::2][unmerged], total)), torch.cat((sizes[0::2][unmerged], number))
    return sums / numbers[:, None], numbers, order


def tome(model, pixels, options, choices):
    tower = Tower(model)
    x = tower.embedded(pixels)
    sizes, source = torch.ones(len(x), dtype=x.dtype), torch.arange(len(x))
    for b, r in zip(range(1, tower.blocks), tome_schedule(options, tower.blocks - 1, len(x) - 1)):
        metric = tower.split(tower.queries_keys(b, x)[1]).mean(0)
        x = tower.attended(b, x, sizes)
        if r > 0:
            x, sizes, order = tome_merge(x, metric, sizes, r, choices)
            source = source[order]
        x = tower.fed(b, x)
    return {"projected": projector(model, x[1:]), "selected": (source[1:] - 1).tolist()}


# ---- MustDrop's merge and key set

def mustdrop_tower(model, pixels, options, choices):
    """The decoder's vision rows, and `key`: the indices among them that later blocks of the decoder keep."""
    tower = Tower(model)
    window, threshold = int(options.get("window", 3)), float(options.get("similarity", 0.8))
    x = tower.block(1, tower.embedded(pixels))
    grid = math.isqrt(len(x) - 1)
    if grid % window:
        raise reference.UnsupportedError(f"a grid of {grid} does not divide by {window}")
    cells = []
    for top in range(0, grid, window):
        for left in range(0, grid, window):
            cells.append([1 + (top + dy) * grid + left + dx for dy in range(window) for dx in range(window)])
    members = torch.tensor(cells)
    rows = unit(x[members])
    pairs = rows @ rows.transpose(1, 2)
    off = ~torch.eye(window * window, dtype=torch.bool)
    mean = pairs[:, off].mean(1)
    choices.compared("mustdrop windows", mean, torch.full_like(mean, threshold))
    chosen = [i for i in torch.sort(mean, descending=True, stable=True).indices.tolist() if mean[i] >= threshold]
    choices.top("mustdrop window order", mean, len(chosen), ordered=True)
    merged = {row for i in chosen for row in cells[i]}
    rest = [row for row in range(1, len(x)) if row not in merged]
    x = torch.cat([x[:1]] + [x[cells[i]].mean(0, keepdim=True) for i in chosen] + [x[rest]])
    for b in range(2, tower.blocks):
        x = tower.block(b, x)
    attention = tower.probabilities(*tower.queries_keys(tower.blocks, x)).mean(0)[0, 1:]
    key = choices.top("mustdrop key set", attention, math.ceil(float(options.get("key", 0.08)) * len(attention)))
    return {"projected": projector(model, x[1:]), "selected": [row - 1 for row in [cells[i][0] for i in chosen] + rest],
            "counted": True, "key": sorted(key.tolist())}
