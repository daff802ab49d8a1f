#!/usr/bin/env python3
"""Writes tests/data/image/operations.txt: what Pillow makes of drawn pictures, as CRC-32 of the result's planes.

    make_operations.py [FILE]       needs numpy and Pillow 13 or later; run again only to change the cases

A line: operation, dtype, height, width and channels of the picture (operations_test.cpp draws the same), the
operation's parameters, the sum.
"""

import pathlib
import sys
import zlib

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

rng = np.random.default_rng(20240918)
lines = []


def picture(height, width, channels):
    """[C, H, W]: slopes that wrap around, so that there are edges, and grain."""
    c, y, x = (a.astype(np.uint32) for a in np.ogrid[:channels, :height, :width])
    grain = (x * np.uint32(2654435761) ^ y * np.uint32(2246822519) ^ c * np.uint32(3266489917)) * np.uint32(668265263)
    return ((x * x >> 5) + y * 3 + c * 77 + (grain >> 28)).astype(np.uint8)


def image_of(planes):
    return Image.fromarray(planes[0]) if len(planes) == 1 else Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def planes_of(image):
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def note(name, dtype, size, parameters, planes):
    checksum = zlib.crc32(np.ascontiguousarray(planes).tobytes())
    lines.append(" ".join([name, dtype, *(str(v) for v in (*size, *parameters)), f"{checksum:08x}"]))


def per_plane(planes, change):
    """The same on float32, which Pillow has for single planes."""
    return np.stack([np.asarray(change(Image.fromarray(plane.astype(np.float32) / np.float32(255)))) for plane in planes])


# ---- Crops -----------------------------------------------------------------------------------------------------------


def note_crop(size, box, mirror, out, dtype="u8"):
    top, left, height, width = box

    def change(image):
        cut = image.crop((left, top, left + width, top + height))
        if mirror:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return cut.resize((out[1], out[0]), Image.Resampling.BICUBIC)

    planes = picture(*size)
    result = per_plane(planes, change) if dtype == "f32" else planes_of(change(image_of(planes)))
    note("crop", dtype, size, (*box, int(mirror), *out), result)


def add_crops():
    for i in range(140):
        largest = 400 if i % 3 else 40
        height, width = (int(v) for v in rng.integers(1, largest, 2))
        cut_height, cut_width = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
        top, left = int(rng.integers(0, height - cut_height + 1)), int(rng.integers(0, width - cut_width + 1))
        out = [(224, 224), (96, 96), tuple(int(v) for v in rng.integers(1, 150, 2))][i % 3]
        dtype = "f32" if i % 7 == 0 else "u8"
        size = (height, width, 1 if dtype == "u8" and i % 5 == 0 else 3)
        note_crop(size, (top, left, cut_height, cut_width), i % 2, out, dtype)
    for height, width, out in [(1, 1, (224, 224)), (1, 300, (96, 96)), (300, 1, (96, 96)), (64, 64, (64, 64)), (900, 5, (7, 7)),
                               (5, 900, (7, 7)), (2, 2, (1, 1)), (33, 65, (33, 17)), (65, 33, (17, 33)), (900, 700, (1, 1))]:
        for mirror in (False, True):
            note_crop((height, width, 3), (0, 0, height, width), mirror, out)
            note_crop((height, width, 3), (0, 0, height, width), mirror, out, "f32")


def add_evaluation():
    """torchvision's Resize(int) and CenterCrop on Pillow images."""
    for height, width, shorter, kept in [(375, 500, 256, 224), (500, 375, 256, 224), (100, 100, 256, 224), (33, 300, 32, 32),
                                         (301, 33, 36, 33), (50, 71, 40, 64), (71, 50, 39, 64), (9, 200, 16, 17), (61, 40, 25, 24)]:
        for channels in (1, 3):
            planes = picture(height, width, channels)
            longer = int(shorter * max(height, width) / min(height, width))
            size = (shorter, longer) if height <= width else (longer, shorter)
            array = planes_of(image_of(planes).resize((size[1], size[0]), Image.Resampling.BICUBIC))
            pad = [max(kept - n, 0) for n in size]
            array = np.pad(array, [(0, 0), *((p // 2, (p + 1) // 2) for p in pad)])
            top, left = (int(round((n - kept) / 2)) for n in array.shape[1:])
            note("evaluation", "u8", (height, width, channels), (shorter, kept), array[:, top : top + kept, left : left + kept])


# ---- Colour and blur -------------------------------------------------------------------------------------------------


def turned(image, shift):
    hue, saturation, value = image.convert("HSV").split()
    moved = (np.asarray(hue).astype(np.int64) + int(shift * 255)) % 256
    return Image.merge("HSV", (Image.fromarray(moved.astype(np.uint8)), saturation, value)).convert("RGB")


def add_colour():
    sizes = [(1, 1), (3, 7), (5, 37), (96, 96), (31, 33), (224, 224)]
    for i in range(48):
        height, width = sizes[i % len(sizes)]
        factor = [0.0, 1.0, float(rng.uniform(0.2, 1.8)), float(rng.uniform(0.6, 1.4)), 3.7, 40.0][i // 8]
        for channels in (1, 3):
            image = image_of(picture(height, width, channels))
            size = (height, width, channels)
            note("brightness", "u8", size, [factor], planes_of(ImageEnhance.Brightness(image).enhance(factor)))
            note("contrast", "u8", size, [factor], planes_of(ImageEnhance.Contrast(image).enhance(factor)))
        note("saturation", "u8", size, [factor], planes_of(ImageEnhance.Color(image).enhance(factor)))
    for height, width in sizes:
        size = (height, width, 3)
        image = image_of(picture(*size))
        gray = np.asarray(image.convert("L"))
        note("grayscale", "u8", size, [], np.stack([gray] * 3))
        for threshold in (0, 1, 77, 128, 255, 256):
            note("solarize", "u8", size, [threshold], planes_of(ImageOps.solarize(image, threshold)))
    for shift in (-0.5, -0.2, -0.1, -0.003, 0.0, 0.05, 0.1, 0.499, 0.5):
        note("hue", "u8", (77, 83, 3), [shift], planes_of(turned(image_of(picture(77, 83, 3)), shift)))
    # Each of the 2^24 colours once.
    every = np.arange(1 << 24, dtype=np.uint32)
    colours = np.stack([every & 255, every >> 8 & 255, every >> 16]).astype(np.uint8).reshape(3, 4096, 4096)
    for shift in (0.0, 0.07, -0.31):
        note("hue_of_all_colours", "u8", (4096, 4096, 3), [shift], planes_of(turned(image_of(colours), shift)))


def add_blur():
    sizes = [(1, 1), (1, 40), (40, 1), (2, 3), (33, 31), (32, 64), (96, 96), (224, 224)]
    for i in range(80):
        size = (*sizes[i % len(sizes)], 1 + 2 * (i % 2))
        radius = [float(rng.uniform(0.1, 2.0)), float(rng.uniform(0.1, 2.0)), 0.01, float(rng.uniform(2, 9)), 100.0][i // 16]
        result = image_of(picture(*size)).filter(ImageFilter.GaussianBlur(radius))
        note("blur", "u8", size, [radius], planes_of(result))


def main():
    add_crops()
    add_evaluation()
    add_colour()
    add_blur()
    default = pathlib.Path(__file__).parents[2] / "data" / "image" / "operations.txt"
    pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
