"""Token reducers inside the decoder: FastV, SparseVLM, MustDrop, LLaVolta, YOPO, VoCo, over the modules of transformers' LlamaForCausalLM.

Blocks are 0-based. The prompt runs in one call; every block has a cache of its own, and a generated token sees all of it."""
import math
from dataclasses import dataclass

import numpy as np
import torch

import reference

TOKENS_1_5 = {192: (300, 200, 110), 128: (303, 110, 36), 96: (238, 48, 26), 64: (66, 30, 17)}
TOKENS_2_0 = {192: (300, 200, 118), 128: (238, 108, 60), 96: (246, 54, 28), 64: (66, 34, 20)}
RANKS_1_0 = {192: (13.5, 0), 128: (9, 6), 64: (0.8, 0)}


@dataclass
class Rows:
    """Rows of the prompt that a block runs on. `index`: the row of the unreduced prompt that each was; `vision`: whether it is a vision row."""
    x: torch.Tensor
    index: torch.Tensor
    vision: torch.Tensor
    positions: torch.Tensor

    def take(self, chosen):
        return Rows(self.x[chosen], self.index[chosen], self.vision[chosen], self.positions[chosen])

    def renumbered(self):
        self.positions = torch.arange(len(self.x))
        return self


class Decoder:
    """The decoder's blocks, one at a time, with a cache of rotated keys and values for each."""

    def __init__(self, model):
        config, self.causal = model.decoder.config, model.decoder
        self.layers, self.rotary, self.dtype = list(model.decoder.model.layers), model.decoder.model.rotary_emb, model.dtype
        self.heads, self.kv, self.size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        self.cache = [None] * len(self.layers)
        self.index = [torch.zeros(0, dtype=torch.long) for _ in self.layers]  # the row of the unreduced prompt and answer that each cached one was

    def embed(self, ids):
        return self.causal.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))

    def rotate(self, x, positions):
        cosine, sine = (part[0] for part in self.rotary(x, positions[None]))
        first, second = x.chunk(2, -1)
        return x * cosine + torch.cat((-second, first), -1) * sine

    def block(self, l, x, index, positions, method):
        """x [R, C] behind what the block's cache holds -> (output [R, C], probabilities [heads, R, S])."""
        layer = self.layers[l]
        y = layer.input_layernorm(x)
        attention = layer.self_attn
        q, k, v = (projection(y).reshape(len(x), -1, self.size).transpose(0, 1) for projection in (attention.q_proj, attention.k_proj, attention.v_proj))
        q, k = self.rotate(q, positions), self.rotate(k, positions)
        if self.cache[l] is not None:
            k, v = (torch.cat((old, new), 1) for old, new in zip(self.cache[l], (k, v)))
        self.cache[l], self.index[l] = (k, v), torch.cat((self.index[l], index))
        k, v = (part.repeat_interleave(self.heads // self.kv, 0) for part in (k, v))
        visible = method.visible(l, index, self.index[l])
        if visible is None:
            visible = torch.ones(len(x), k.shape[1], dtype=torch.bool).tril(k.shape[1] - len(x))
        p = torch.softmax((q @ k.transpose(1, 2) / math.sqrt(self.size)).masked_fill(~visible, -torch.inf), -1)
        out = method.attended(l, index, method.weighed(l, self.index[l], p) @ v)
        x = x + attention.o_proj(out.transpose(0, 1).reshape(len(x), -1))
        return x + method.fed(l, index, layer.mlp, layer.post_attention_layernorm(x)), p

    def keep(self, l, chosen):
        """Cuts a block's cache to the chosen rows (a mask)."""
        self.cache[l] = tuple(part[:, chosen] for part in self.cache[l])
        self.index[l] = self.index[l][chosen]

    def length(self, l):
        return len(self.index[l])

    def logits(self, row):
        return self.causal.lm_head(self.causal.model.norm(row))


class Dense:
    """No reduction, and what a method of the decoder does by default."""
    own_positions = False  # whether a generated token's position in a block is the length of that block's cache

    def __init__(self, options, decoder, choices):
        self.options, self.decoder, self.choices, self.kept = options, decoder, choices, []

    def start(self, rows):
        """Called with the rows that enter block 0."""

    def before(self, l, rows, p):
        """The rows that block l runs on; p: probabilities of block l - 1."""
        return rows

    def after(self, l, rows, p):
        """The rows that leave block l; p: its probabilities over the rows that it ran on."""
        return rows

    def visible(self, l, rows, columns):
        """What rows see of a block's cache, bool [R, S] or [heads, R, S], both by their unreduced numbers; None: all rows before, and themselves."""

    def weighed(self, l, columns, p):
        """Probabilities as they weigh the values."""
        return p

    def attended(self, l, rows, out):
        """What attention gives, [heads, R, d]."""
        return out

    def fed(self, l, rows, mlp, y):
        return mlp(y)

    def finish(self):
        """Called after the prompt."""

    def note(self, rows):
        """Writes down the vision rows that a point left."""
        self.kept.append((rows.index[rows.vision] - self.first).tolist())

    @property
    def bound(self):
        return max(map(len, self.kept), default=0)



class FastV(Dense):
    def before(self, l, rows, p):
        if l != int(self.options["layer"]):
            return rows
        columns = rows.vision.nonzero()[:, 0]
        best = self.choices.top("fastv", p.mean(0)[-1, columns], min(int(self.options["keep"]), len(columns)))
        keep = ~rows.vision
        keep[columns[best]] = True
        rows = rows.take(keep)
        self.note(rows)
        return rows


class FastVRecompute(FastV):
    """`variant=recompute`: each step is a prefill of prompt and answer, ranked by the newest row."""


class FastVMasked(FastV):
    """The same by masking the columns of dropped rows: for the self-check only."""

    def before(self, l, rows, p):
        if l == int(self.options["layer"]):
            kept = super().before(l, rows, p)
            self.hidden = rows.index[~torch.isin(rows.index, kept.index)]
        return rows

    def visible(self, l, rows, columns):
        if l < int(self.options["layer"]):
            return None
        # Dropped rows see themselves, so that nothing is undefined.
        return (columns <= rows[:, None]) & (~torch.isin(columns, self.hidden) | (columns == rows[:, None]))


class LLaVolta(Dense):
    def before(self, l, rows, p):
        if l != int(self.options["layer"]):
            return rows
        stride, parts, at = int(self.options["stride"]), [], 0
        while at < len(rows.x):
            if not rows.vision[at]:
                parts.append(rows.take(slice(at, at + 1)))
                at += 1
                continue
            end = at
            while end < len(rows.x) and self.image[rows.index[end]] == self.image[rows.index[at]]:
                end += 1
            count = (end - at) // stride
            pooled = rows.take(slice(at, at + count * stride, stride))
            pooled.x = rows.x[at:at + count * stride].reshape(count, stride, -1).mean(1)
            pooled.positions = rows.positions[at:at + count * stride].reshape(count, stride).double().mean(1).floor().long()
            parts.append(pooled)
            at = end
        return Rows(*(torch.cat([getattr(part, name) for part in parts]) for name in ("x", "index", "vision", "positions")))


class SparseVLM(Dense):
    def __init__(self, options, decoder, choices):
        super().__init__(options, decoder, choices)
        self.version, tokens = options.get("version", "1.5"), int(options.get("tokens", 0))
        layers = options.get("layers", "2+6+15+19" if self.version == "1.0" else "2+6+15")
        self.layers = [int(l) for l in layers.split("+")]
        if self.version == "1.0":
            self.rank = RANKS_1_0[tokens]
        else:
            self.keep = [int(k) for k in options["keep"].split("+")] if "keep" in options else list((TOKENS_2_0 if self.version == "2.0" else TOKENS_1_5)[tokens])
        self.own_positions = self.version != "2.0"

    def start(self, rows):
        post = rows.index > int(rows.index[rows.vision].max())
        words = rows.x[post]
        a = torch.softmax(rows.x[rows.vision] @ words.T, 1).mean(0)
        raters = self.choices.above("sparsevlm raters", a, float(a.mean())) if len(a) > 1 else torch.ones(1, dtype=torch.bool)
        if not raters.any():
            raters[:] = True
        self.raters = rows.index[post][raters]

    def kernel(self, positions):
        """[rows, rows]: what all-ones vectors attend with under the rotary turn."""
        half = torch.arange(0, self.decoder.size, 2, dtype=torch.float64)
        theta = self.theta ** (-half / self.decoder.size)
        angle = (positions[:, None] - positions).double()[..., None] * theta
        return (2 / math.sqrt(self.decoder.size) * angle.cos().sum(-1)).to(self.decoder.dtype)

    def scores(self, rows, p):
        """([raters, vision] averaged over heads, score of each vision row)."""
        raters = torch.isin(rows.index, self.raters) & ~rows.vision
        if self.version == "2.0":
            p = p / self.kernel(rows.positions)
            p = p[:, raters][:, :, rows.vision]
            chosen = self.choices.top("sparsevlm heads", p.sum((1, 2)), min(14, len(p)))
            p = p[chosen.sort().values].mean(0)
        else:
            p = p.mean(0)[raters][:, rows.vision]
        return p, p.mean(0)

    def after(self, l, rows, p):
        if l not in self.layers:
            return rows
        matrix, s = self.scores(rows, p)
        n = len(s)
        if self.version == "1.0":
            rank = self.matrix_rank(matrix)
            k = n if rank == n else min(int(rank * self.rank[0] + self.rank[1]), n - 1)
        else:
            k = min(self.keep[self.layers.index(l)], n - 1)
        if k < n:
            rows = self.reduced(rows, s, k)
        self.note(rows)
        return rows

    def reduced(self, rows, s, k):
        columns = rows.vision.nonzero()[:, 0]
        best = self.choices.top("sparsevlm kept", s, k).sort().values
        dropped = torch.tensor(sorted(set(range(len(s))) - set(best.tolist())))
        before, after = columns[0], columns[-1] + 1
        parts = [rows.take(slice(0, before)), rows.take(columns[best])]
        if self.version != "2.0":
            count = int(0.3 * len(dropped)) + 1
            clusters = count // 10 + 1
            # With one or two clusters densities tie by definition, and the order of the rows decides which is a centre.
            order = dropped[self.choices.top("sparsevlm recycled", s[dropped], count, ordered=clusters <= 2)]
            parts.append(self.merged(rows.take(columns[order]), clusters))
        parts.append(rows.take(slice(after, None)))
        rows = Rows(*(torch.cat([getattr(part, name) for part in parts]) for name in ("x", "index", "vision", "positions")))
        return rows if self.version == "2.0" else rows.renumbered()

    def merged(self, rows, clusters):
        """Rows in falling order of score -> `clusters` rows; a merged row is named by its centre."""
        x, choices = rows.x, self.choices
        d = (x[:, None] - x).norm(dim=-1) / math.sqrt(x.shape[1])
        rho = torch.exp(-(d.sort(1).values[:, :clusters] ** 2).mean(1))
        delta = torch.zeros_like(rho)
        for i in range(len(x)):
            denser = [j for j in range(len(x)) if rho[j] > rho[i] or rho[j] == rho[i] and j < i]
            delta[i] = d[i, denser].min() if denser else d.max()
        different = torch.sort(rho).values.unique()
        choices.compared("sparsevlm density", different[1:], different[:-1])
        centres = choices.top("sparsevlm centres", rho * delta, clusters, ordered=True)
        distances = d[:, centres]
        joined = choices.best("sparsevlm cluster", -distances)
        joined[centres] = torch.arange(clusters)
        out = rows.take(centres)
        out.x = torch.stack([x[joined == c].sum(0) / (int((joined == c).sum()) + 1e-6) for c in range(clusters)])
        return out

    def matrix_rank(self, matrix):
        """The rank of the float32 matrix."""
        values = torch.linalg.svdvals(matrix.float().double())
        threshold = max(matrix.shape) * torch.finfo(torch.float32).eps * float(values[0])
        return int(self.choices.above("sparsevlm rank", values, threshold).sum())


class MustDrop(Dense):
    """`key`: the indices among the vision rows that stay whatever their attention is."""
    own_positions, layers = True, (2, 6, 10, 14)
    key = ()

    def after(self, l, rows, p):
        if l not in self.layers:
            return rows
        post = rows.index > self.last
        a = p.mean(0)[post][:, rows.vision]
        column, top = a.sum(0), a.amax(0)
        share, individual = float(self.options["global"]), float(self.options["individual"])
        low = ~self.choices.above("mustdrop global", column / column.sum(), share) & ~self.choices.above("mustdrop individual", top, individual)
        protected = torch.isin(rows.index - self.first, torch.tensor(self.key))
        keep = ~rows.vision
        keep[rows.vision.nonzero()[:, 0][~low]] = True
        rows = rows.take(keep | protected & rows.vision).renumbered()
        self.note(rows)
        self.final = rows.index
        return rows

    def finish(self):
        # A decoder of fewer blocks has the first of the points, and all its blocks behind the last of these run on the final rows.
        for l in range(self.layers[0], min(self.layers[-1] + 1, len(self.decoder.layers))):
            self.decoder.keep(l, torch.isin(self.decoder.index[l], self.final))


class YOPO(Dense):
    """`heads`: a .npy file, bool [blocks, heads]."""

    def __init__(self, options, decoder, choices):
        super().__init__(options, decoder, choices)
        self.mask = torch.from_numpy(np.load(options["heads"]).astype(bool))
        self.cut, self.reach, self.ffn = int(options["layers"]), (int(options["window"]) - 1) // 2, float(options["ffn"])
        self.leaves = options.get("softmax", "all") == "kept"

    def is_vision(self, rows):
        return (rows >= self.first) & (rows <= self.last)

    def gate(self, l):
        """[heads]: whether rows may take from vision columns."""
        return self.mask[l] & (l < self.cut)

    def before(self, l, rows, p):
        return rows.take(~rows.vision) if self.leaves and l == self.cut else rows

    def visible(self, l, rows, columns):
        grid = math.isqrt(self.last - self.first + 1)
        row, column = (rows - self.first)[:, None], columns - self.first
        near = ((row // grid - column // grid).abs() <= self.reach) & ((row % grid - column % grid).abs() <= self.reach)
        visible = torch.where(self.is_vision(rows)[:, None] & self.is_vision(columns), near, columns <= rows[:, None])
        return visible if not self.leaves else visible & (self.gate(l)[:, None, None] | ~self.is_vision(columns))

    def weighed(self, l, columns, p):
        return p * (self.gate(l)[:, None, None] | ~self.is_vision(columns))

    def attended(self, l, rows, out):
        return out * (self.mask[l][:, None] | ~self.is_vision(rows))[..., None]

    def fed(self, l, rows, mlp, y):
        count = int(mlp.gate_proj.out_features / self.ffn)
        gate, up, down = (part.weight for part in (mlp.gate_proj, mlp.up_proj, mlp.down_proj))
        narrow = (torch.nn.functional.silu(y @ gate[:count].T) * (y @ up[:count].T)) @ down[:, :count].T
        return torch.where(self.is_vision(rows)[:, None], narrow, mlp(y))


class VoCo(Dense):
    """Rows behind the compression tokens, unreduced numbers `from` to `to`, see nothing before these. With `forget` that leaves the caches.
    For the self-check only: goldens of such a checkpoint are reference.py's."""

    def visible(self, l, rows, columns):
        first, last = int(self.options["from"]), int(self.options["to"])
        return (columns <= rows[:, None]) & ((rows[:, None] <= last) | (columns >= first))

    def finish(self):
        if "forget" in self.options:
            for l in range(len(self.decoder.layers)):
                self.decoder.keep(l, self.decoder.index[l] >= int(self.options["from"]))


METHODS = {"fastv": FastV, "sparsevlm": SparseVLM, "mustdrop": MustDrop, "llavolta": LLaVolta, "yopo": YOPO, "voco": VoCo}


def prompt_rows(decoder, pieces, projected):
    """Pieces of ids with one image's rows [n, C3] after each but the last -> (Rows, the image of each row or -1)."""
    parts, image = [], []
    for number, ids in enumerate(pieces):
        parts.append(decoder.embed(ids))
        image += [-1] * len(ids)
        if number + 1 < len(pieces):
            parts.append(projected[number])
            image += [number] * len(projected[number])
    x, image = torch.cat(parts), torch.tensor(image)
    return Rows(x, torch.arange(len(x)), image >= 0, torch.arange(len(x))), image


def prefill(decoder, method, rows):
    """Runs the prompt -> (the last row, vision rows by block)."""
    method.start(rows)
    per_block, p = [], None
    for l in range(len(decoder.layers)):
        rows = method.before(l, rows, p)
        per_block.append(int(rows.vision.sum()))
        rows.x, p = decoder.block(l, rows.x, rows.index, rows.positions, method)
        rows = method.after(l, rows, p)
    method.finish()
    return rows.x[-1], per_block


@torch.no_grad()
def generate(model, kind, options, choices, pieces, projected, limit, key=()):
    """Greedy -> {ids, logits [rows, vocabulary], reason, kept, per_block}."""
    images = len(pieces) - 1
    if images > 1 and kind not in (Dense, LLaVolta):
        raise reference.UnsupportedError(f"{images} images with a method that knows one")
    kind = kind if images else Dense

    def started(ids):
        decoder = Decoder(model)
        method = kind(options, decoder, choices)
        rows, method.image = prompt_rows(decoder, pieces[:-1] + [pieces[-1] + ids], projected)
        method.theta, method.key = model.config.get("rope_theta", 10000.0), list(key)
        if images:
            method.first, method.last = (int(end) for end in rows.index[rows.vision].aminmax())
        return decoder, method, len(rows.x), *prefill(decoder, method, rows)
    decoder, method, total, row, per_block = started([])
    ids, logits, reason = [], [], "length"
    while len(ids) < limit:
        logits.append(decoder.logits(row))
        token = int(logits[-1].argmax())
        if token in model.eos:
            reason = "stop"
            break
        ids.append(token)
        if kind is FastVRecompute:
            decoder, _, _, row, _ = started(ids)
            continue
        row, number = decoder.embed([token]), total + len(ids) - 1
        for l in range(len(decoder.layers)):
            position = decoder.length(l) if method.own_positions else number
            row, _ = decoder.block(l, row, torch.tensor([number]), torch.tensor([position]), method)
        row = row[0]
    bound = method.bound
    kept = np.array([line + [-1] * (bound - len(line)) for line in method.kept], dtype=np.int32) if method.kept else None
    return {"ids": ids, "logits": torch.stack(logits), "reason": reason, "kept": kept, "per_block": per_block,
            "lengths": [decoder.length(l) for l in range(len(decoder.layers))]}
