"""Runs udi-golden on a golden folder and compares everything that it writes with the official numbers.

usage: replay.py UDI_GOLDEN FOLDER [--without-local-crops]

README.md beside this file tells what the folders hold and how close is close. --without-local-crops replays a copy whose
batches have no local crops: the official numbers hold for the global parts of step 0, which local crops do not touch.
Python's own library alone, so that nothing of the core judges itself.
"""
import array
import json
import math
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

PARTS = ["global_cls", "global_cls_plus", "global_patch", "local_cls", "local_cls_plus"]
TYPES = {"F32": "f", "F64": "d", "U8": "B", "BOOL": "B"}


def read(path):
    """name -> (shape, dtype, values)"""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + place for place in entry["data_offsets"])
        tensors[name] = (entry["shape"], entry["dtype"], array.array(TYPES[entry["dtype"]], content[begin:end]))
    return tensors


def write(path, tensors):
    header, data = {}, b""
    for name, (shape, dtype, values) in tensors.items():
        piece = values.tobytes()
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def comparable(name, values):
    """Without the key third of qkv biases: its true gradient is zero, and Adam moves it by rounding noise."""
    third = len(values) // 3
    return values[:third] + values[2 * third :] if name.endswith("qkv.bias") else values


def distance(name, got, want):
    a, b = comparable(name, got), comparable(name, want)
    return math.dist(a, b) / max(math.hypot(*b), 1e-30)


def compare(folder, got):
    worst = {}

    def see(kind, name, value, limit):
        assert value <= limit, f"{kind}: {name} differs by {value:.2e}, the limit is {limit:.0e}"
        worst[kind] = max(worst.get(kind, (0.0, "")), (value, name))

    steps = json.loads((folder / "golden.json").read_text())["steps"]
    assert got["loss"][0] == [len(steps)] and got["parts"][0] == [len(steps), 5], "shapes of loss and parts"
    for i, step in enumerate(steps):
        values = dict(zip(PARTS, got["parts"][2][5 * i : 5 * i + 5]), loss=got["loss"][2][i])
        for name, value in values.items():
            if step[name] is None:
                assert math.isnan(value), f"step {i}: {name} is {value}, and this method has no such part"
            else:
                see("loss parts", f"{name} of step {i}", abs(value - step[name]) / abs(step[name]), 5e-6)

    wanted = {"loss", "parts"}
    for kind, file, prefix in [
        ("gradients", "grads_step0", "grads."),
        ("weights and centers", "final", ""),
        ("features", "features", ""),
    ]:
        for name, (shape, _, values) in read(folder / f"{file}.safetensors").items():
            wanted.add(prefix + name)
            assert prefix + name in got, f"{prefix + name} is missing"
            got_shape, _, got_values = got[prefix + name]
            assert got_shape == shape, f"{prefix + name}: shape {got_shape}, not {shape}"
            see(kind, name, distance(name, got_values, values), 1e-5)
    assert got.keys() == wanted, f"too much: {sorted(got.keys() - wanted)}"
    for kind, (value, name) in worst.items():
        print(f"{kind}: at most {value:.2e} ({name})")


def without_local_crops(folder, to):
    shutil.copytree(folder, to)
    batches = {}
    for name, (shape, dtype, values) in read(folder / "batches.safetensors").items():
        if "local" in name:
            continue
        if name.endswith("coords"):
            crops = shape[0]
            shape, values = [2] + shape[1:], values[: len(values) // crops * 2]
        batches[name] = (shape, dtype, values)
    write(to / "batches.safetensors", batches)


def main(program, folder, without_locals):
    with tempfile.TemporaryDirectory() as work:
        out = pathlib.Path(work) / "out.safetensors"
        replayed = folder
        if without_locals:
            replayed = pathlib.Path(work) / "folder"
            without_local_crops(folder, replayed)
        subprocess.run([program, "train", str(replayed), str(out)], check=True)
        got = read(out)
    if not without_locals:
        return compare(folder, got)
    assert all(math.isfinite(loss) and loss > 0 for loss in got["loss"][2]), got["loss"]
    for i, value in enumerate(got["parts"][2]):
        assert math.isnan(value) == PARTS[i % 5].startswith("local"), f"{PARTS[i % 5]} is {value}"
    first = json.loads((folder / "golden.json").read_text())["steps"][0]
    for name, value in zip(PARTS[:3], got["parts"][2]):
        assert abs(value - first[name]) <= 5e-6 * first[name], f"{name} of step 0 is {value}, not {first[name]}"
    assert "tokens_last" in got and "tokens_localcrop" not in got, "features"


if __name__ == "__main__":
    try:
        main(sys.argv[1], pathlib.Path(sys.argv[2]), "--without-local-crops" in sys.argv[3:])
    except (AssertionError, OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"{sys.argv[2]}: {error}")
