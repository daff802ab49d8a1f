#!/usr/bin/env python3
"""The least time that a step, or an extraction, can take if every operation runs alone at the better of two measured limits:

    time = sum over operations of max(operations / peak, bytes / bandwidth)

An operation is what is launched as one piece at best: a matrix product with whatever is element-wise about its ends, attention
without its N x N matrix in memory, a residual sum with the norm behind it. Activations are 16-bit numbers, read and written
once by each operation; weights count once a step, as they are read. Chains of products are not fused, so a program that fuses
them may beat this; nothing else can. The count is of the exact algebra: one encoding by the teacher, queries of the SRS module
at their samples, prototypes for class tokens, valid patches and one averaged target a local crop, logits never in memory and
therefore computed twice, class tokens alone in the last block of local crops.

    bench/baseline/roofline.py --batch 128 --locals 10 --peak 790e12 --bandwidth 4.3e12     # a table of the parts
"""

import argparse
import json
from dataclasses import dataclass

from sizes import ARCHS, Sizes

HALF = 2  # bytes of an activation
PARAMETER_BYTES = 44  # gradient, moments, both weights read; moments, both weights and both 16-bit copies written


@dataclass
class Operation:
    part: str
    name: str
    flops: float
    bytes: float

    def seconds(self, peak, bandwidth):
        return max(self.flops / peak, self.bytes / bandwidth)


class Counter:
    def __init__(self):
        self.operations = []

    def add(self, part, name, flops, size):
        self.operations.append(Operation(part, name, flops, size))

    def product(self, part, name, rows, inner, outer, backward=False, more=0):
        """rows x inner times inner x outer, `more` numbers a row besides. Backward: the gradients of its input and of its
        weights, a product each."""
        flops, weights = 2 * rows * inner * outer, inner * outer * HALF
        size = rows * (inner + outer + more) * HALF
        if not backward:
            return self.add(part, name, flops, size + weights)
        self.add(part, name + ", input's gradient", flops, size + weights)
        self.add(part, name + ", weights' gradient", flops, rows * (inner + outer) * HALF + weights)

    def attention(self, part, crops, asking, tokens, dim, backward=False):
        """Scores, softmax, mixture. Backward: scores once more, then the gradients of all four factors: five products."""
        flops = crops * asking * tokens * dim * 2 * (5 if backward else 2)
        rows = 2 * asking + 2 * tokens  # queries and results, keys and values
        self.add(part, "attention" + ", backward" * backward, flops, crops * dim * HALF * rows * (2 if backward else 1))

    def elementwise(self, part, name, numbers, touched):
        """`touched`: how many 16-bit numbers are read or written for each."""
        self.add(part, name, 0, numbers * touched * HALF)


def vit(count, part, sizes, crops, side, train, classes_alone):
    """crops of side x side pixels through the backbone; train: forward and backward. classes_alone: what the last block's
    queries, projection and MLP are computed for."""
    tokens = (side // sizes.patch_size) ** 2 + sizes.class_tokens
    dim, pixels = sizes.dim, 3 * sizes.patch_size**2
    patches = crops * (tokens - sizes.class_tokens)
    count.add(part, "patches", 2 * patches * pixels * dim, patches * (pixels + dim * HALF))  # pixels are bytes
    if train:
        count.add(part, "patches, weights' gradient", 2 * patches * pixels * dim, patches * (pixels + dim * HALF))
    for block in range(sizes.depth):
        last = classes_alone and block == sizes.depth - 1
        asking = sizes.class_tokens if last else tokens
        rows, all_rows = crops * asking, crops * tokens
        for backward in (False, True)[: 1 + train]:
            keep = train and not backward  # GELU's input, besides its output
            count.product(part, "qkv", all_rows, dim, 2 * dim if last else 3 * dim, backward)
            if last:
                count.product(part, "query", rows, dim, dim, backward)
            count.attention(part, crops, asking, tokens, dim, backward)
            count.product(part, "projection", rows, dim, dim, backward)
            count.product(part, "fc1", rows, dim, 4 * dim, backward, 4 * dim * keep)
            count.product(part, "fc2", rows, 4 * dim, dim, backward, 4 * dim * backward)  # GELU's gradient at its end
            # Residual, branch in; residual, norm's output out. Backward: the stream's gradient in and out, norm's input.
            count.elementwise(part, "residual and norm", 2 * rows * dim, 4)


def srs(count, part, sizes, crops, queries, train):
    patches = (sizes.global_size // sizes.patch_size) ** 2
    for backward in (False, True)[: 1 + train]:
        count.product(part, "SRS key, value", crops * patches, sizes.dim, 2 * sizes.dim, backward)
        count.product(part, "SRS query", queries, sizes.dim, sizes.dim, backward)
        count.attention(part, crops, queries / crops, patches, sizes.dim, backward)
        count.product(part, "SRS projection", queries, sizes.dim, sizes.dim, backward)
        count.elementwise(part, "SRS norms, samples", (crops * patches + 6 * queries) * sizes.dim, 2)


def head(count, part, sizes, rows, train):
    widths = [sizes.dim, sizes.hidden, sizes.hidden, sizes.bottleneck]
    for backward in (False, True)[: 1 + train]:
        for inner, outer in zip(widths, widths[1:]):
            count.product(part, "head", rows, inner, outer, backward)


def prototypes(count, part, sizes, rows, products):
    """products: how many times rows meet the prototypes. Each reads rows and prototypes and leaves 256-wide sums."""
    for _ in range(products):
        size = (2 * rows * sizes.bottleneck + sizes.out_dim * sizes.bottleneck) * HALF
        count.add(part, "prototypes", 2 * rows * sizes.bottleneck * sizes.out_dim, size)


def step(sizes, batch, locals_, valid, parameters):
    """Operations of one step. valid: share of the global samples that the other crop shows."""
    count, classes = Counter(), sizes.class_tokens
    vit(count, "student", sizes, 2 * batch, sizes.global_size, True, False)
    if locals_:
        vit(count, "student", sizes, locals_ * batch, sizes.local_size, True, True)
    vit(count, "teacher", sizes, 2 * batch, sizes.global_size, False, not sizes.include_patch)
    patches = small = 0
    if sizes.include_patch:
        patches = 2 * batch * (sizes.grid // sizes.windows[0]) ** 2 * valid
        small = 2 * batch * locals_ * (sizes.local_grid // sizes.windows[1]) ** 2 * valid
        srs(count, "head and loss", sizes, 2 * batch, patches, True)
        srs(count, "head and loss", sizes, 2 * batch, patches + small, False)
    student_rows = (2 + locals_) * classes * batch + patches
    head(count, "head and loss", sizes, student_rows, True)
    head(count, "head and loss", sizes, 2 * batch + patches + small, False)
    targets = 2 * batch + patches + (classes - 1) * (2 + locals_) * batch  # local targets of cls: the globals' mean
    prototypes(count, "head and loss", sizes, targets, 2)
    prototypes(count, "head and loss", sizes, student_rows, 4)  # logits twice, gradients of rows and of prototypes
    count.add("update", "clipping, AdamW, teacher", 0, parameters * PARAMETER_BYTES)
    return count.operations


def extraction(sizes, batch):
    count = Counter()
    vit(count, "extraction", sizes, batch, sizes.global_size, False, True)
    return count.operations


def seconds(operations, peak, bandwidth):
    return sum(o.seconds(peak, bandwidth) for o in operations)


def summary(operations, peak, bandwidth, images):
    """Microseconds, GFLOP and megabytes an image by part, and images/s of the whole."""
    parts = {}
    for o in operations:
        entry = parts.setdefault(o.part, {"microseconds": 0.0, "gflop": 0.0, "megabytes": 0.0})
        entry["microseconds"] += o.seconds(peak, bandwidth) * 1e6 / images
        entry["gflop"] += o.flops / 1e9 / images
        entry["megabytes"] += o.bytes / 1e6 / images
    return {"images_per_second": images / seconds(operations, peak, bandwidth), "an_image": parts}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", choices=ARCHS, default="vit_small")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--locals", type=int, default=10)
    parser.add_argument("--valid", type=float, default=0.74)
    parser.add_argument("--peak", type=float, required=True, help="operations a second of a large 16-bit product")
    parser.add_argument("--bandwidth", type=float, required=True, help="bytes a second of a large copy, both ways counted")
    args = parser.parse_args()
    dim, heads = ARCHS[args.arch]
    sizes = Sizes(dim=dim, heads=heads)
    limits = args.peak, args.bandwidth
    print(json.dumps(summary(step(sizes, args.batch, args.locals, args.valid, 44.6e6), *limits, args.batch), indent=1))
    print(json.dumps(summary(extraction(sizes, 256), *limits, 256), indent=1))


if __name__ == "__main__":
    main()
