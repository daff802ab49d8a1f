"""Weights as other programs see and make them, with Python alone."""
import json
import pickle
import random
import struct
import sys
import zipfile
from collections import OrderedDict

from check import read_tensors


def write_tensors(path, tensors, metadata=None, room=0):
    """tensors: {name: (dtype, shape, bytes)}; room: the header is padded to so many bytes."""
    header, at = {"__metadata__": metadata} if metadata else {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    words = json.dumps(header).encode().ljust(int(room))
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(words)) + words)
        for _, _, data in tensors.values():
            file.write(data)


def header_bytes(path):
    with open(path, "rb") as file:
        print(struct.unpack("<Q", file.read(8))[0])


def drop_words(source, path):
    """The same tensors without any metadata."""
    write_tensors(path, read_tensors(source))


def spoil(source, path, *changes):
    """-NAME drops each tensor whose name holds NAME, +NAME adds one, /NAME splits the first dimension of one."""
    tensors = read_tensors(source)
    for change in changes:
        kind, name = change[0], change[1:]
        if kind == "-":
            assert any(name in key for key in tensors), name
            tensors = {key: value for key, value in tensors.items() if name not in key}
        elif kind == "+":
            tensors[name] = ("F32", [2], bytes(8))
        else:
            dtype, shape, data = tensors[name]
            tensors[name] = (dtype, [2, shape[0] // 2, *shape[1:]], data)
    write_tensors(path, tensors)


def write_deit(path, side):
    """A ViT of patches of 16 pixels under the names of DeiT and timm, 24 wide."""
    rng = random.Random(1)
    tensors = {}

    def add(name, *shape):
        count = 1
        for size in shape:
            count *= size
        values = [rng.gauss(1 if "norm" in name and name.endswith("weight") else 0, 0.1) for _ in range(count)]
        tensors[name] = ("F32", list(shape), struct.pack(f"<{count}f", *values))

    def linear(name, rows, columns):
        add(f"{name}.weight", rows, columns)
        add(f"{name}.bias", rows)

    def norm(name):
        add(f"{name}.weight", 24)
        add(f"{name}.bias", 24)

    add("cls_token", 1, 1, 24)
    add("pos_embed", 1, 1 + (int(side) // 16) ** 2, 24)
    add("patch_embed.proj.weight", 24, 3, 16, 16)
    add("patch_embed.proj.bias", 24)
    for block in range(2):
        norm(f"blocks.{block}.norm1")
        linear(f"blocks.{block}.attn.qkv", 72, 24)
        linear(f"blocks.{block}.attn.proj", 24, 24)
        norm(f"blocks.{block}.norm2")
        linear(f"blocks.{block}.mlp.fc1", 96, 24)
        linear(f"blocks.{block}.mlp.fc2", 24, 96)
    norm("norm")
    linear("head", 1000, 24)
    write_tensors(path, tensors)


# ---- What torch.load does, as far as an official checkpoint needs it ---------------------------------------------------


class Tensor:
    def __init__(self, storage, offset, size, stride, requires_grad, hooks):
        self.kind, self.key, data, count = storage
        self.shape = list(size)
        elements = 1
        for length, step in reversed(list(zip(size, stride))):
            assert step == elements or length == 1, f"strides {stride} of {size} are not row-major"
            elements *= length
        assert offset == 0 and elements == count and 4 * count == len(data), (offset, elements, count, len(data))
        assert not requires_grad and hooks == OrderedDict()
        self.data = data


class Unpickler(pickle.Unpickler):
    def __init__(self, archive, folder):
        super().__init__(archive.open(f"{folder}/data.pkl"))
        self.archive, self.folder, self.used = archive, folder, set()

    def find_class(self, module, name):
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): Tensor,
            ("torch", "FloatStorage"): "FloatStorage",
        }
        return known[(module, name)]  # nothing else may be needed

    def persistent_load(self, pid):
        word, kind, key, device, count = pid
        assert word == "storage" and device == "cpu", pid
        self.used.add(f"{self.folder}/data/{key}")
        return kind, key, self.archive.read(f"{self.folder}/data/{key}"), count


def load_pth(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None, f"{archive.testzip()} is damaged"
        names = archive.namelist()
        folder = names[0].split("/")[0]
        assert archive.read(f"{folder}/version") == b"3\n" and archive.read(f"{folder}/byteorder") == b"little"
        reader = Unpickler(archive, folder)
        root = reader.load()
        assert reader.used == {name for name in names if "/data/" in name}, "storages that nothing names"
    return root


def check_official(path, checkpoint, steps, steps_per_epoch, frozen):
    """The .pth has what main_udi.py saves, with the values of the run's own checkpoint."""
    own, root, steps = read_tensors(checkpoint), load_pth(path), int(steps)
    assert set(root) == {"student", "teacher", "optimizer", "epoch", "args", "udi_loss"}, set(root)
    assert root["epoch"] == steps // int(steps_per_epoch), root["epoch"]

    for role, prefix in (("student", "module."), ("teacher", "")):
        state = root[role]
        assert isinstance(state, OrderedDict) and all(name.startswith(prefix) for name in state), list(state)[:3]
        state = {name[len(prefix) :]: tensor for name, tensor in state.items()}
        heads = [name for name in state if name.startswith("head.0.")]
        assert len(heads) == 8
        for name in heads:  # one head, three names, one storage
            for level in "12":
                assert state.pop(f"head.{level}." + name[7:]).key == state[name].key, name
        wanted = {name[len(role) + 1 :]: tensor for name, tensor in own.items() if name.startswith(f"{role}.")}
        assert list(state) == list(wanted), set(state) ^ set(wanted)
        for name, (_, shape, data) in wanted.items():
            assert state[name].shape == shape and state[name].data == data, name

    names = list(wanted)
    decayed = [n for n in names if len(wanted[n][1]) > 1 and not n.endswith(".bias")]
    order = decayed + [n for n in names if n not in decayed]
    first, second = root["optimizer"]["param_groups"]
    assert first["params"] + second["params"] == list(range(len(order))) and len(first["params"]) == len(decayed)
    assert first["weight_decay"] > 0 and second["weight_decay"] == 0
    for group in (first, second):
        assert {"lr", "betas", "eps", "weight_decay", "amsgrad", "params"} <= set(group), set(group)
    assert sorted(root["optimizer"]["state"]) == list(range(len(order)))
    for place, name in enumerate(order):
        moments = root["optimizer"]["state"][place]
        assert set(moments) == {"step", "exp_avg", "exp_avg_sq"}, set(moments)
        updates = steps - int(frozen) if "last_layer" in name else steps
        assert struct.unpack("<f", moments["step"].data) == (updates,) and moments["step"].shape == [], name
        for moment in ("exp_avg", "exp_avg_sq"):
            _, shape, data = own[f"{moment}.{name}"]
            assert moments[moment].shape == shape and moments[moment].data == data, f"{moment} of {name}"

    center, count = root["udi_loss"]["centering.center"], root["udi_loss"]["centering.count"]
    assert center.shape == own["center"][1] and center.data == own["center"][2]
    assert count.shape == [center.shape[0], 1] and not any(count.data)

    args = root["args"]
    assert {"patch_size": 8, "out_dim": 64, "norm_last_layer": False, "heads": 2, "srs_heads": 2}.items() <= args.items()
    assert args["resize_size"] == 45 and [round(value, 6) for value in args["mean"]] == [0.3, 0.5, 0.6], args
    assert [round(value, 6) for value in args["std"]] == [0.2, 0.3, 0.4], args


if __name__ == "__main__":
    tasks = {"header": header_bytes, "drop_words": drop_words, "spoil": spoil, "deit": write_deit, "official": check_official}
    try:
        tasks[sys.argv[1]](*sys.argv[2:])
    except (AssertionError, OSError, ValueError, KeyError) as error:
        sys.exit(f"{' '.join(sys.argv[2:])}: {error!r}")
