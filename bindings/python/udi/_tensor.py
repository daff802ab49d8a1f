"""Tensors: memory with an owner, for calls that are to have it without a copy again and again."""
from __future__ import annotations

from typing import Any

import numpy as np

from udi import _dlpack
from udi._arrays import Array, adopted, in_numpy
from udi._call import Handle, call, documented, new_out
from udi._context import Context
from udi._udi import ffi, lib

_held: set[Any] = set()  # what libudi's release callbacks point at


@ffi.def_extern(name="udi_python_release")  # type: ignore[untyped-decorator]
def _release(user: Any) -> None:
    _held.discard(user)


class Tensor(Handle):
    """An array in the memory of whoever made it, which every call takes in place of an array. Speaks DLPack:
    torch.from_dlpack(tensor) and numpy.from_dlpack(tensor) share the memory, too, and keep it."""

    @documented("udi_tensor_from_dlpack")
    def __init__(self, context: Context, array: Array) -> None:
        """array: a torch tensor or what else has __dlpack__, on the CPU or on the context's GPU; a numpy array. It must not
        be written to while a call reads it."""
        owner = None if isinstance(array, np.ndarray) else _dlpack.taken(array, context._lane)
        super().__init__(self._wrapped(context, array) if owner is None else owner, context._lane)

    @staticmethod
    @documented("udi_tensor_wrap")
    def _wrapped(context: Context, array: Array) -> Any:
        argument = in_numpy(array, "array")
        user = ffi.new_handle(argument)
        owner = new_out("udi_tensor", context._lane)
        _held.add(user)
        try:
            call("udi_tensor_wrap", context, argument, lib.udi_python_release, user, owner)
        except BaseException:
            _held.discard(user)
            raise
        return owner

    @documented("udi_tensor_view")
    def numpy(self) -> np.ndarray[Any, Any]:
        """The memory as an array of numpy's; on the CPU alone."""
        return adopted(self._as_argument()[1])

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None,
                   dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
        """A capsule for another library. Its memory stays as long as that library wants it."""
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError("a udi.Tensor gives away its own memory, on its own device, and no copy")
        return _dlpack.given(self, versioned=max_version is not None and max_version[0] >= 1)

    def __dlpack_device__(self) -> tuple[int, int]:
        view = ffi.new("udi_array *", {"struct_size": ffi.sizeof("udi_array")})
        call("udi_tensor_view", self, view)
        return view.device_type, view.device_index
