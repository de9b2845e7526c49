#!/usr/bin/env python3
"""Holds the reference of token reducers against what their definitions say of themselves, and its goldens against known mistakes."""
import math
import os
import tempfile
import unittest

import numpy as np
import torch

import checkpoints
import make_reducer_golden
import reducers
import reducers_decoder
import reducers_vision
import reference
from choices import Choices
from compare import distance
from make_golden import opened

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT, TOKENS = "What is in the picture?", 6
MODELS = {}


def model(name):
    if name not in MODELS and name in make_reducer_golden.ADAPTED:
        MODELS[name] = make_reducer_golden.adapted(checkpoints.train_tokenizer(), torch.float64)[0]
    elif name not in MODELS:
        MODELS[name] = reference.Reference(os.path.join(HERE, "reducers", name))
    return MODELS[name]


def run(name, reduction, image="wide.png", prompt=PROMPT, tokens=TOKENS, **more):
    return reducers.run(model(name), reduction, [opened(image)], prompt, False, tokens, **more)


def dense(name, image="wide.png", prompt=PROMPT):
    return model(name).run([opened(image)], prompt, False, TOKENS)


class Dense(unittest.TestCase):
    """What keeps everything gives the dense logits."""

    def test_keeping_all(self):
        for name, reductions in {
                "grid8": ["none", "fastv:layer=2,keep=64", "fastv:layer=2,keep=64,variant=recompute", "llavolta:layer=3,stride=1", "mmtok:keep=64", "tome:r=0", "tome:keep=64"],
                "grid24": ["none", "mustdrop:global=0,individual=0,similarity=1.1", "fastv:layer=16,keep=576"]}.items():
            expected = dense(name)
            for reduction in reductions:
                with self.subTest(f"{name} {reduction}"):
                    self.assertLess(distance(expected["logits"], run(name, reduction)["logits"]), 1e-13)

    def test_text(self):
        expected = model("grid8").run([], PROMPT, False, TOKENS)["logits"]
        for reduction in ("fastv:layer=1,keep=3", "llavolta:layer=1,stride=4", "sparsevlm:layers=1,keep=5", "prumerge", "mmtok:keep=4"):
            self.assertLess(distance(expected, reducers.run(model("grid8"), reduction, [], PROMPT, False, TOKENS)["logits"]), 1e-13)

    def test_masking_is_dropping(self):
        for name, layer, keep in (("grid8", 1, 9), ("grid8", 4, 20), ("grid24", 2, 144)):
            reduction = f"fastv:layer={layer},keep={keep}"
            dropped, masked = run(name, reduction), run(name, reduction, kind=reducers_decoder.FastVMasked)
            self.assertLess(distance(dropped["logits"], masked["logits"]), 1e-12)

    def test_yopo(self):
        """With nothing cut vision rows see each other both ways and all else is dense; `kept` means that vision rows leave."""
        class BothWays(reducers_decoder.Dense):
            def visible(self, l, rows, columns):
                image = (columns >= self.first) & (columns <= self.last)
                return (columns <= rows[:, None]) | image & (rows >= self.first)[:, None]

        class Stays(reducers_decoder.YOPO):
            def before(self, l, rows, p):
                return rows
        heads = os.path.join(HERE, "reducers", "heads8.npy")
        with tempfile.TemporaryDirectory() as folder:
            np.save(folder + "/all.npy", np.ones((6, 4), dtype=bool))
            for more in ("", ",softmax=kept"):
                nothing = run("grid8", f"yopo:heads={folder}/all.npy,layers=6,window=15,ffn=1{more}")
                self.assertLess(distance(run("grid8", "none", kind=BothWays)["logits"], nothing["logits"]), 1e-13)
        kept = f"yopo:heads={heads},layers=3,window=5,ffn=2,softmax=kept"
        self.assertLess(distance(run("grid8", kept, kind=Stays)["logits"], run("grid8", kept)["logits"]), 1e-13)
        self.assertGreater(distance(run("grid8", kept)["logits"], run("grid8", kept.replace("kept", "all"))["logits"]), 1e-2)

    def test_forgotten_prefix(self):
        """Rows that no row behind the compression tokens sees may leave the caches."""
        out = run("grid8", "voco:from=103,to=104")
        forgotten = run("grid8", "voco:from=103,to=104,forget=yes")
        self.assertLess(distance(out["logits"], forgotten["logits"]), 1e-13)
        self.assertEqual({a - b for a, b in zip(out["lengths"], forgotten["lengths"])}, {103})
        self.assertGreater(distance(out["logits"], dense("grid8")["logits"][:len(out["logits"])]), 1e-2)

    def test_recompute(self):
        """The first token is the cached form's, later ones rank anew."""
        cached, anew = run("grid8", "fastv:layer=2,keep=8"), run("grid8", "fastv:layer=2,keep=8,variant=recompute")
        self.assertLess(distance(cached["logits"][0], anew["logits"][0]), 1e-13)
        self.assertGreater(distance(cached["logits"][1:], anew["logits"][1:]), 1e-3)


class Counts(unittest.TestCase):
    def test_caches(self):
        out, rows = run("grid8", "fastv:layer=2,keep=10"), len(sum(dense("grid8")["tokens"]["prompt_ids"], [])) + 64
        generated = len(out["tokens"]["tokens"])
        self.assertEqual(out["lengths"], [rows + generated] * 2 + [rows - 64 + 10 + generated] * 4)
        out = run("grid24", "mustdrop:global=0.002,individual=0.004")
        per_block = out["tokens"]["visual_tokens_per_block"]
        text = rows - 64 + len(out["tokens"]["tokens"])
        # Blocks 0 and 1 stay full; of the others each holds the rows that block 14 left.
        self.assertEqual(out["lengths"], [text + per_block[0]] * 2 + [text + per_block[15]] * 15)
        self.assertLess(per_block[15], per_block[3])

    def test_sparsevlm(self):
        """The definition's table, and the means of its names over 32 blocks of 576 rows."""
        for version, table in (("1.5", {192: (309, 204, 113, 206.5), 128: (312, 117, 39, 145.4), 96: (249, 55, 27, 114.1), 64: (82, 32, 18, 82.3)}),
                               ("2.0", {192: (300, 200, 118, 206.8), 128: (238, 108, 60, 144.1), 96: (246, 54, 28, 113.9), 64: (66, 34, 20, 81.8)})):
            for tokens, (first, second, third, mean) in table.items():
                out = run("grid24", f"sparsevlm:tokens={tokens},version={version}", tokens=2)
                self.assertEqual(out["tokens"]["visual_tokens_per_block"], [576] * 3 + [first] * 4 + [second] * 9 + [third])
                self.assertAlmostEqual((576 * 3 + first * 4 + second * 9 + third * 16) / 32, mean, delta=0.051)

    def test_visionzip(self):
        for rows, dominant, contextual in ((64, 54, 10), (128, 108, 20), (144, 122, 22), (160, 135, 25), (192, 162, 30)):
            self.assertEqual(reducers_vision.visionzip_budget({"keep": rows}), (dominant, contextual))
        self.assertEqual(run("grid24", "visionzip:dominant=191,contextual=30", tokens=1)["tokens"]["visual_tokens"], 221)
        with self.assertRaises(reference.UnsupportedError):
            run("grid8", "visionzip:dominant=40,contextual=26")

    def test_prumerge_samples(self):
        """Rows by the number of outliers, as the definition's table has them."""
        random = np.random.default_rng(3)
        for outliers, step, samples in ((8, 24, 24), (16, 12, 48), (24, 8, 72), (32, 6, 96), (38, 5, 115), (39, 4, 144), (48, 4, 144), (49, 3, 192),
                                        (64, 3, 192), (65, 2, 288), (96, 2, 288), (97, 1, 575), (143, 1, 575)):
            a = 1 + 0.01 * random.random(576)
            chosen = random.permutation(576)[:outliers]
            a[chosen] += 1 + random.random(outliers)
            kept = reducers_vision.prumerge_kept(torch.from_numpy(a), True, None, Choices())
            self.assertEqual(kept[:outliers], sorted(chosen, key=lambda i: -a[i]))
            grid = list(range(0, 575, step))
            self.assertEqual(len(grid), samples)
            self.assertEqual(kept[outliers:], [i for i in grid if i not in chosen])
        flat = torch.ones(576, dtype=torch.float64)
        self.assertEqual(reducers_vision.prumerge_kept(flat, True, None, Choices()), [])
        for m, rows in ((6, 193), (8, 145), (9, 129), (16, 73), (18, 65)):
            kept = reducers_vision.prumerge_kept(torch.from_numpy(random.random(576)), True, 1 / m, Choices())
            self.assertEqual(len(kept) + 1, rows)
            self.assertEqual(kept[576 // m:], list(range(m // 2, 575, m)))

    def test_quartiles(self):
        random = np.random.default_rng(4)
        for _ in range(200):
            a = random.lognormal(0, random.random() * 2, random.integers(5, 700))
            first, third = np.percentile(a, (25, 75))
            self.assertEqual(reducers_vision.outliers(torch.from_numpy(a), Choices()), int((a > third + 1.5 * (third - first)).sum()))

    def test_tome(self):
        for r, rows in ((13, 277), (18, 162), (19, 139)):
            self.assertEqual(576 - sum(reducers_vision.tome_schedule({"r": str(r)}, 23, 576)), rows)
        schedule = reducers_vision.tome_schedule({"keep": "144"}, 23, 576)
        self.assertEqual((sum(schedule), set(schedule)), (432, {18, 19}))
        self.assertEqual(schedule, [432 * b // 23 - 432 * (b - 1) // 23 for b in range(1, 24)])
        self.assertEqual(run("grid24", "tome:keep=144", tokens=1)["tokens"]["visual_tokens"], 144)
        # No block merges more than half of the patches.
        self.assertEqual(run("grid8", "tome:r=999", tokens=1)["tokens"]["visual_tokens"], 8)


class Parts(unittest.TestCase):
    def test_tower(self):
        """The blocks here are transformers' blocks."""
        pixels = model("grid8").pixels([opened("square.png")])
        with torch.no_grad():
            for ours, theirs in zip(reducers_vision.Tower(model("grid8")).run(pixels[0], 4), model("grid8").hidden_states(pixels)):
                self.assertLess(distance(theirs[0].numpy(), ours.numpy()), 1e-13)

    def test_complement(self):
        """The public code's complement: kept indices become 0, all are sorted, and as many as there are kept ones are dropped."""
        random = np.random.default_rng(5)
        for _ in range(50):
            n = int(random.integers(40, 80))
            kept = random.integers(0, n, int(random.integers(1, 30))).tolist()
            numbers = np.arange(n)
            numbers[kept] = 0
            literal = np.sort(numbers)[len(kept):].tolist()
            x, k = torch.from_numpy(random.standard_normal((n, 4))), torch.from_numpy(random.standard_normal((n, 6)))
            a = torch.from_numpy(random.random(n))
            merged = reducers_vision.prumerge_merged(x, k, a, kept, 8, Choices())
            self.assertLess(distance((a[literal, None] * x[literal]).sum(0).numpy(), merged[-1].numpy()), 1e-13)
            # Without the merge of neighbours a row is itself.
            self.assertTrue(torch.equal(reducers_vision.prumerge_merged(x, k, a, kept, 0, Choices())[:-1], x[kept]))

    def test_tome_keeps_sums(self):
        random = np.random.default_rng(6)
        for rows in (9, 10, 65):
            x, metric = torch.from_numpy(random.standard_normal((rows, 5))), torch.from_numpy(random.standard_normal((rows, 3)))
            sizes = torch.from_numpy(random.integers(1, 4, rows).astype(float))
            y, after, order = reducers_vision.tome_merge(x, metric, sizes, 3, Choices())
            self.assertEqual(len(y), rows - 3)
            self.assertEqual(float(after.sum()), float(sizes.sum()))
            self.assertLess(distance((x * sizes[:, None]).sum(0).numpy(), (y * after[:, None]).sum(0).numpy()), 1e-13)
            self.assertEqual(int(order[0]), 0)
            self.assertEqual(order.tolist()[-(rows // 2):], list(range(1, rows, 2)))
            self.assertTrue(torch.equal(y[0], x[0]))

    def test_question_words(self):
        for message, words in (("<image>\nWhat is the colour of Sam's car?", ["colour", "of", "Sam", "s", "car"]),
                               ("<image> <image>\nAnd THE Dog\nAnswer the question using a single word or phrase.", ["Dog"]),
                               ("Who is he?", ["Who", "is", "he?"]), ("", ["see", "in", "this", "image"])):
            self.assertEqual(reducers_vision.question_words(message), words)
        prompts = model("grid8").prompts
        for text in ("narrow streets market", "birds stand bridge 12", "caf\u00e9 Z\u00fcrich"):
            self.assertEqual([i for word in text.split() for i in prompts.encode(word)], prompts.encode(text))

    def test_padding_bars(self):
        barred = reducers_vision.padding_bars(640, 480, 336, 14).reshape(24, 24)  # 252 rows of picture: bars of 42
        self.assertEqual(barred.any(1).nonzero()[:, 0].tolist(), [0, 1, 2, 21, 22, 23])
        self.assertTrue(barred.any(1).equal(barred.all(1)))
        barred = reducers_vision.padding_bars(100, 333, 336, 14).reshape(24, 24)  # round(100.9) = 101 columns: 117 and 118
        self.assertEqual(barred.any(0).nonzero()[:, 0].tolist(), [*range(8), *range(16, 24)])
        self.assertFalse(reducers_vision.padding_bars(50, 50, 336, 14).any())

    def test_cover(self):
        """Each choice is the best next one, by brute force."""
        random = np.random.default_rng(7)
        m, barred = torch.from_numpy(random.random((12, 20))), torch.from_numpy(random.random(20) < 0.2)
        chosen = reducers_vision.greedy_cover(m, 9, barred, Choices())
        self.assertFalse(barred[chosen].any())
        for number, j in enumerate(chosen):
            value = {i: float(m[:, chosen[:number] + [i]].amax(1).sum()) for i in range(20) if not barred[i] and i not in chosen[:number]}
            self.assertAlmostEqual(value[j], max(value.values()), places=12)

    def test_clusters(self):
        """Three far groups are found, and each row of the result is its group's mean."""
        random = np.random.default_rng(8)
        centres = np.array([[0.0, 0, 0], [50, 0, 0], [0, 50, 0]])
        group = random.integers(0, 3, 24)
        x = torch.from_numpy(centres[group] + random.standard_normal((24, 3)))
        rows = reducers_decoder.Rows(x, torch.arange(24), torch.ones(24, dtype=torch.bool), torch.arange(24))
        sparse = reducers_decoder.SparseVLM({"layers": "1", "keep": "3"}, None, Choices())
        merged = sparse.merged(rows, 3)
        names = group[merged.index.numpy()]
        self.assertEqual(sorted(names), [0, 1, 2])
        for row, name in zip(merged.x, names):
            members = x[group == name]
            self.assertLess(distance((members.sum(0) / (len(members) + 1e-6)).numpy(), row.numpy()), 1e-13)

    def test_pooled_positions(self):
        for first, stride, count in ((35, 8, 72), (5, 7, 9), (36, 2, 20)):
            rows = reducers_decoder.Rows(torch.zeros(first + stride * count, 4), *[torch.arange(first + stride * count)] * 3)
            rows.vision = rows.index >= first
            pooling = reducers_decoder.LLaVolta({"layer": "1", "stride": str(stride)}, None, Choices())
            pooling.image = torch.where(rows.vision, 0, -1)
            self.assertEqual(pooling.before(1, rows, None).positions[first:].tolist(), [first + stride * i + (stride - 1) // 2 for i in range(count)])

    def test_composed_selection(self):
        """Cutting a cache by the rows that stay in the end is selecting step by step."""
        random = np.random.default_rng(9)
        rows = torch.arange(40)
        first = torch.sort(torch.from_numpy(random.permutation(40)[:25])).values
        second = torch.sort(torch.from_numpy(random.permutation(25)[:11])).values
        self.assertTrue(rows[first][second].equal(rows[torch.isin(rows, first[second])]))

    def test_rotary_kernel(self):
        """Attention's score of all-ones queries and keys, less softmax and less its 1/sqrt(d)'s square."""
        decoder = reducers_decoder.Decoder(model("grid24"))
        sparse = reducers_decoder.SparseVLM({"layers": "1", "keep": "3"}, decoder, Choices())
        sparse.theta, positions = 10000.0, torch.tensor([0, 3, 4, 77, 500])
        ones = decoder.rotate(torch.ones(5, decoder.size, dtype=torch.float64), positions)
        self.assertLess(distance((ones @ ones.T / math.sqrt(decoder.size)).numpy(), sparse.kernel(positions).numpy()), 1e-12)


class Mistakes(unittest.TestCase):
    """What is easily done wrong and still looks right shows in a golden's arrays."""

    def moved(self, name, reduction, change, array="projected", **more):
        right = run(name, reduction, **more)
        change()
        try:
            wrong = run(name, reduction, **more)
        finally:
            MODELS.pop(name)
        return right[array], wrong[array]

    def test_biases_of_keys(self):
        """They cancel in softmax, and not in cosines."""
        for reduction in ("visionzip:dominant=11,contextual=9", "prumerge:ratio=0.25", "tome:keep=16"):
            def change():
                for layer in model("grid8").tower.encoder.layers:
                    layer.self_attn.k_proj.bias.data.zero_()
            self.assertGreater(distance(*self.moved("grid8", reduction, change)), 1e-3, reduction)

    def test_block_off_by_one(self):
        real = reducers_vision.Tower.queries_keys
        for reduction in ("visionzip:keep=16", "prumerge:ratio=0.25"):
            def shifted(tower, b, x):
                return real(tower, b - 1, x) if b == tower.blocks - (reduction[0] == "v") else real(tower, b, x)
            def change():
                reducers_vision.Tower.queries_keys = shifted
            try:
                self.assertGreater(distance(*self.moved("grid8", reduction, change)), 1e-2, reduction)
            finally:
                reducers_vision.Tower.queries_keys = real

    def test_positions(self):
        for name, reduction, method, own in (("grid8", "sparsevlm:layers=1+2+4,keep=30+16+8", reducers_decoder.SparseVLM, True),
                                             ("grid8", "fastv:layer=1,keep=16", reducers_decoder.FastV, False)):
            class Wrong(method):
                def __init__(self, *arguments):
                    super().__init__(*arguments)
                    self.own_positions = not own
            right, wrong = run(name, reduction), run(name, reduction, kind=Wrong)
            self.assertEqual(distance(right["logits"][0], wrong["logits"][0]), 0)
            self.assertGreater(distance(right["logits"][1:], wrong["logits"][1:]), 1e-3)


    def kept_or_logits(self, name, reduction, kind, differs, **more):
        """`differs`: 'kept', or from which row of the logits on the mistake shows."""
        right, wrong = run(name, reduction, **more), run(name, reduction, kind=kind, **more)
        if differs == "kept":
            return self.assertFalse(np.array_equal(right["kept"], wrong["kept"]), reduction)
        self.assertTrue(np.array_equal(right["logits"][:differs], wrong["logits"][:differs]))
        self.assertGreater(distance(right["logits"][differs:], wrong["logits"][differs:]), 1e-3, reduction)

    def test_decoder(self):
        class WrongBlock(reducers_decoder.FastV):
            """Ranks by the attention two blocks before."""
            earlier = None

            def before(self, l, rows, p):
                rows, self.earlier = super().before(l, rows, self.earlier), p
                return rows

        class MeanRow(reducers_decoder.FastV):
            """As the paper's text has it."""
            def before(self, l, rows, p):
                return super().before(l, rows, p if p is None else p.mean(1, keepdim=True))

        class Late(reducers_decoder.LLaVolta):
            """The pooled row stands at its window's last place."""
            def before(self, l, rows, p):
                reduced = super().before(l, rows, p)
                reduced.positions[reduced.vision] += (l == int(self.options["layer"])) * 4
                return reduced

        class NoKernel(reducers_decoder.SparseVLM):
            def kernel(self, positions):
                return torch.ones(len(positions), len(positions), dtype=torch.float64)

        class NoRaters(reducers_decoder.SparseVLM):
            def start(self, rows):
                self.raters = rows.index[rows.index > int(rows.index[rows.vision].max())]

        class NoKey(reducers_decoder.MustDrop):
            def after(self, l, rows, p):
                self.key = ()
                return super().after(l, rows, p)

        class FullCaches(reducers_decoder.MustDrop):
            def finish(self):
                pass
        self.kept_or_logits("grid8", "fastv:layer=2,keep=16", WrongBlock, "kept")
        self.kept_or_logits("grid8", "fastv:layer=1,keep=16", MeanRow, "kept")
        self.kept_or_logits("grid8", "llavolta:layer=2,stride=8", Late, 0)
        self.kept_or_logits("grid8", "sparsevlm:version=2.0,layers=1+2+4,keep=30+16+8", NoKernel, "kept")
        self.kept_or_logits("grid8", "sparsevlm:layers=1+2+4,keep=30+16+8", NoRaters, "kept")
        self.kept_or_logits("grid24", "mustdrop:global=0.011,individual=0.01", NoKey, 0, image="square.png")
        self.kept_or_logits("grid24", "mustdrop:global=0.011,individual=0.01", FullCaches, 1, image="square.png")

    def test_bars(self):
        """Patches in the bars are barred where images are padded."""
        auto, off = run("grid8", "mmtok:keep=16", tokens=1)["selected"], run("grid8", "mmtok:keep=16,padding=off", tokens=1)["selected"]
        barred = reducers_vision.padding_bars(120, 72, 48, 6).nonzero()[:, 0].tolist()
        self.assertFalse(set(auto[0]) & set(barred))
        self.assertTrue(set(off[0]) & set(barred))


class Goldens(unittest.TestCase):
    def test_files(self):
        entries = reference.read_json(os.path.join(HERE, "reducers", "manifest.json"))["checkpoints"]
        self.assertGreaterEqual(len(entries), 30)
        self.assertEqual(len({entry["name"] for entry in entries}), len(entries))
        for entry in entries:
            for case in entry["cases"]:
                with self.subTest(case["expected"]):
                    self.check(case["expected"].split("/")[1], entry["compile"][entry["compile"].index("--reduce") + 1], case)

    def check(self, name, reduction, case):
        values = lambda flag: [value for key, value in zip(case["arguments"], case["arguments"][1:]) if key == flag]
        raw = values("--raw-prompt")
        images = [opened(os.path.basename(image)) for image in values("--image")]
        result = reducers.run(model(name), reduction, images, (raw or values("--prompt"))[0], bool(raw), int(values("--max-tokens")[0]), question=(values("--question") or [None])[0])
        self.assertEqual(reference.read_json(os.path.join(HERE, case["expected"], "tokens.json")), result["tokens"])
        for array in case["compare"]:
            self.assertLess(distance(np.load(os.path.join(HERE, case["expected"], array + ".npy")), result[array]), 2e-7)
        for array in case["indices"]:
            golden = np.load(os.path.join(HERE, case["expected"], array + ".npy"))
            self.assertEqual(golden.dtype, np.int32)
            self.assertTrue(np.array_equal(golden, result[array]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.chdir(HERE)  # files among the options are named from here
    unittest.main()
