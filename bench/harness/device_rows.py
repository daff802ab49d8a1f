"""The rows of a GPU: bench/run --device cuda. With --tiny they run on the CPU, too, in sizes that say nothing of speed: a check
that everything here works, before a GPU's minutes are spent on it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.process import Contender, Row

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "baseline"))
from roofline import extraction, step, summary  # noqa: E402
from sizes import Sizes, tiny_sizes  # noqa: E402

# libudi's words for baseline/sizes.py's tiny_sizes()
TINY = ["--embed-dim", 64, "--depth", 2, "--heads", 2, "--srs-heads", 2, "--image-size", 64, "--local-size", 32]
TINY += ["--patch-size", 16, "--head-hidden-dim", 64, "--head-bottleneck-dim", 32, "--out-dim", 256]
CACHE = "build/bench-cache"  # what torch.compile made, for the next process


@dataclass
class Scale:
    batch: int = 128
    small: int = 16
    extract: int = 256
    locals: int = 10
    files: int = 4096
    workers: int = 16
    repeats: int = 5  # of PyTorch, each a few steps; libudi's are single
    ours: int = 20


TINY_SCALE = Scale(4, 2, 8, 2, 16, 2, 1, 2)


class Maker:
    def __init__(self, args, root, folder):
        self.args, self.root, self.folder = args, root, folder
        self.scale = TINY_SCALE if args.tiny else Scale()
        self.cores = 1 if args.tiny else len(os.sched_getaffinity(0))
        there = args.udi.exists()
        help_ = subprocess.run([args.udi, "bench", "--help"], capture_output=True, text=True).stdout if there else ""
        self.knows = lambda option: option in help_
        self.cuda = args.device.startswith("cuda")

    def torch(self, name, what, *options, repeats=None, slow=False):
        common = ["--device", self.args.device, "--repeats", repeats or self.scale.repeats, "--threads", min(self.cores, 16)]
        common += ["--tiny"] if self.args.tiny else []
        command = [self.args.python, "-W", "ignore", self.root / "bench/baseline/measure.py", what, *options, *common]
        environment = {
            "TORCHINDUCTOR_CACHE_DIR": str(self.root / CACHE),
            "TORCHINDUCTOR_FX_GRAPH_CACHE": "1",
            "PYTORCH_ALLOC_CONF": "expandable_segments:True",
        }
        return Contender(name, list(map(str, command)), environment, slow)

    def udi(self, name, what, *options, needs=()):
        lacking = [option for option in needs if not self.knows(option)]
        missing = "" if self.args.udi.exists() else f"no {self.args.udi}"
        if lacking:
            missing = f"this libudi has no {', '.join(lacking)}"
        size = TINY if self.args.tiny else []
        rounds = ["--warmup", 1 if self.args.tiny else 5, "--repeats", self.scale.ours, "--device", self.args.device]
        command = [self.args.udi, "bench", what, "--json", "--quiet", *size, *rounds, *options]
        return Contender(name, list(map(str, command)), {}, False, missing)

    def both(self, what, *options):
        """LibTorch's operators, our own kernels, and these replayed as a graph."""
        ours = [self.udi("libudi, LibTorch's operators", what, *options)]
        if self.cuda:
            ours.append(self.udi("libudi, own kernels", what, *options, "--kernels", needs=["kernels"]))
            ours.append(
                self.udi("libudi, own kernels, one graph", what, *options, "--kernels", "--graph", needs=["kernels", "]graph"])
            )
        return ours

    # ---- Rows ------------------------------------------------------------------------------------------------------

    def ceilings(self):
        return Row("ceilings", "copy and 16-bit product", self.cores, [self.torch("PyTorch", "ceilings")])

    def step(self, name, batch, strong):
        common = ["--locals", self.scale.locals, "--batch", batch]
        common += [] if self.args.tiny else ["--out-dim", 65536, "--steps", 4]
        eager = [self.torch("PyTorch eager, fp16 autocast", "step", *common, *(["--half"] if self.cuda else []))]
        modes = [("default", False), ("max-autotune", True)] if strong else []
        for mode, slow in modes:
            options = [*common, "--engine", "strong", "--bf16", "--compile", mode]
            eager.append(self.torch(f"PyTorch strong, compiled: {mode}", "step", *options, slow=slow))
        if strong:
            eager.append(self.torch("PyTorch strong, not compiled", "step", *common, "--engine", "strong", "--bf16"))
        ours = self.both("step", "--batch-size", batch, "--local-crops", self.scale.locals, "--precision", "bf16")
        title = f"training step, 2 + {self.scale.locals} crops, batch {batch}, 16 bits"
        return Row(name, title, self.cores, eager + ours)

    def extraction(self):
        batch = self.scale.extract
        theirs = [self.torch("PyTorch eager, bf16", "extract", "--batch", batch, "--engine", "sdpa", "--bf16")]
        for mode, slow in (("default", False), ("max-autotune", True)):
            options = ["--batch", batch, "--engine", "sdpa", "--bf16", "--compile", mode]
            theirs.append(self.torch(f"PyTorch compiled: {mode}", "extract", *options, slow=slow))
        ours = self.both("extract", "--batch-size", batch, *(["--precision", "bf16"] if self.cuda else []))
        return Row("extract_256", f"extraction, batch {batch}, tensors on the GPU", self.cores, theirs + ours)

    def files(self):
        folder = many_links(self.folder, self.folder.parent / "many", self.scale.files)
        batch = self.scale.extract
        common = ["--data", folder, "--batch", batch, "--workers", self.scale.workers, "--bf16"]
        common += [] if self.args.tiny and not self.cuda else ["--compile", "default"]
        theirs = [self.torch("torchvision DataLoader, compiled", "files", *common, repeats=2)]
        ours = self.udi("libudi", "extract", "--data", folder, "--batch-size", batch, "--workers", self.scale.workers)
        ours.command[ours.command.index("--repeats") + 1] = "3"
        return Row("files", f"JPEG files to features, batch {batch}, {self.scale.workers} workers", self.cores, [*theirs, ours])

    def data(self):
        batch = ["--batch-size", 8, "--workers", 1, "--data", self.folder, "--local-crops", 10]
        theirs = self.torch("Pillow + torchvision", "data", "--locals", 10, "--batch", 8, "--data", self.folder)
        ours = [self.udi("libudi", "data", *batch)]
        ours.append(
            self.udi("libudi, augmentation on the GPU", "data", *batch, "--augment-on", "device", needs=["augment-on"])
        )
        return Row("data_10", "data path, JPEG to views, 2 + 10 crops, one core", 1, [theirs, *ours])

    def rows(self, names):
        makers = {
            "step": lambda: self.step("step_128", self.scale.batch, True),
            "extract": self.extraction,
            "small": lambda: self.step("step_16", self.scale.small, False),
            "files": self.files,
            "data": self.data,
        }
        return [self.ceilings()] + [makers[name]() for name in names]


NAMES = ("step", "extract", "small", "files", "data")


def many_links(folder, target, count):
    """`count` names for the JPEG files of `folder`, so that a pass over them is long enough to time."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    target.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        place = target / f"{index:06}.jpg"
        try:
            os.link(paths[index % len(paths)], place)
        except OSError:  # another file system
            shutil.copyfile(paths[index % len(paths)], place)
    return target


def rooflines(args, samples):
    """Images a second at the roofline by row, from the ceilings that the run measured and libudi's share of valid samples;
    empty where one of them is not there."""
    of = lambda row, key: next((s["result"][key] for s in samples if s["row"] == row and key in s.get("result", {})), None)
    peak, bandwidth = of("ceilings", "flops_per_second"), of("ceilings", "bytes_per_second")
    if not peak or not bandwidth:
        return {}
    scale = TINY_SCALE if args.tiny else Scale()
    sizes = tiny_sizes() if args.tiny else Sizes()
    found = {"extract_256": summary(extraction(sizes, scale.extract), peak, bandwidth, scale.extract)}
    for row, batch in (("step_128", scale.batch), ("step_16", scale.small)):
        ours = [s["result"] for s in samples if s["row"] == row and s["contender"].startswith("libudi") and "result" in s]
        if ours:
            operations = step(sizes, batch, scale.locals, ours[0]["valid_share"], ours[0]["parameters"])
            found[row] = summary(operations, peak, bandwidth, batch)
    return found
