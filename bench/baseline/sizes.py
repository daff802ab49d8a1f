"""Sizes of the models that are measured. Needs no PyTorch."""

from dataclasses import dataclass

ARCHS = {"vit_tiny": (192, 3), "vit_small": (384, 6), "vit_base": (768, 12)}  # width, heads


@dataclass
class Sizes:
    """What a model is made of; the defaults are ViT-S/16 with the official head."""

    global_size: int = 224
    local_size: int = 96
    patch_size: int = 16
    dim: int = 384
    depth: int = 12
    heads: int = 6
    srs_heads: int = 6
    class_tokens: int = 2
    include_patch: bool = True
    hidden: int = 2048
    bottleneck: int = 256
    out_dim: int = 65536
    norm_last_layer: bool = True
    drop_path: float = 0.1
    windows: tuple = (3, 2)  # one SRS sample from each window x window tokens, of global and local crops

    @property
    def grid(self):
        return self.global_size // self.patch_size

    @property
    def local_grid(self):
        return self.local_size // self.patch_size


def tiny_sizes():
    """Of a model that says nothing of speed: for a run that checks the programs."""
    return Sizes(64, 32, 16, 64, 2, 2, 2, hidden=64, bottleneck=32, out_dim=256)
