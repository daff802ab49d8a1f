"""Prints the cls token of each image file, one line a file: extract.c in Python.

    pip install udi-*.whl && python extract.py model.safetensors cat.jpg dog.png
"""
import sys

import udi

if len(sys.argv) < 3:
    sys.exit(f"usage: {sys.argv[0]} MODEL IMAGE...")
try:
    cls = udi.extract(sys.argv[2:], model=sys.argv[1])
except (udi.Error, OSError) as error:
    sys.exit(f"{error}")
for row in cls:
    print(*(f"{value:.6g}" for value in row))
