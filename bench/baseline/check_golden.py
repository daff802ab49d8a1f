#!/usr/bin/env python3
"""Replays the steps of tests/golden with the baselines: are these yardsticks really the official step? Both the literal one
(step.py) and the fast one (strong.py, as it is or compiled, which takes a minute or two a folder).

    build/bench-venv/bin/python bench/baseline/check_golden.py [--compiled] [FOLDER ...]

Limits on the relative difference stand in LIMITS: those that libudi itself must keep (tests/golden/README.md).
"""

import json
import sys
from pathlib import Path

import torch

import tensors
from maps import image_maps
from sizes import Sizes
from step import Batch, Pretraining
from strong import StrongPretraining

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
LIMITS = {"loss": 5e-6, "gradients": 1e-5, "student": 1e-5, "teacher": 1e-5, "center": 1e-5, "maps": 1e-6}


def relative(value, reference):
    value, reference = value.double(), reference.double()
    return ((value - reference).norm() / reference.norm().clamp(min=1e-12)).item()


def without_key_bias(name, tensor):
    """The true gradient of the keys' bias is zero: Adam moves it by rounding noise, so it says nothing."""
    if not name.endswith("qkv.bias"):
        return tensor
    third = len(tensor) // 3
    return torch.cat([tensor[:third], tensor[2 * third :]])


def sizes_of(config):
    same = ("global_size", "local_size", "patch_size", "dim", "depth", "heads", "srs_heads", "hidden", "bottleneck", "out_dim")
    optional = ("class_tokens", "include_patch", "norm_last_layer")
    given = {key: config[key] for key in same} | {key: config[key] for key in optional if key in config}
    return Sizes(drop_path=0.0, **given)


def load_batch(arrays, index, sizes):
    def crops(name):
        return [((crop.float() / 255) - MEAN) / STD for crop in arrays[f"b{index}.{name}"]]

    coords = arrays[f"b{index}.coords"]
    masks = zip(arrays[f"b{index}.sample_global"].bool(), arrays[f"b{index}.sample_local"].bool())
    images = [image_maps(coords[:, b], g, l, sizes.grid, sizes.local_grid) for b, (g, l) in enumerate(masks)]
    sources, targets = ([torch.stack(same) for same in zip(*lists)] for lists in zip(*images))
    return Batch(crops("global_u8") + crops("local_u8"), sources, targets)


def map_difference(arrays, batch):
    locals_ = batch.locals
    ours = {
        "src_maps_global": torch.stack(batch.sources[:2]),
        "tgt_maps_global": torch.stack(batch.targets[:2]),
        "src_maps_local": torch.stack(batch.sources[2:]),
        "tgt_maps_local": torch.stack(batch.targets[2:]),
    }
    assert len(ours["src_maps_local"]) == 2 * locals_
    return max(relative(value, arrays["b0." + name].float()) for name, value in ours.items() if "b0." + name in arrays)


def worst_tensor(values, reference):
    pairs = ((n, without_key_bias(n, values[n]), without_key_bias(n, reference[n])) for n in reference)
    return max((relative(value, wanted), name) for name, value, wanted in pairs)


def replay(folder, make):
    """make: sizes, alpha, clip -> Pretraining or StrongPretraining. -> worst difference by kind"""
    golden = json.loads((folder / "golden.json").read_text())
    config, sizes = golden["config"], sizes_of(golden["config"])
    training = make(sizes, config["alpha"], config["clip"])
    initial = tensors.read(folder / "init.safetensors")
    training.student.load_state_dict(initial)
    training.teacher.load_state_dict(initial)

    arrays = tensors.read(folder / "batches.safetensors")
    batches = [load_batch(arrays, i, sizes) for i in range(3)]
    gradients, worst_loss = {}, 0.0
    for index, expected in enumerate(golden["steps"]):
        frozen = expected["epoch"] < config["freeze_last"]
        knobs = [expected[key] for key in ("lr", "wd", "momentum", "teacher_temp")]
        loss, parts = training.step(batches[index % 3], *knobs, frozen, gradients if index == 0 else None)
        for name, value in {"loss": loss, **parts}.items():
            worst_loss = max(worst_loss, abs(float(value) - expected[name]) / abs(expected[name]))
        missing = [n for n in expected if n.startswith(("global_", "local_")) and expected[n] is not None and n not in parts]
        assert not missing, missing

    final = tensors.read(folder / "final.safetensors")
    of = lambda role: {n[len(role) + 1 :]: t for n, t in final.items() if n.startswith(role + ".")}
    golden_gradients = tensors.read(folder / "grads_step0.safetensors")
    return {
        "loss": worst_loss,
        "gradients": worst_tensor(gradients, golden_gradients),
        "student": worst_tensor(training.student.state_dict(), of("student")),
        "teacher": worst_tensor(training.teacher.state_dict(), of("teacher")),
        "center": relative(training.objective.center, final["center"]),
        "maps": map_difference(arrays, batches[0]),
    }


def main():
    torch.set_num_threads(1)
    compiled = "--compiled" in sys.argv
    folders = [Path(p) for p in sys.argv[1:] if p != "--compiled"] or sorted(p.parent for p in GOLDEN.glob("*/golden.json"))
    assert folders, f"no golden folders in {GOLDEN}"
    strong = lambda mode: lambda *given: StrongPretraining(*given, compile_mode=mode)
    ways = {"compiled": strong("default")} if compiled else {"literal": Pretraining, "strong": strong(None)}
    good = True
    for way, make in ways.items():
        for folder in folders:
            for kind, worst in replay(folder, make).items():
                value, where = worst if isinstance(worst, tuple) else (worst, "")
                passed = value <= LIMITS[kind]
                good &= passed
                verdict = "ok" if passed else "WRONG"
                print(f"{way:9} {folder.name:14} {kind:10} {value:8.1e} of {LIMITS[kind]:.0e}  {verdict}  {where}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
