"""The exported backbone in ONNX Runtime beside libudi's own: onnx_test.py UDI LIBUDI WORK_FOLDER

The weights are drawn far larger than a fresh model's, so that nothing is too small to be seen: positions, biases and norms
as well. Compared are every output, at the model's own image size and at others, for one image and for several.
"""
import ctypes
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

TOLERANCE = 1e-4
SIZE, PATCH, DIM, DEPTH, HEADS = 32, 8, 48, 3, 4


# ---- Weights, under the official names --------------------------------------------------------------------------------


def draw_weights(classes, seed):
    random = numpy.random.default_rng(seed)

    def normal(*shape, scale=1.0, mean=0.0):
        return (mean + scale * random.standard_normal(shape)).astype(numpy.float32)

    tensors = {"cls_token": normal(1, classes, DIM), "pos_embed": normal(1, classes + (SIZE // PATCH) ** 2, DIM),
               "patch_embed.proj.weight": normal(DIM, 3, PATCH, PATCH, scale=0.1), "patch_embed.proj.bias": normal(DIM)}

    def linear(name, inputs, outputs):
        tensors[f"{name}.weight"] = normal(outputs, inputs, scale=1.5 / inputs**0.5)
        tensors[f"{name}.bias"] = normal(outputs, scale=0.3)

    def norm(name):
        tensors[f"{name}.weight"] = normal(DIM, scale=0.2, mean=1.0)
        tensors[f"{name}.bias"] = normal(DIM, scale=0.3)

    for block in range(DEPTH):
        norm(f"blocks.{block}.norm1")
        linear(f"blocks.{block}.attn.qkv", DIM, 3 * DIM)
        linear(f"blocks.{block}.attn.proj", DIM, DIM)
        norm(f"blocks.{block}.norm2")
        linear(f"blocks.{block}.mlp.fc1", DIM, 3 * DIM)
        linear(f"blocks.{block}.mlp.fc2", 3 * DIM, DIM)
    norm("norm")
    return tensors


def write_safetensors(path, tensors):
    header, end = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.tobytes() for tensor in tensors.values()))


# ---- libudi through its C interface ---------------------------------------------------------------------------------------


class Array(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("dtype", ctypes.c_int32), ("device_type", ctypes.c_int32),
                ("device_index", ctypes.c_int32), ("ndim", ctypes.c_int32), ("flags", ctypes.c_uint32),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("data", ctypes.c_void_p)]


class ExtractConfig(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32)] + [(name, ctypes.c_int32) for name in (
        "token", "block", "num_blocks", "normalize", "batch_size")]


class AttentionConfig(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32)] + [(name, ctypes.c_int32) for name in (
        "source", "patch_row", "patch_col")]


class Udi:
    CPU, F32, NCHW, TEACHER = 1, 7, 1, 2
    TOKENS = {"cls": 1, "cls_plus": 2, "patches": 5}
    ATTENTION = {"attention_cls": 1, "attention_cls_plus": 2}

    def __init__(self, library, path):
        self.library = ctypes.CDLL(library)
        self.error = ctypes.create_string_buffer(512)
        self.context, self.model = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("udi_context_create", None, ctypes.byref(self.context))
        self.call("udi_model_load", self.context, str(path).encode(), self.TEACHER, ctypes.byref(self.model))

    def call(self, name, *arguments):
        status = getattr(self.library, name)(*arguments, self.error)
        if status:
            raise SystemExit(f"{name}: {self.error.raw[8:].split(bytes(1))[0].decode()}")

    def run(self, output, images):
        shape = (ctypes.c_int64 * 4)(*images.shape)
        array = Array(ctypes.sizeof(Array), self.F32, self.CPU, 0, 4, 0, shape, None, images.ctypes.data)
        if output in self.TOKENS:
            call, config = "udi_model_extract", ExtractConfig()
            self.library.udi_extract_config_init(ctypes.byref(config), ctypes.sizeof(config))
            config.token = self.TOKENS[output]
        else:
            call, config = "udi_model_attention", AttentionConfig()
            self.library.udi_attention_config_init(ctypes.byref(config), ctypes.sizeof(config))
            config.source = self.ATTENTION[output]
        tensor, view = ctypes.c_void_p(), Array(ctypes.sizeof(Array))
        self.call(call, self.model, ctypes.byref(array), self.NCHW, ctypes.byref(config), ctypes.byref(tensor))
        self.call("udi_tensor_view", tensor, ctypes.byref(view))
        sizes = view.shape[:view.ndim]
        values = numpy.ctypeslib.as_array(ctypes.cast(view.data, ctypes.POINTER(ctypes.c_float)), sizes).copy()
        self.library.udi_tensor_free(tensor)
        return values


# ---- Comparison ---------------------------------------------------------------------------------------------------------


def check_file(path, classes):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)], model.opset_import
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata["patch_size"] == PATCH and metadata["class_tokens"] == classes and len(metadata["mean"]) == 3, metadata


def compare(udi, runtime, run, outputs, batches, sizes):
    random, worst = numpy.random.default_rng(1), 0.0
    for batch in batches:
        for height, width in sizes:
            images = random.standard_normal((batch, 3, height, width)).astype(numpy.float32)
            for name, found in zip(outputs, run(outputs, {"images": images})):
                wanted = udi.run(name, images)
                assert found.shape == wanted.shape, (name, found.shape, wanted.shape)
                difference = float(numpy.abs(found - wanted).max())
                assert difference < TOLERANCE, f"{name} of {batch} x {height} x {width}: {difference:.2g} apart"
                assert batch == 1 or numpy.abs(found[0] - found[1]).max() > 100 * TOLERANCE, f"{name} ignores the image"
                worst = max(worst, difference)
    print(f"{runtime}: {', '.join(outputs)} at most {worst:.2g} apart")


def main(tool, library, work):
    work = Path(work)
    for classes in 1, 2:
        weights, own, exported = (work / f"{name}{classes}.{end}" for name, end in (
            ("weights", "safetensors"), ("udi", "safetensors"), ("backbone", "onnx")))
        write_safetensors(weights, draw_weights(classes, classes))
        for output in own, exported:
            subprocess.run([tool, "convert", weights, output, "--heads", str(HEADS), "-q"], check=True, stdout=subprocess.DEVNULL)
        check_file(exported, classes)
        outputs = ["cls", "cls_plus"][:classes] + ["patches"] + ["attention_cls", "attention_cls_plus"][:classes]
        session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
        assert [output.name for output in session.get_outputs()] == outputs, session.get_outputs()
        # the own size; smaller; one side alone is the own one; larger and not square
        sizes = (SIZE, SIZE), (24, 24), (SIZE, 48), (72, 40)
        udi = Udi(library, own)
        compare(udi, "ONNX Runtime", session.run, outputs, (1, 3), sizes)
        # ONNX's own definition in numpy: ONNX Runtime takes some ways around it, where a Resize changes no extent
        compare(udi, "onnx.reference", ReferenceEvaluator(str(exported)).run, outputs, (1,), sizes[:2])
    misnamed = subprocess.run([tool, "convert", own, work / "x.safetensors", "--to", "onnx"], capture_output=True, text=True)
    assert misnamed.returncode == 2 and ".onnx" in misnamed.stderr, misnamed


if __name__ == "__main__":
    main(*sys.argv[1:])
