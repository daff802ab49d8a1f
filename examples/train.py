"""Trains a small model on images in memory, saves and loads it, and extracts cls tokens: train.c in Python.

    pip install udi-*.whl && python train.py
"""
import numpy as np

import udi

IMAGES, SIDE, STEPS = 32, 32, 60

# Stripes of many colours, widths and directions: [IMAGES, SIDE, SIDE, 3].
n, y, x, c = np.ogrid[:IMAGES, :SIDE, :SIDE, :3]
stripe = (x * (n % 5) + y * (n % 3 + 1)) // (n % 4 + 3) % 2
images = np.where(stripe, 50 * (n % 6), 80 * c).astype(np.uint8)

sizes = udi.ModelConfig("vit_tiny", image_size=SIDE, resize_size=SIDE, patch_size=8, embed_dim=48, depth=3,
                        out_dim=256, head_hidden_dim=256)
crops = udi.ViewConfig(global_size=SIDE, local_size=SIDE // 2, patch_size=8)

with udi.Context() as context:  # the CPU; what libudi has to say goes to logging
    trainer = udi.Trainer(udi.Model(context, sizes), total_steps=STEPS, lr=2e-3,
                          momentum_teacher=0.9, momentum_teacher_end=0.9,  # so few steps need a teacher that follows fast
                          teacher_temp=0.03, warmup_teacher_temp=0.03)
    for epoch in range(STEPS):  # one step an epoch, each with new crops of all images
        stats = trainer.step(udi.Views(context, images, crops, epoch=epoch))
        print(f"step {epoch:2d}  loss {stats.loss:.4f}")

    trainer.model("teacher").save("model.safetensors")
    loaded = udi.Model.load(context, "model.safetensors")
    cls = loaded.extract(images, "nhwc")
    print(f"cls of {cls.shape[0]} images, {cls.shape[1]} numbers each")
