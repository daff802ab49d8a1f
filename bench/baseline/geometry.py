"""Where the official augmentation crops: two global boxes that overlap and some local ones near them, drawn with Python's
random. A place is (i0, j0, i1, j1) in the image, 0..1; the two j are swapped when the crop is mirrored."""

import math
import random
from dataclasses import dataclass

import torch

RATIO = (math.log(3 / 4), math.log(4 / 3))


@dataclass
class Box:
    """Upper left corner and size in pixels."""

    top: int
    left: int
    height: int
    width: int


def random_box(width, height, scale):
    """A box of a random share of the area and a random aspect ratio; the largest allowed centre box after ten misfits."""
    for _ in range(10):
        area = width * height * random.uniform(*scale)
        ratio = math.exp(random.uniform(*RATIO))
        w, h = int(round(math.sqrt(area * ratio))), int(round(math.sqrt(area / ratio)))
        if 0 < w <= width and 0 < h <= height:
            return Box(random.randint(0, height - h), random.randint(0, width - w), h, w)
    w, h = width, height
    if width / height < 3 / 4:
        h = int(round(width / (3 / 4)))
    elif width / height > 4 / 3:
        w = int(round(height * (4 / 3)))
    return Box((height - h) // 2, (width - w) // 2, h, w)


def pull(start, other_start, size, other_size, first_reach):
    """How far a box must move along one axis so that it shares half of the shorter side with the other box.
    first_reach: where the hull of both begins."""
    end, other_end = start + size - 1, other_start + other_size
    hull = max(end, other_end) - first_reach
    gap = hull - size - other_size if hull > size + other_size else 0
    wanted = 0.5 * min(size, other_size)
    need = gap + (wanted if hull >= size + other_size - wanted else 0)
    distance = (other_start + other_end) / 2 - (start + end) / 2
    return round(distance / (abs(distance) + 1e-5) * need)


def overlapping_box(width, height, scale, reference):
    """A random box, moved to overlap the crop `reference` (coordinates 0..1, perhaps mirrored).

    The hull's width begins at the smaller of the other column and this *row*, as in the official code: in wide images the
    overlap then falls short now and then.
    """
    box = random_box(width, height, scale)
    i0, j0, i1, j1 = reference.tolist()
    j0, j1 = min(j0, j1), max(j0, j1)
    top, bottom = round(i0 * (height - 1)), round(i1 * (height - 1))
    left, right = round(j0 * (width - 1)), round(j1 * (width - 1))
    down = pull(box.top, top, box.height, bottom - top, min(box.top, top))
    aside = pull(box.left, left, box.width, right - left, min(box.top, left))
    box.top = max(0, min(box.top + down, height - box.height))
    box.left = max(0, min(box.left + aside, width - box.width))
    return box


def draw_place(width, height, scale, reference):
    """-> box, its coordinates [4] (the two j swapped when mirrored), mirrored"""
    box = random_box(width, height, scale) if reference is None else overlapping_box(width, height, scale, reference)
    bottom, right = box.top + box.height - 1, box.left + box.width - 1
    place = torch.tensor([box.top / (height - 1), box.left / (width - 1), bottom / (height - 1), right / (width - 1)])
    mirrored = random.random() < 0.5
    return box, place[[0, 3, 2, 1]] if mirrored else place, mirrored


def union(first, second):
    """The official "intersection" of the global crops: the hull, taken before flips are undone."""
    return torch.cat([torch.minimum(first[:2], second[:2]), torch.maximum(first[2:], second[2:])])


def draw_places(width, height, locals_, global_scale=(0.25, 1.0), local_scale=(0.05, 0.25)):
    """Of two global crops and the local ones, as Augmentation draws them: what a step on random pixels needs."""
    first = draw_place(width, height, global_scale, None)[1]
    second = draw_place(width, height, global_scale, first)[1]
    both = union(first, second)
    return [first, second] + [draw_place(width, height, local_scale, both)[1] for _ in range(locals_)]
