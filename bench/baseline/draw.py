#!/usr/bin/env python3
"""Draws JPEG files that cost about what photographs do: clouds of detail at every scale under some hard-edged shapes.

    build/bench-venv/bin/python bench/baseline/draw.py FOLDER [COUNT]
"""

import sys
from pathlib import Path

import numpy
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 500, 375
QUALITY = 90  # some 110 KB a file, as in ImageNet


def clouds(rng):
    """Noise with the 1/f spectrum of natural images, [HEIGHT, WIDTH, 3] of uint8."""
    rows = numpy.fft.fftfreq(HEIGHT)[:, None]
    columns = numpy.fft.rfftfreq(WIDTH)[None, :]
    falloff = 1 / numpy.maximum(numpy.hypot(rows, columns), 1 / WIDTH)
    planes = []
    for _ in range(3):
        spectrum = numpy.fft.rfft2(rng.standard_normal((HEIGHT, WIDTH))) * falloff
        plane = numpy.fft.irfft2(spectrum, (HEIGHT, WIDTH))
        planes.append(plane / plane.std())
    gray = planes[0][..., None] * 45
    color = numpy.stack(planes, axis=-1) * 15
    return numpy.clip(128 + gray + color, 0, 255).astype(numpy.uint8)


def draw(rng):
    image = Image.fromarray(clouds(rng))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, w, h = (int(v) for v in rng.uniform([0, 0, 20, 20], [WIDTH - 20, HEIGHT - 20, 200, 150]))
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape([x, y, x + w, y + h], outline=tuple(int(v) for v in rng.integers(0, 256, 3)), width=5)
    return image


def main():
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 64
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        draw(numpy.random.default_rng(index)).save(folder / f"{index:03}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
