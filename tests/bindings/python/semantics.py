"""The program of bindings/README.md in Python: prints what tests/bindings/semantics.c prints."""
import struct

import recipe
import udi
from udi._call import text
from udi._udi import lib


def fnv1a(data):
    value = 14695981039346656037
    for byte in data:
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


images = recipe.images()
print("api", text(lib.udi_api_fingerprint()))
context = udi.Context(num_threads=1)
trainer = udi.Trainer(recipe.model(context), total_steps=3, warmup_steps=0, seed=3)
for step in range(3):
    stats = trainer.step(udi.Views(context, images, recipe.crops(), seed=7, epoch=step))
    print(f"step {step} loss {struct.unpack('<Q', struct.pack('<d', stats.loss))[0]:016x}")
model = trainer.model(udi.Role.TEACHER)
tokens = model.extract(model.prepare(images), token=udi.Token.BOTH)
print("tokens", *tokens.shape, f"{fnv1a(tokens.tobytes()):016x}")
