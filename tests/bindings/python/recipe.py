"""What bindings/README.md prescribes, in Python: images, model and views of the tests."""
import numpy as np

import udi


def images():
    """uint8 [8, 48, 48, 3]"""
    n, y, x, c = np.ogrid[:8, :48, :48, :3]
    return ((29 * n + 3 * x * (n % 5 + 1) + 5 * y * (n % 3 + 1) + 71 * c + x * y // 8) % 256).astype(np.uint8)


def sizes(**changes):
    fields = dict(image_size=32, resize_size=32, patch_size=8, embed_dim=24, depth=2, heads=3, srs_heads=3, out_dim=64,
                  head_hidden_dim=32, head_bottleneck_dim=16)
    return udi.ModelConfig("vit_tiny", **{**fields, **changes})


def model(context, **changes):
    return udi.Model(context, sizes(**changes), seed=1)


def crops():
    return udi.ViewConfig(global_size=32, local_size=16, patch_size=8, local_crops=2, global_window=2, local_window=1)
