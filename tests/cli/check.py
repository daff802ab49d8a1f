"""What the scripts ask of files, with Python alone."""
import json
import struct
import sys


def read_tensors(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert end <= len(data), f"{path}: {name} ends behind the file"
        tensors[name] = (entry["dtype"], entry["shape"], data[begin:end])
    return tensors


def compare_tensors(first, second):
    a, b = read_tensors(first), read_tensors(second)
    assert a, f"{first} holds no tensor"
    assert a.keys() == b.keys(), f"names differ: {sorted(a.keys() ^ b.keys())}"
    different = [name for name in a if a[name] != b[name]]
    assert not different, f"{len(different)} of {len(a)} tensors differ, the first is {different[0]}"


def check_log(path, steps):
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    found = [line["step"] for line in lines if "loss" in line]
    assert found == list(range(int(steps))), f"steps in the log: {found}"


def read_rows(path):
    """A feature file's shape and bytes."""
    if path.endswith(".safetensors"):
        ((dtype, shape, data),) = read_tensors(path).values()
        assert dtype == "F32", dtype
        return shape, data
    with open(path, "rb") as file:
        content = file.read()
    assert content[:8] == b"\x93NUMPY\x01\x00", "no .npy of version 1"
    (length,) = struct.unpack("<H", content[8:10])
    head = eval(content[10 : 10 + length])
    assert head["descr"] == "<f4" and not head["fortran_order"], head
    return list(head["shape"]), content[10 + length :]


def compare_rows(first, second):
    a, b = read_rows(first), read_rows(second)
    assert a[0] == b[0], f"shapes differ: {a[0]} and {b[0]}"
    assert a[1], f"{first} has no rows"
    assert a[1] == b[1], "values differ"


def check_png(path, width, height):
    with open(path, "rb") as file:
        head = file.read(24)
    assert head[:8] == b"\x89PNG\r\n\x1a\n", "no PNG"
    assert struct.unpack(">II", head[16:24]) == (int(width), int(height)), struct.unpack(">II", head[16:24])


def flip_byte(path, place):
    """The byte at a place (negative: counted from the end) becomes another."""
    with open(path, "r+b") as file:
        file.seek(int(place), 2 if int(place) < 0 else 0)
        value = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([value ^ 0x10]))


if __name__ == "__main__":
    tasks = {
        "tensors": compare_tensors,
        "log": check_log,
        "rows": compare_rows,
        "png": check_png,
        "flip": flip_byte,
    }
    try:
        tasks[sys.argv[1]](*sys.argv[2:])
    except (AssertionError, OSError, ValueError) as error:
        sys.exit(f"{' '.join(sys.argv[2:])}: {error}")
