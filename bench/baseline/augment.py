"""The official augmentation on Pillow images: two global and some local crops of a photograph, their coordinates and the
dense sample maps between them. Geometry is drawn with Python's random, colour by torchvision's own transforms."""

import math
import random
from dataclasses import dataclass

import torch
from PIL import ImageFilter, ImageOps
from torchvision import transforms
from torchvision.transforms import functional

from maps import image_maps, stratified_mask

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
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


class RandomBlur:
    def __init__(self, probability):
        self.probability = probability

    def __call__(self, image):
        if random.random() > self.probability:
            return image
        return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


class RandomSolarize:
    def __init__(self, probability):
        self.probability = probability

    def __call__(self, image):
        return ImageOps.solarize(image) if random.random() < self.probability else image


def color_chain():
    """The same for every crop."""
    jitter = transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    blurs = transforms.RandomChoice([RandomBlur(0.5), RandomBlur(1.0)])
    mild = transforms.Compose([RandomBlur(0.1), RandomSolarize(0.2)])
    return transforms.Compose(
        [
            transforms.RandomApply([jitter], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomChoice([blurs, mild]),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


class Augmentation:
    def __init__(self, sizes, locals_, global_scale=(0.25, 1.0), local_scale=(0.05, 0.25), windows=(3, 2)):
        self.sizes, self.locals = sizes, locals_
        self.global_scale, self.local_scale, self.windows = global_scale, local_scale, windows
        self.color = color_chain()

    def __call__(self, image):
        """-> crops, coordinates, sources, targets: lists of tensors, see maps.image_maps for the order"""
        crops = [self._global(image, None)]
        crops.append(self._global(image, crops[0][1]))
        global_mask, local_mask = self.masks()
        both = union(crops[0][1], crops[1][1])
        crops += [self._crop(image, self.local_scale, self.sizes.local_size, both) for _ in range(self.locals)]
        coords = [place for _, place in crops]
        sources, targets = image_maps(coords, global_mask, local_mask, self.sizes.grid, self.sizes.local_grid)
        return [pixels for pixels, _ in crops], coords, sources, targets

    def masks(self):
        wide, small = self.windows
        return stratified_mask(self.sizes.grid, wide), stratified_mask(self.sizes.local_grid, small)

    def geometry(self, width, height):
        """Coordinates alone, as __call__ draws them: what a step on random pixels needs."""
        first = draw_place(width, height, self.global_scale, None)[1]
        second = draw_place(width, height, self.global_scale, first)[1]
        both = union(first, second)
        return [first, second] + [draw_place(width, height, self.local_scale, both)[1] for _ in range(self.locals)]

    def _global(self, image, reference):
        return self._crop(image, self.global_scale, self.sizes.global_size, reference)

    def _crop(self, image, scale, size, reference):
        box, place, mirrored = draw_place(*image.size, scale, reference)
        image = functional.crop(image, box.top, box.left, box.height, box.width)
        if mirrored:
            image = functional.hflip(image)
        image = functional.resize(image, [size, size], functional.InterpolationMode.BICUBIC)
        return self.color(image), place


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
