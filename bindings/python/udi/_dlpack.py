"""DLPack, both ways: memory that another library made, and memory that another library may have."""
from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from udi._call import call, new_out
from udi._udi import ffi, lib

CPU, CUDA = 1, 2
LEGACY_STREAM = 1  # DLPack's number of CUDA's default stream
_NAME, _OLD_NAME, _USED_NAME = b"dltensor_versioned", b"dltensor", b"used_dltensor_versioned"  # capsules keep the pointer

streams: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # of lanes that adopted one


def _python(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_new = _python("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_is = _python("PyCapsule_IsValid", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)
_pointer = _python("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_rename = _python("PyCapsule_SetName", ctypes.c_int, ctypes.py_object, ctypes.c_char_p)


def taken(value: Any, lane: Any) -> Any | None:
    """A udi_tensor over value's memory (of new_out), for calls in lane; None: value does not speak DLPack 1."""
    if not hasattr(value, "__dlpack__") or not hasattr(value, "__dlpack_device__"):
        return None
    on_gpu = value.__dlpack_device__()[0] == CUDA
    try:
        capsule = value.__dlpack__(stream=(streams.get(lane) or LEGACY_STREAM) if on_gpu else None, max_version=(1, 0))
    except TypeError:  # knows no max_version: from before DLPack 1
        return None
    if not _is(capsule, _NAME):
        return None
    owner = new_out("udi_tensor", lane)
    managed = ffi.cast("struct DLManagedTensorVersioned *", _pointer(capsule, _NAME))
    call("udi_tensor_from_dlpack", lane[0], managed, owner)
    _rename(capsule, _USED_NAME)  # its destructor leaves it alone now
    return owner


def given(tensor: Any, versioned: bool) -> Any:
    """A capsule with the memory of a udi_tensor; of DLPack 1, or of the time before."""
    out = ffi.new("struct DLManagedTensorVersioned **")
    call("udi_tensor_to_dlpack", tensor, out)
    pointer = out[0] if versioned else lib.udi_python_to_old(out[0])
    if not pointer:
        lib.udi_python_delete(out[0])
        raise MemoryError
    return _new(int(ffi.cast("uintptr_t", pointer)), _NAME if versioned else _OLD_NAME,
                int(ffi.cast("uintptr_t", lib.udi_python_capsule_destructor())))
