"""The files that bench.py measures: made when they are first asked for, kept in one folder."""
import contextlib
import functools
import hashlib
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = os.environ.get("PYTHON", sys.executable)
MOST_FLOAT32_LAYERS = 4  # of 0.8 GB each
SLOT_LAYERS = 4  # of the programs of several slots, which stand in the page cache together

# What slows OpenBLAS down where it is set, and would count against whoever runs inside such an environment.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}


def output(*command, **extra):
    """Standard output of a command that must succeed; `extra` are environment variables."""
    done = subprocess.run([str(part) for part in command], env={**ENVIRONMENT, **extra}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: '{' '.join(map(str, command))}' ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def cpu_facts():
    """What the kernel says of a CPU, by its names: 'model name', 'cpu family', ..."""
    with open("/proc/cpuinfo") as file:
        return dict(map(str.strip, line.split(":", 1)) for line in file if ":" in line)


@functools.cache
def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:12]


@contextlib.contextmanager
def whole(path):
    """Another name to write to: a file that was half written when something ended is not taken for one."""
    part = path.with_name(path.name + ".part")
    yield part
    part.rename(path)


class Models:
    def __init__(self, folder, layers, lmmc, llama):
        self.folder, self.layers, self.lmmc = folder, layers, lmmc
        self.llama = pathlib.Path(llama) if llama else None
        check = "import importlib.util as u; print(*[int(u.find_spec(n) is not None) for n in ('torch', 'openvino', 'nncf')])"
        torch, openvino, nncf = (word == "1" for word in output(PYTHON, "-c", check).split())
        self.there = {"llama": self.llama is not None, "torch": torch, "openvino": openvino and nncf}

    def has(self, peer):
        return self.there[peer]

    # ---- lmmc

    def layers_of(self, precision):
        return min(self.layers, MOST_FLOAT32_LAYERS) if precision == "f32" else self.layers

    def checkpoint(self, preset, layers=None):
        layers = layers or self.layers
        path = self.folder / f"{preset}-{layers}"
        if not path.exists():
            with whole(path) as part:
                output(self.lmmc, "synth", "--preset", preset, "--layers", layers, "-o", part, "--quiet")
        return path

    def program(self, preset, precision):
        layers = self.layers_of(precision)
        path = self.folder / f"{preset}-{layers}.{precision}"
        if not path.exists():
            output(self.lmmc, "compile", self.checkpoint(preset, layers), "-o", path, "--precision", precision, "--quiet", LMMC_ISA="")
        return path

    def slots(self, sequences, context, lmmc=None):
        """A program in int8 of so many slots, or what another compiler, which may know of no slots, makes for one."""
        layers, name = self.slot_layers(), f"before-{digest(lmmc)}" if lmmc else f"slots-{sequences}-{context}"
        path = self.folder / f"{name}-{layers}.int8"
        if not path.exists():
            several = [] if lmmc else ["--sequences", sequences]
            output(lmmc or self.lmmc, "compile", self.checkpoint("llava-stf-7b", layers), "-o", path, "--context", context, *several, "--quiet", LMMC_ISA="")
        return path

    def slot_layers(self):
        return min(self.layers, SLOT_LAYERS)

    def info(self, preset, precision):
        return json.loads(output(self.program(preset, precision), "--info"))

    def flops(self, preset):
        return json.loads(output(self.lmmc, "inspect", "--preset", preset, "--layers", self.layers, "--json"))["flops"]

    def kernels(self, *options):
        """What packed_bench prints."""
        return output("bash", ROOT / "Tests/bench_kernels.sh", *options, PROGRAM=str(self.folder / "packed_bench"))

    def openblas(self):
        path = self.folder / "openblas_bench"
        if not path.exists():
            multiarch = output("gcc", "-print-multiarch").strip()
            output("gcc", "-O2", "-fopenmp", HERE / "openblas_bench.c", "-o", path, f"-I/usr/include/{multiarch}/openblas-openmp",
                   f"-L/usr/lib/{multiarch}/openblas-openmp", "-Wl,-Bstatic", "-lopenblas", "-Wl,-Bdynamic", "-lm", "-lpthread")
        return path

    # ---- peers

    def llama_tool(self, name):
        """The path of a tool of llama.cpp, or None."""
        path = self.llama and self.llama / "build/bin" / name
        return path if path and path.exists() else None

    def gguf(self, weights, layers=None):
        layers = layers or self.layers
        path = self.folder / f"llama-{layers}.{weights}.gguf"
        if path.exists():
            return path
        with whole(path) as part:
            if weights == "F16":
                output(PYTHON, HERE / "random_gguf.py", part, "--layers", layers)
            else:
                output(self.llama_tool("llama-quantize"), self.gguf("F16", layers), part, weights)
        return path

    def tower(self):
        path = self.folder / "tower.gguf"
        if not path.exists():
            with whole(path) as part:
                output(PYTHON, HERE / "random_gguf.py", part, "--tower")
        return path

    def openvino(self, work, weights):
        path = self.folder / (f"openvino-{self.layers}.{weights}.xml" if work == "decoder" else f"openvino-tower.{weights}.xml")
        command = [PYTHON, HERE / "peer_openvino.py", work, path, "--layers", self.layers, "--weights", weights]
        if not path.exists():
            output(*command, "--prepare")
        return command

    def peer_decoder(self, peer, weights):
        """The server's command, or llama.cpp's file."""
        if peer == "llama":
            return self.gguf(weights)
        if peer == "openvino":
            return self.openvino("decoder", weights)
        return [PYTHON, HERE / "peer_torch.py", "decoder", "--layers", self.layers]

    def peer_tower(self, peer, weights):
        if peer == "llama":
            return self.tower(), self.gguf("Q8_0", 1)
        if peer == "openvino":
            return self.openvino("vision", weights)
        return [PYTHON, HERE / "peer_torch.py", "vision"] + (["--compile"] if weights == "compiled" else [])
