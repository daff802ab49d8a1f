"""What the scripts ask of files, with Python alone."""
import json
import math
import struct
import sys
import zlib


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


def near_rows(first, second, limit):
    a, b = read_rows(first), read_rows(second)
    assert a[0] == b[0] and a[1], f"shapes: {a[0]} and {b[0]}"
    one, other = (struct.unpack(f"<{len(data) // 4}f", data) for _, data in (a, b))
    apart = max(abs(x - y) for x, y in zip(one, other))
    assert apart <= float(limit), f"values are up to {apart} apart"


def check_monitors(folder):
    """What the log says of a run's health, against the run's loss and the centers in its checkpoint."""
    with open(f"{folder}/log.jsonl", encoding="utf-8") as file:
        lines = [line for line in map(json.loads, file) if "loss" in line]
    dtype, (levels, size), data = read_tensors(f"{folder}/checkpoint.safetensors")["center"]
    assert dtype == "F32" and lines, dtype
    for line in lines:
        assert 0 <= line["teacher_entropy"] <= math.log(size) + 1e-4, line
        assert line["kl"] > -1e-4, line
        assert abs(line["teacher_entropy"] + line["kl"] - line["global_cls"]) < 1e-4, line
        assert 0 < line["valid_share"] <= 1, line
        assert 0 < line["feature_std"] < 1, line
        assert line["grad_norm_max"] > 0 and line["lr"] >= 0, line
    for level, name in enumerate(["cls", "cls_plus", "patch"][:levels]):
        row = struct.unpack_from(f"<{size}f", data, 4 * size * level)
        norm = math.sqrt(sum(value * value for value in row))
        logged = lines[-1][f"center_norm_{name}"]
        assert norm > 0 and abs(logged - norm) < 1e-4 * norm, f"center_norm_{name} is {logged}, the center's is {norm}"


def write_array(path, kind, height, width, channels, seed):
    """A smooth picture, the same for every kind: u1, u2 or f4."""
    height, width, channels, seed = map(int, (height, width, channels, seed))
    values = []
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                wave = math.sin(0.2 * x * math.cos(seed + c) + 0.3 * y * math.sin(seed * 2 + c))
                values.append(round(127.5 + 120 * wave))
    descr, letter = {"u1": ("|u1", "B"), "u2": ("<u2", "H"), "f4": ("<f4", "f")}[kind]
    stored = {"u1": values, "u2": [257 * value for value in values], "f4": [value / 255 for value in values]}[kind]
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({height}, {width}, {channels}), }}\n".encode()
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
        file.write(struct.pack(f"<{len(values)}{letter}", *stored))


def tiff(orientation):
    """An EXIF block that holds nothing but an orientation."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def write_turned_jpeg(source, path, orientation):
    """The same JPEG with an EXIF orientation."""
    with open(source, "rb") as file:
        jpeg = file.read()
    assert jpeg[:2] == b"\xff\xd8", f"{source} is no JPEG"
    exif = b"Exif\0\0" + tiff(int(orientation))
    with open(path, "wb") as file:
        file.write(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])


def write_png(path, orientation, height, width, seed):
    """A picture as it lies in the camera's memory, with an orientation; or, for 0, as it is to be seen."""
    orientation, height, width, seed = map(int, (orientation, height, width, seed))

    def pixel(y, x):  # of the picture upright
        return bytes((seed * 50 + 4 * y * (c + 1) + 3 * x) % 256 for c in range(3))

    lying = orientation in (5, 6, 7, 8)  # then the file has the sides swapped
    rows = []
    for i in range(width if lying else height):
        row = b"\0"
        for j in range(height if lying else width):
            # where a stored row and column are seen: TIFF 6.0, Orientation
            row += pixel(*{
                0: (i, j), 1: (i, j), 2: (i, width - 1 - j), 3: (height - 1 - i, width - 1 - j), 4: (height - 1 - i, j),
                5: (j, i), 6: (j, width - 1 - i), 7: (height - 1 - j, width - 1 - i), 8: (height - 1 - j, i),
            }[orientation])
        rows.append(row)

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    size = (height, width) if lying else (width, height)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)))
        if orientation:
            file.write(chunk(b"eXIf", tiff(orientation)))
        file.write(chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b""))


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
        "monitors": check_monitors,
        "rows": compare_rows,
        "near": near_rows,
        "array": write_array,
        "turned": write_turned_jpeg,
        "picture": write_png,
        "png": check_png,
        "flip": flip_byte,
    }
    try:
        tasks[sys.argv[1]](*sys.argv[2:])
    except (AssertionError, OSError, ValueError) as error:
        sys.exit(f"{' '.join(sys.argv[2:])}: {error}")
