#!/usr/bin/env python3
"""How far packed weights are from the float32 ones: lmmc's int8 and int4 beside llama.cpp's types, tensor kind by tensor kind, as a Markdown table of
relative l2 errors with bits per weight.

    weight_error.py F32.gguf NAME=FILE.gguf...

F32.gguf is what llama.cpp's convert_hf_to_gguf.py makes of a checkpoint (perplexity.sh --llama leaves it and the others in $GGUF), FILE.gguf the same
weights in another type. lmmc's packing is its own C (Sources/Weights/Pack), built here by gcc; the panels are read by code of this script. Needs numpy and gguf."""
import argparse
import collections
import ctypes
import pathlib
import re
import subprocess
import tempfile

import gguf
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK, PANEL = 64, 32  # of packed_layout.h
TYPES = {"int8": 1, "int4": 2}  # lmmc_packed_type


class Packer:
    def __init__(self, folder):
        library = pathlib.Path(folder) / "pack.so"
        pack, contract = ROOT / "Sources/Weights/Pack", ROOT / "Runtime/contract"
        subprocess.run(["gcc", "-O3", "-march=native", "-shared", "-fPIC", f"-I{pack}/include", f"-I{contract}", *map(str, pack.glob("*.c")), "-lm", "-o", str(library)], check=True)
        self.library = ctypes.CDLL(str(library))
        self.library.lmmc_packed_bytes.restype = ctypes.c_size_t
        self.library.lmmc_packed_bytes.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
        self.library.lmmc_pack_panel.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p]

    def bytes(self, kind, rows, columns):
        return self.library.lmmc_packed_bytes(TYPES[kind], rows, columns)

    def round(self, kind, weight):
        """`weight`, float32 [rows, columns], packed and read back."""
        rows, columns = weight.shape
        panel = np.zeros(self.bytes(kind, PANEL, columns), np.uint8)
        result = np.empty_like(weight)
        for first in range(0, rows, PANEL):
            part = np.ascontiguousarray(weight[first:first + PANEL])
            self.library.lmmc_pack_panel(TYPES[kind], len(part), columns, part.ctypes.data, panel.ctypes.data)
            result[first:first + PANEL] = self.read(kind, panel, columns)[:len(part), :columns]
        return result

    @staticmethod
    def read(kind, panel, columns):
        """[PANEL, columns padded to blocks]"""
        blocks = -(-columns // BLOCK)
        count = BLOCK * PANEL if kind == "int8" else BLOCK * PANEL // 2
        codes = panel[:blocks * count]
        scales = panel[blocks * count:blocks * (count + 2 * PANEL)].view(np.float16).astype(np.float32).reshape(blocks, PANEL, 1)
        if kind == "int8":  # [blocks, groups, columns, 4]
            values = codes.reshape(blocks, 16, PANEL, 4).transpose(0, 2, 1, 3).reshape(blocks, PANEL, BLOCK).astype(np.float32) - 128
        else:  # [blocks, pairs, columns, 4], the first four below
            both = codes.reshape(blocks, 8, PANEL, 1, 4)
            values = np.concatenate([both & 15, both >> 4], 3).transpose(0, 2, 1, 3, 4).reshape(blocks, PANEL, BLOCK).astype(np.float32)
            offsets = panel[blocks * (count + 2 * PANEL):blocks * (count + 3 * PANEL)].reshape(blocks, PANEL, 1)
            values = 8 * values - offsets
        return (scales * values).transpose(1, 0, 2).reshape(PANEL, blocks * BLOCK)


def tensors(path):
    """By name: float32 [rows, columns], and bits per weight; matrices only."""
    result = {}
    for tensor in gguf.GGUFReader(path).tensors:
        if len(tensor.shape) == 2 and min(tensor.shape) > 1:
            shape = [int(size) for size in tensor.shape[::-1]]
            result[tensor.name] = (lambda t=tensor, s=shape: gguf.quants.dequantize(t.data, t.tensor_type).reshape(s).astype(np.float32),
                                   8 * int(tensor.n_bytes), shape[0] * shape[1])
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exact")
    parser.add_argument("others", nargs="*", metavar="NAME=FILE.gguf")
    options = parser.parse_args()
    others = {name: tensors(path) for name, path in (pair.split("=", 1) for pair in options.others)}
    sums = collections.defaultdict(lambda: [0.0, 0.0, 0, 0])  # by kind and type: squares of the error, of the weights; bits; weights

    with tempfile.TemporaryDirectory() as folder:
        packer = Packer(folder)
        for name, (read, _, count) in tensors(options.exact).items():
            weight = read()
            kind = re.sub(r"blk\.\d+\.|\.weight", "", name)
            found = [(type, packer.round(type, weight), 8 * packer.bytes(type, *weight.shape)) for type in TYPES]
            found += [(type, other[name][0](), other[name][1]) for type, other in others.items()]
            for type, value, bits in found:
                error = float(np.square(value.astype(np.float64) - weight).sum()), float(np.square(weight, dtype=np.float64).sum())
                for group in (kind, "all"):
                    for index, more in enumerate((*error, bits, count)):
                        sums[group, type][index] += more

    types = [*TYPES, *others]
    kinds = [kind for kind in dict.fromkeys(group for group, _ in sums) if kind != "all"] + ["all"]
    print("| tensors | " + " | ".join(types) + " |\n|---|" + "---|" * len(types))
    for kind in kinds:
        cells = [f"{100 * (error / square) ** 0.5:.2f} % at {bits / count:.2f}" for error, square, bits, count in (sums[kind, type] for type in types)]
        print(f"| {kind} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
