#!/usr/bin/env python3
"""Measures one thing in this process and prints one JSON object. bench/run calls it; it works alone too:

    build/bench-venv/bin/python bench/baseline/measure.py step --batch 8 --locals 6 --threads 2
"""

import argparse
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import default_collate
from torch.utils.flop_counter import FlopCounterMode

import device
from geometry import draw_places
from maps import image_maps, sample_masks
from model import Network
from sizes import ARCHS, Sizes, tiny_sizes
from step import Batch, Pretraining
from strong import StrongPretraining

IMAGE_WIDTH, IMAGE_HEIGHT = 500, 375  # of the photographs that random geometry is drawn for


def sizes_of(args):
    if args.tiny:
        return tiny_sizes()
    dim, heads = ARCHS[args.arch]
    return Sizes(dim=dim, heads=heads, out_dim=args.out_dim, norm_last_layer=args.norm_last_layer)


def memory(field):
    """VmRSS (now) or VmHWM (peak) of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


def timed(function, warmup, repeats, device="cpu"):
    """-> seconds of each round, processor seconds of each round (all threads)"""
    wall, processor = [], []
    for index in range(warmup + repeats):
        begin = time.perf_counter(), time.process_time()
        function()
        if device != "cpu":
            torch.cuda.synchronize()
        if index >= warmup:
            wall.append(time.perf_counter() - begin[0])
            processor.append(time.process_time() - begin[1])
    return wall, processor


def result(images, wall, processor, **more):
    return {
        "images_per_second": images / statistics.median(wall),
        "images": images,
        "seconds": wall,
        "processor_seconds": processor,
        **more,
    }


def random_batch(sizes, count, locals_, device):
    """Random pixels in crops whose geometry follows the official sampler. -> Batch, share of valid global samples"""
    lists = []
    for _ in range(count):
        coords = draw_places(IMAGE_WIDTH, IMAGE_HEIGHT, locals_)
        masks = sample_masks(sizes.grid, sizes.local_grid, sizes.windows)
        lists.append(image_maps(coords, *masks, sizes.grid, sizes.local_grid))
    sources, targets = ([torch.stack(same).to(device) for same in zip(*maps)] for maps in zip(*lists))
    sides = [sizes.global_size] * 2 + [sizes.local_size] * locals_
    crops = [torch.randn(count, 3, side, side, device=device) for side in sides]
    valid = torch.stack(sources[:2]).sum(-1).mean().item()
    return Batch(crops, sources, targets), valid


def measure_step(args):
    """The step, everything from crops in memory to the moved teacher; with half the batch where memory does not suffice."""
    batch = args.batch
    while True:
        try:
            return {**step_of(args, batch), "batch": batch, "wanted_batch": args.batch}
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        batch //= 2
        gc.collect()
        torch.cuda.empty_cache()


def step_of(args, count):
    sizes = sizes_of(args)
    if args.engine == "strong":
        training = StrongPretraining(sizes, device=args.device, bf16=args.bf16, compile_mode=args.compile)
    else:
        half = torch.float16 if args.half else torch.bfloat16 if args.bf16 else None
        training = Pretraining(sizes, device=args.device, half=half)
    training.allocate_optimizer()
    batch, valid = random_batch(sizes, count, args.locals, args.device)
    cuda = args.device != "cpu"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        base = torch.cuda.memory_allocated()
    else:
        base = memory("VmRSS")
        forget_peak()
    knobs = {"lr": 1e-4, "weight_decay": 0.04, "momentum": 0.996, "temperature": 0.04, "freeze_last_layer": False}

    def steps():
        for _ in range(args.steps):
            training.step(batch, **knobs)

    begin = time.perf_counter()
    wall, processor = timed(steps, args.warmup, args.repeats, args.device)
    compiled = time.perf_counter() - begin - sum(wall)
    peak = torch.cuda.max_memory_allocated() if cuda else memory("VmHWM")
    more = {"peak_bytes": peak - base, "base_bytes": base, "valid_share": valid, "warmup_seconds": compiled}
    return result(count * args.steps, wall, processor, **more)


def count_flops(args):
    """Floating-point operations of matrix products in one step, an image. Needs no clock: a batch of 2 will do."""
    sizes = sizes_of(args)
    training = Pretraining(sizes)
    batch, _ = random_batch(sizes, 2, args.locals, "cpu")
    with FlopCounterMode(display=False) as counter:
        training.step(batch, 1e-4, 0.04, 0.996, 0.04, False)
    image = torch.zeros(1, 3, sizes.global_size, sizes.global_size)
    with torch.no_grad(), FlopCounterMode(display=False) as forward:
        training.teacher.backbone.backbone(image)
    return {"step_flops_per_image": counter.get_total_flops() / 2, "forward_flops_per_image": forward.get_total_flops()}


def measure_data(args):
    """JPEG files to collated views in one thread: what one worker process of the official loader does."""
    from PIL import Image

    from augment import Augmentation

    paths = sorted(p for p in Path(args.data).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    assert paths, f"no JPEG files in {args.data}"
    augmentation = Augmentation(sizes_of(args), args.locals)
    count = len(paths) // args.batch * args.batch

    def epoch():
        order = random.sample(paths, count)
        for first in range(0, count, args.batch):
            images = []
            for path in order[first : first + args.batch]:
                with open(path, "rb") as file:
                    images.append(augmentation(Image.open(file).convert("RGB")))
            default_collate(images)

    wall, processor = timed(epoch, args.warmup, args.repeats)
    return result(count, wall, processor, files=len(paths), file_bytes=sum(p.stat().st_size for p in paths))


ENGINES = ("eager", "strong", "sdpa", "onnxruntime", "openvino", "bf16", "int8", "onnxruntime-int8", "openvino-bf16")


def measure_extract(args):
    """Normalised crops in memory to the final-norm cls token."""
    if args.device != "cpu" or args.bf16 or args.compile:
        return device.extract(args, sizes_of(args), timed, result)
    network = Network(sizes_of(args)).backbone.backbone.eval().requires_grad_(False)
    images = torch.randn(args.batch, 3, 224, 224)
    for block in network.blocks:
        block.attn.fused = args.engine == "sdpa"
    model = device.Features(network)
    reference = model(images)
    peers = {
        "onnxruntime": onnx_session,
        "openvino": openvino_model,
        "bf16": torch_bf16,
        "int8": torch_int8,
        "onnxruntime-int8": onnx_session_int8,
        "openvino-bf16": openvino_model_bf16,
    }
    call = peers[args.engine](model, images, args.threads) if args.engine in peers else model
    cosine = torch.cosine_similarity(torch.as_tensor(call(images)), reference).min().item()
    with torch.inference_mode():
        wall, processor = timed(lambda: call(images), args.warmup, args.repeats)
    return result(args.batch, wall, processor, cosine=cosine)


def torch_bf16(model, images, threads):
    def call(x):
        with torch.autocast("cpu", torch.bfloat16):
            return model(x).float()

    return call


def torch_int8(model, images, threads):
    """PyTorch's dynamic quantisation of linear layers: weights per output channel, activations per tensor."""
    linears = {torch.nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
    return torch.ao.quantization.quantize_dynamic(model, linears, torch.qint8)


def onnx_session(model, images, threads, prepare=lambda path: path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        torch.onnx.export(model, (images,), path, input_names=["images"], dynamo=False)
        session = onnxruntime.InferenceSession(prepare(path), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"images": x.numpy()})[0]


def onnx_session_int8(model, images, threads):
    """ONNX Runtime's dynamic quantisation of matrix products: weights per output channel, activations per tensor."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    def prepare(path):
        options = {"op_types_to_quantize": ["MatMul"], "per_channel": True, "weight_type": QuantType.QInt8}
        quantize_dynamic(path, path + ".int8", **options)
        return path + ".int8"

    return onnx_session(model, images, threads, prepare)


def openvino_model(model, images, threads, precision="f32"):
    import openvino

    converted = openvino.convert_model(model, example_input=images)
    compiled = openvino.Core().compile_model(
        converted, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision}
    )
    return lambda x: compiled([x.numpy()])[0]


def openvino_model_bf16(model, images, threads):
    return openvino_model(model, images, threads, "bf16")


def measure_gemm(args):
    """The machine's float32 matrix product rate: the best of three libraries, GFLOP/s."""
    import numpy

    size = 2048
    a, b = torch.randn(size, size), torch.randn(size, size)
    x, y = a.numpy(), b.numpy()
    ways = {
        "torch.mm": lambda: torch.mm(a, b),
        "oneDNN": lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""),
        "numpy": lambda: numpy.matmul(x, y),
    }
    rates = {}
    for name, way in ways.items():
        wall, _ = timed(way, 2, args.repeats)
        rates[name] = 2 * size**3 / min(wall) / 1e9
    return {"gflops": max(rates.values()), "by_library": rates, "size": size}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("step", "flops", "data", "extract", "gemm", "files", "ceilings"))
    parser.add_argument("--arch", choices=ARCHS, default="vit_small")
    parser.add_argument("--out-dim", type=int, default=65536)
    parser.add_argument("--norm-last-layer", action="store_true", help="prototype magnitudes stay 1 (the official default)")
    parser.add_argument("--locals", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--data", help="data: a folder of JPEG files")
    parser.add_argument("--engine", choices=ENGINES, default="eager")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--half", action="store_true", help="step: float16 autocast, for CUDA")
    parser.add_argument("--bf16", action="store_true", help="step: bfloat16 autocast; extract, files: of all numbers")
    parser.add_argument("--compile", choices=("default", "reduce-overhead", "max-autotune"), help="torch.compile's mode")
    parser.add_argument("--steps", type=int, default=1, help="steps a measurement: no look at a result within it (strong)")
    parser.add_argument("--workers", type=int, default=16, help="files: processes of the loader")
    parser.add_argument("--tiny", action="store_true", help="a tiny model: checks the programs, says nothing of speed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main():
    args = parse(sys.argv[1:])
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    work = {
        "step": measure_step,
        "flops": count_flops,
        "data": measure_data,
        "extract": measure_extract,
        "gemm": measure_gemm,
        "files": lambda args: device.files(args, sizes_of(args), timed, result),
        "ceilings": lambda args: device.ceilings(args, timed),
    }[args.what]
    json.dump({**work(args), "threads": args.threads, "nice": os.nice(0)}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
