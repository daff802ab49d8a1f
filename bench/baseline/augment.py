"""The official augmentation on Pillow images: two global and some local crops of a photograph, their coordinates and the
dense sample maps between them. Geometry is drawn with Python's random, colour by torchvision's own transforms."""

import random

from PIL import ImageFilter, ImageOps
from torchvision import transforms
from torchvision.transforms import functional

from geometry import draw_place, union
from maps import image_maps, sample_masks

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
        global_mask, local_mask = sample_masks(self.sizes.grid, self.sizes.local_grid, self.windows)
        both = union(crops[0][1], crops[1][1])
        crops += [self._crop(image, self.local_scale, self.sizes.local_size, both) for _ in range(self.locals)]
        coords = [place for _, place in crops]
        sources, targets = image_maps(coords, global_mask, local_mask, self.sizes.grid, self.sizes.local_grid)
        return [pixels for pixels, _ in crops], coords, sources, targets

    def _global(self, image, reference):
        return self._crop(image, self.global_scale, self.sizes.global_size, reference)

    def _crop(self, image, scale, size, reference):
        box, place, mirrored = draw_place(*image.size, scale, reference)
        image = functional.crop(image, box.top, box.left, box.height, box.width)
        if mirrored:
            image = functional.hflip(image)
        image = functional.resize(image, [size, size], functional.InterpolationMode.BICUBIC)
        return self.color(image), place
