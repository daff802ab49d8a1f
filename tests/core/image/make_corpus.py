#!/usr/bin/env python3
"""Writes tests/data/image: small files of every kind that libudi decodes, what Pillow makes of them, and bad files.

    make_corpus.py [FOLDER]       needs numpy and Pillow 13 or later; run again only to change the corpus

FOLDER/NAME           files that must decode
FOLDER/expected.safetensors   NAME.rgb [H, W, 3] and NAME.gray [H, W]; NAME.turned where EXIF turns it; NAME.array of .npy
FOLDER/bad/NAME       files that must be refused
FOLDER/truncated.json lengths at which files are cut, and whether Pillow still reads them
"""

import io
import json
import pathlib
import struct
import sys
import warnings
import zlib

import numpy as np
from PIL import Image, ImageOps

warnings.simplefilter("ignore")
rng = np.random.default_rng(20240917)
files, expected, bad = {}, {}, {}


def picture(height, width):
    """Smooth colours with some grain: what a photograph does to a codec, in few bytes."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x * a + y * b + c) for a, b, c in [(0.31, 0.17, 0), (0.11, -0.29, 1), (-0.23, 0.13, 2)]]
    return np.clip(np.stack(waves, -1) + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)


def saved(array, mode=None, **options):
    out = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(out, **options)
    return out.getvalue()


# ---- JPEG ------------------------------------------------------------------------------------------------------------


def jpeg_segments(data):
    """(marker, start, end) of each segment up to the entropy-coded bytes."""
    at = 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        yield marker, at, at + 2 + length
        at += 2 + length
        if marker == 0xDA:
            return


def patched_frame(data, width, height, sampling):
    """The same blocks read with another size and other sampling factors: a scrambled, but valid picture."""
    data = bytearray(data)
    for marker, start, _ in jpeg_segments(bytes(data)):
        if marker in (0xC0, 0xC2):
            data[start + 5 : start + 9] = struct.pack(">HH", height, width)
            for i, factors in enumerate(sampling):
                data[start + 11 + 3 * i] = factors
    return bytes(data)


def without_segment(data, wanted):
    for marker, start, end in jpeg_segments(data):
        if marker == wanted:
            return data[:start] + data[end:]
    raise KeyError(wanted)


def adobe_transform(data, value):
    at = data.index(b"Adobe")
    return data[: at + 11] + bytes([value]) + data[at + 12 :]


def tiff(orientation, big_endian=False, kind=3):
    order = ">" if big_endian else "<"
    head = (b"MM\0*" if big_endian else b"II*\0") + struct.pack(order + "I", 8)
    other = struct.pack(order + "HHII", 0x0100, 3, 1, 0)
    if kind == 3:
        entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    else:
        entry = struct.pack(order + "HHII", 0x0112, kind, 1, orientation)
    return head + struct.pack(order + "H", 2) + other + entry + struct.pack(order + "I", 0)


def with_exif(data, payload):
    segment = b"Exif\0\0" + payload
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def add_jpegs():
    photo = picture(33, 45)
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        files[f"jpeg_{name}.jpg"] = saved(photo, format="JPEG", quality=85, subsampling=sampling)
        files[f"jpeg_{name}_progressive.jpg"] = saved(photo, format="JPEG", quality=70, subsampling=sampling, progressive=True)
    files["jpeg_440.jpg"] = patched_frame(files["jpeg_422.jpg"], 45, 33, (0x12, 0x11, 0x11))
    files["jpeg_411.jpg"] = patched_frame(saved(picture(32, 32), format="JPEG", subsampling=2), 64, 16, (0x41, 0x11, 0x11))
    files["jpeg_410.jpg"] = patched_frame(saved(picture(32, 32), format="JPEG", subsampling=2), 16, 64, (0x14, 0x11, 0x11))
    files["jpeg_gray.jpg"] = saved(photo, "L", format="JPEG", quality=80)
    files["jpeg_gray_progressive.jpg"] = saved(photo, "L", format="JPEG", progressive=True)
    files["jpeg_quality1.jpg"] = saved(photo, format="JPEG", quality=1)
    files["jpeg_quality100.jpg"] = saved(photo[:20, :20], format="JPEG", quality=100)
    files["jpeg_restart.jpg"] = saved(photo, format="JPEG", restart_marker_blocks=2)
    files["jpeg_optimized.jpg"] = saved(photo, format="JPEG", optimize=True)
    files["jpeg_rgb.jpg"] = saved(photo, format="JPEG", keep_rgb=True)
    files["jpeg_noise.jpg"] = saved(rng.integers(0, 256, (17, 19, 3), dtype=np.uint8), format="JPEG", quality=95)
    for height, width in ((1, 1), (1, 17), (17, 1), (8, 8), (16, 15), (9, 16), (2, 3)):
        files[f"jpeg_{height}x{width}.jpg"] = saved(picture(height, width), format="JPEG", quality=75)
    cmyk = rng.integers(0, 256, (6, 5, 4)).repeat(5, 0).repeat(6, 1).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(cmyk, "CMYK").save(out, format="JPEG", quality=90)
    files["jpeg_cmyk.jpg"] = out.getvalue()
    files["jpeg_ycck.jpg"] = adobe_transform(out.getvalue(), 2)
    files["jpeg_cmyk_without_adobe.jpg"] = without_segment(out.getvalue(), 0xEE)
    files["jpeg_trailing_bytes.jpg"] = files["jpeg_420.jpg"] + b"what follows the end is not read" * 3
    plain = files["jpeg_gray.jpg"]
    files["jpeg_fill_bytes.jpg"] = plain[:2] + b"\xff\xff\xff" + plain[2:]
    files["jpeg_comment.jpg"] = plain[:2] + b"\xff\xfe" + struct.pack(">H", 2 + 9) + b"a comment" + plain[2:]


def add_exif():
    small = saved(picture(5, 7), format="JPEG", quality=90, subsampling=0)
    for orientation in range(1, 9):
        files[f"exif_{orientation}.jpg"] = with_exif(small, tiff(orientation, orientation % 2 == 0))
    files["exif_long.jpg"] = with_exif(small, tiff(6, True, 4))
    files["exif_0.jpg"] = with_exif(small, tiff(0))
    files["exif_9.jpg"] = with_exif(small, tiff(9))
    files["exif_6.png"] = png(picture(4, 6), 2, 8, before=[(b"eXIf", tiff(6))])
    files["exif_7_gray.png"] = png(picture(4, 6)[..., :1], 0, 8, before=[(b"eXIf", tiff(7, True))])


# ---- PNG -------------------------------------------------------------------------------------------------------------


def chunk(name, content, checksum=None):
    crc = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def header(width, height, depth, colour, interlace=0, method=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, method, interlace))


def packed_rows(samples, depth):
    """Rows of one pass as PNG packs them, and the bytes of a pixel that filters look back."""
    height, width, channels = samples.shape
    if depth == 16:
        return samples.astype(">u2").reshape(height, -1).view(np.uint8), 2 * channels
    if depth == 8:
        return samples.astype(np.uint8).reshape(height, -1), channels
    bits = (samples[..., 0, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1), 1


def filtered(rows, back):
    """Each row with another of the five filters."""
    out, above = b"", np.zeros(rows.shape[1], np.int64)
    for y, row in enumerate(rows.astype(np.int64)):
        kind = y % 5
        left = np.concatenate([np.zeros(back, np.int64), row])[: len(row)]
        corner = np.concatenate([np.zeros(back, np.int64), above])[: len(row)]
        guess = left + above - corner
        distance = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        paeth = np.choose(distance.argmin(0), [left, above, corner])
        predicted = [0, left, above, (left + above) // 2, paeth][kind]
        out += bytes([kind]) + ((row - predicted) & 255).astype(np.uint8).tobytes()
        above = row
    return out


def png(samples, colour, depth, interlace=False, before=(), split=None):
    samples = np.asarray(samples)
    height, width = samples.shape[:2]
    passes = [(0, 0, 1, 1)]
    if interlace:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    raw = b""
    for top, left, down, across in passes:
        part = samples[top::down, left::across]
        if part.size:
            raw += filtered(*packed_rows(part, depth))
    data = zlib.compress(raw, 9)
    step = split or len(data)
    body = b"".join(chunk(b"IDAT", data[i : i + step]) for i in range(0, len(data), step))
    extra = b"".join(chunk(name, content) for name, content in before)
    return b"\x89PNG\r\n\x1a\n" + header(width, height, depth, colour, int(interlace)) + extra + body + chunk(b"IEND", b"")


def add_pngs():
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    names = {0: "gray", 2: "rgb", 3: "palette", 4: "gray_alpha", 6: "rgb_alpha"}
    for colour, allowed in depths.items():
        for depth in allowed:
            for interlace in (False, True):
                samples = rng.integers(0, 1 << depth, (11, 13, channels[colour]))
                before = []
                if colour == 3:
                    before = [(b"PLTE", rng.integers(0, 256, 3 << depth, dtype=np.uint8).tobytes())]
                name = f"png_{names[colour]}_{depth}{'_interlaced' if interlace else ''}.png"
                files[name] = png(samples, colour, depth, interlace, before)
                if colour in (0, 4) and depth == 16:
                    expected[name + ".gray"] = (samples[..., 0] >> 8).astype(np.uint8)
    colours = (b"PLTE", bytes(range(30, 30 + 12)))
    four = rng.integers(0, 4, (9, 10, 1))
    files["png_palette_transparent.png"] = png(four, 3, 8, before=[colours, (b"tRNS", b"\0\x80\xff")])
    files["png_palette_one_transparent.png"] = png(four, 3, 2, before=[colours, (b"tRNS", b"\xff\0")])
    files["png_palette_short.png"] = png(rng.integers(0, 9, (9, 10, 1)), 3, 8, before=[colours])
    gray = rng.integers(0, 3, (9, 10, 1))
    files["png_gray_transparent.png"] = png(gray, 0, 8, before=[(b"tRNS", struct.pack(">H", 1))])
    files["png_rgb_transparent.png"] = png(gray.repeat(3, 2), 2, 8, before=[(b"tRNS", struct.pack(">HHH", 1, 1, 1))])
    photo = picture(21, 33)
    files["png_many_idat.png"] = png(photo, 2, 8, split=97)
    texts = [(b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"Title\0a text"), (b"zTXt", b"More\0\0" + zlib.compress(b"x" * 999))]
    files["png_chunks.png"] = png(photo, 2, 8, before=texts + [(b"pHYs", struct.pack(">IIB", 1, 1, 1))])
    files["png_pillow.png"] = saved(photo, format="PNG")
    for height, width in ((1, 1), (1, 9), (9, 1), (3, 2)):
        files[f"png_{height}x{width}.png"] = png(picture(height, width), 2, 8, interlace=True)


# ---- .npy ------------------------------------------------------------------------------------------------------------


def npy(array, version=None):
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version)
    return out.getvalue()


def add_npys():
    for name, array in {
        "u1_2d": rng.integers(0, 256, (5, 6), dtype=np.uint8),
        "u1_1": rng.integers(0, 256, (5, 6, 1), dtype=np.uint8),
        "u1_3": rng.integers(0, 256, (5, 6, 3), dtype=np.uint8),
        "u1_16": rng.integers(0, 256, (3, 4, 16), dtype=np.uint8),
        "u2_2d": rng.integers(0, 65536, (5, 6), dtype=np.uint16),
        "u2_5": rng.integers(0, 65536, (3, 4, 5), dtype=np.uint16),
        "f4_2d": rng.random((5, 6), dtype=np.float32),
        "f4_2": rng.random((5, 6, 2), dtype=np.float32),
    }.items():
        files[f"npy_{name}.npy"] = npy(array)
        shown = array if array.ndim == 3 else array[..., None]
        expected[f"npy_{name}.npy.array"] = shown if array.dtype != np.uint16 else shown.astype(np.float32) / np.float32(65535)
    for version in ((2, 0), (3, 0)):
        files[f"npy_version{version[0]}.npy"] = npy(rng.integers(0, 256, (3, 4), dtype=np.uint8), version)


def npy_header(text):
    text = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text


# ---- Bad files -------------------------------------------------------------------------------------------------------


def add_bad():
    jpeg, good = files["jpeg_420.jpg"], files["png_pillow.png"]
    frame = jpeg.index(b"\xff\xc0")
    idat = good.index(b"IDAT")
    bad["empty.jpg"] = b""
    bad["text_renamed.jpg"] = b"This is no picture, whatever it is called.\n" * 5
    bad["html_renamed.png"] = b"<!DOCTYPE html><html><body>404</body></html>"
    bad["gif_renamed.jpg"] = saved(picture(4, 4), "P", format="GIF")
    bad["jpeg_magic_only.jpg"] = b"\xff\xd8\xff"
    bad["jpeg_no_picture.jpg"] = b"\xff\xd8\xff\xd9"
    bad["jpeg_garbage_after_header.jpg"] = jpeg[: frame + 4] + rng.integers(0, 255, 400, dtype=np.uint8).tobytes()
    bad["jpeg_zero_width.jpg"] = jpeg[: frame + 7] + b"\0\0" + jpeg[frame + 9 :]
    bad["jpeg_zero_height.jpg"] = jpeg[: frame + 5] + b"\0\0" + jpeg[frame + 7 :]
    bad["jpeg_bomb.jpg"] = jpeg[: frame + 5] + b"\xff\xdc\xff\xdc" + jpeg[frame + 9 :]
    bad["jpeg_12_bit.jpg"] = jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :]
    bad["jpeg_without_frame.jpg"] = jpeg[:frame] + jpeg[frame + 19 :]
    bad["jpeg_two_components.jpg"] = jpeg[: frame + 9] + b"\2" + jpeg[frame + 10 :]
    bad["png_magic_only.png"] = good[:8]
    bad["png_bad_header_checksum.png"] = good[:29] + bytes([good[29] ^ 1]) + good[30:]
    bad["png_bad_data_checksum.png"] = good[:-16] + bytes([good[-16] ^ 1]) + good[-15:]
    bad["png_bad_chunk_checksum.png"] = good[:33] + chunk(b"tEXt", b"Title\0text", 1) + good[33:]
    bad["png_damaged_data.png"] = good[:idat] + chunk(b"IDAT", b"\x78\xda" + b"\x55" * 300)[4:] + chunk(b"IEND", b"")
    start = b"\x89PNG\r\n\x1a\n"
    little = chunk(b"IDAT", zlib.compress(bytes(12))) + chunk(b"IEND", b"")
    bad["png_zero_width.png"] = start + header(0, 3, 8, 0) + little
    bad["png_zero_height.png"] = start + header(3, 0, 8, 0) + little
    bad["png_bomb.png"] = start + header(100000, 100000, 8, 2) + little
    bad["png_huge.png"] = start + header(0x7FFFFFFF, 0x7FFFFFFF, 16, 6) + little
    bad["png_negative.png"] = start + header(0x80000001, 3, 8, 0) + little
    bad["png_depth_3.png"] = start + header(3, 3, 3, 0) + little
    bad["png_colour_5.png"] = start + header(3, 3, 8, 5) + little
    bad["png_filter_method.png"] = start + header(3, 3, 8, 0, 0, 1) + little
    bad["png_interlace_2.png"] = start + header(3, 3, 8, 0, 2) + little
    bad["png_no_palette.png"] = start + header(3, 3, 8, 3) + little
    bad["png_too_little_data.png"] = start + header(3, 30, 8, 0) + little
    bad["png_no_data.png"] = start + header(3, 3, 8, 0) + chunk(b"IEND", b"")
    good = files["npy_u1_3.npy"]
    bad["npy_magic_only.npy"] = good[:6]
    bad["npy_version_9.npy"] = good[:6] + b"\x09" + good[7:]
    bad["npy_header_too_long.npy"] = good[:8] + b"\xff\xff" + good[10:]
    bad["npy_one_byte_more.npy"] = good + b"\0"
    for name, text in {
        "lying_shape": "{'descr': '|u1', 'fortran_order': False, 'shape': (50, 60, 3), }",
        "overflow": "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 1), }",
        "huge_number": "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999999, 1), }",
        "negative": "{'descr': '|u1', 'fortran_order': False, 'shape': (-5, 6, 3), }",
        "zero": "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 6, 3), }",
        "no_channel": "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 6, 0), }",
        "17_channels": "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 17), }",
        "scalar": "{'descr': '|u1', 'fortran_order': False, 'shape': (), }",
        "line": "{'descr': '|u1', 'fortran_order': False, 'shape': (90,), }",
        "four_dimensions": "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 5, 6, 3), }",
        "fortran": "{'descr': '|u1', 'fortran_order': True, 'shape': (5, 6, 3), }",
        "float64": "{'descr': '<f8', 'fortran_order': False, 'shape': (5, 6, 3), }",
        "big_endian": "{'descr': '>u2', 'fortran_order': False, 'shape': (5, 9), }",
        "object": "{'descr': '|O', 'fortran_order': False, 'shape': (5, 6, 3), }",
        "structure": "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (5, 6, 3), }",
        "no_shape": "{'descr': '|u1', 'fortran_order': False, }",
        "shape_twice": "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 6, 3), 'shape': (5, 6, 3), }",
        "open_string": "{'descr': '|u1",
        "open_dictionary": "{'descr': '|u1', 'fortran_order': False, 'shape': (5, 6, 3)",
        "no_dictionary": "[1, 2, 3]",
    }.items():
        bad[f"npy_{name}.npy"] = npy_header(text) + bytes(90)
    values = np.full((5, 6, 3), 0.5, np.float32)
    values[2, 3, 1] = np.nan
    bad["npy_nan.npy"] = npy(values)
    values[2, 3, 1] = np.inf
    bad["npy_infinity.npy"] = npy(values)


# ---- All of it -------------------------------------------------------------------------------------------------------


def opens(data):
    try:
        Image.open(io.BytesIO(data)).convert("RGB")
        return True
    except Exception:
        return False


def what_pillow_says():
    for name, data in files.items():
        if name.endswith(".npy"):
            continue
        if name + ".gray" in expected:  # 16-bit gray: its high byte, where Pillow clips
            expected[name + ".rgb"] = expected[name + ".gray"][..., None].repeat(3, 2)
            continue
        expected[name + ".rgb"] = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        expected[name + ".gray"] = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        if name.startswith("exif_"):
            turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
            expected[name + ".turned"] = np.asarray(turned.convert("RGB"))


def cuts():
    chosen = ("jpeg_420.jpg", "jpeg_422_progressive.jpg", "jpeg_gray.jpg", "jpeg_cmyk.jpg", "png_pillow.png",
              "png_many_idat.png", "png_rgb_8_interlaced.png", "png_palette_4.png")
    result = {}
    for name in chosen:
        data = files[name]
        lengths = {int(len(data) * share / 20) for share in range(1, 20)} | {len(data) - back for back in range(1, 24)}
        result[name] = {str(n): opens(data[:n]) for n in sorted(lengths)}
    return result


def safetensors(tensors):
    names = {np.dtype(np.uint8): "U8", np.dtype(np.float32): "F32"}
    head, body = {}, b""
    for name, array in sorted(tensors.items()):
        start = len(body)
        body += np.ascontiguousarray(array).tobytes()
        head[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": [start, len(body)]}
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / "data" / "image")
    add_jpegs()
    add_exif()
    add_pngs()
    add_npys()
    add_bad()
    what_pillow_says()
    (folder / "bad").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    for name, data in bad.items():
        (folder / "bad" / name).write_bytes(data)
    (folder / "expected.safetensors").write_bytes(safetensors(expected))
    (folder / "truncated.json").write_text(json.dumps(cuts(), indent=1) + "\n")
    surprises = [name for name, data in bad.items() if not name.startswith("npy") and opens(data)]
    print(f"{len(files)} files, {len(bad)} bad ones; of these Pillow opens: {', '.join(surprises) or 'none'}")


if __name__ == "__main__":
    main()
