"""Arrays: numpy's and those of DLPack go in, numpy's come out, all without a copy."""
from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from udi import _dlpack
from udi._call import Argument, Handle, call
from udi._header import DeviceType, Dtype
from udi._udi import ffi

DTYPES = {"uint8": Dtype.U8, "uint16": Dtype.U16, "int32": Dtype.I32, "int64": Dtype.I64, "float16": Dtype.F16,
          "float32": Dtype.F32, "float64": Dtype.F64}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
Array = Any  # a udi.Tensor, what has __dlpack__ (torch tensors, on the GPU too), what numpy.asarray takes
Image = Any  # a path, bytes of a JPEG or PNG, a PIL image, or pixels [height, width, channels] or [height, width]


def _dtype_of(array: np.ndarray[Any, Any], what: str) -> Dtype:
    if array.dtype.name not in DTYPES or not array.dtype.isnative:
        raise TypeError(f"{what} is an array of {array.dtype}, must be of {', '.join(DTYPES)}")
    return DTYPES[array.dtype.name]


def _viewed(tensor: Any, *keep: Any) -> Argument:
    """The udi_array of a udi_tensor."""
    view = ffi.new("udi_array *", {"struct_size": ffi.sizeof("udi_array")})
    call("udi_tensor_view", tensor, view)
    return Argument(view, tensor, *keep)


def in_numpy(value: Array, what: str) -> Argument:
    """A udi_array over value's memory; over a copy where numpy cannot see it or its strides are not whole elements."""
    array = np.asarray(value)
    dtype = _dtype_of(array, what)
    if any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = np.ascontiguousarray(array)
    shape = ffi.new("int64_t[]", list(array.shape) or 1)
    strides = ffi.new("int64_t[]", [stride // array.itemsize for stride in array.strides] or 1)
    data = ffi.cast("void *", array.ctypes.data)
    members = [ffi.sizeof("udi_array"), dtype, DeviceType.CPU, 0, array.ndim, 0, shape, strides, data]
    return Argument(ffi.new("udi_array *", members), array, shape, strides)


def borrowed(value: Array, what: str, lane: Any) -> Argument:
    """A udi_array over value's memory for a call in lane: of a udi.Tensor, through DLPack, or through numpy."""
    if isinstance(value, Handle):  # a udi.Tensor
        return _viewed(value)
    owner = None if isinstance(value, np.ndarray) else _dlpack.taken(value, lane)
    return in_numpy(value, what) if owner is None else _viewed(owner[0], owner)


class _Memory:
    """A udi_tensor's memory as numpy takes it up; the array holds this, and this holds the tensor."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        view = ffi.new("udi_array *", {"struct_size": ffi.sizeof("udi_array")})
        call("udi_tensor_view", owner[0], view)
        dtype = np.dtype(NAMES[Dtype(view.dtype)])
        self.__array_interface__ = {
            "version": 3, "typestr": dtype.str, "shape": tuple(view.shape[0:view.ndim]),
            "strides": tuple(stride * dtype.itemsize for stride in view.strides[0:view.ndim]) if view.strides else None,
            "data": (int(ffi.cast("uintptr_t", view.data)), False)}


def adopted(owner: Any) -> np.ndarray[Any, Any]:
    """The array of a udi_tensor (owner: from new_out), in the tensor's own memory."""
    return np.asarray(_Memory(owner))


# ---- Images ------------------------------------------------------------------------------------------------------------
def _encoded(data: Any) -> tuple[list[Any], Any]:
    memory = ffi.from_buffer(data)
    return [ffi.sizeof("udi_image"), 0, 0, 0, 0, 0, memory, len(memory)], memory


def _pixels(image: Any, what: str) -> tuple[list[Any], Any]:
    array = np.ascontiguousarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"{what} has shape {list(array.shape)}, must be [height, width, channels] or [height, width]")
    data = ffi.cast("void *", array.ctypes.data)
    return [ffi.sizeof("udi_image"), _dtype_of(array, what), *array.shape, 0, data, array.nbytes], array


def _members(image: Image, what: str, channels: int) -> tuple[list[Any], Any]:
    """The members of a udi_image, and what their memory is."""
    if isinstance(image, (str, os.PathLike)):
        with open(image, "rb") as file:
            return _encoded(file.read())
    if isinstance(image, (bytes, bytearray, memoryview)):
        return _encoded(image)
    if hasattr(image, "convert"):  # PIL
        image = image.convert("L" if channels == 1 else "RGB")
    return _pixels(image, what)


def image_list(images: Iterable[Image], channels: int) -> tuple[Argument, int]:
    """An array of udi_image, and how many. channels: that PIL images are brought to, 1 or 3; libudi sees to files."""
    found = [_members(image, f"images[{i}]", channels) for i, image in enumerate(images)]
    members, memory = [item[0] for item in found], [item[1] for item in found]
    return Argument(ffi.new("udi_image[]", members or 1), memory), len(found)
