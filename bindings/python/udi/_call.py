"""How this package calls libudi: arguments, errors, Ctrl-C, and who owns what a call returns."""
from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from udi._errors import new_error
from udi._header import DOCS
from udi._udi import ffi, lib

_MAIN = threading.main_thread()
Self = TypeVar("Self", bound="Handle")
Function = TypeVar("Function", bound=Callable[..., Any])


def text(chars: Any) -> str:
    return str(ffi.string(chars).decode("utf-8", "replace")) if chars else ""


def new_out(type: str, *keep: Any) -> Any:
    """A `T **` for a call to write a handle into. The handle is freed when this goes, so that nothing is lost if Ctrl-C
    comes between the call and the next line. What is in keep lives until then."""
    free = getattr(lib, f"{type}_free")
    return ffi.gc(ffi.new(f"{type} **"), lambda out, free=free, keep=keep: free(out[0]))


class Argument:
    """What libudi borrows for a call: cdata, and what must live as long as the call."""

    def __init__(self, cdata: Any, *keep: Any) -> None:
        self._cdata = cdata
        self._keep: Any = keep

    def _as_argument(self) -> tuple[Any, Any]:
        return self._cdata, self


class Handle:
    """What lives in libudi. close(), `with`, or the garbage collector gives it back; in any order.

    A context and all handles made from it are one lane: any thread, one at a time. A second thread inside gets an Error
    with Status.STATE.
    """

    def __init__(self, owner: Any, lane: Any) -> None:
        """owner: from new_out; lane: that of the context, which the owner keeps."""
        self._owner = owner
        self._lane = lane

    def _as_argument(self) -> tuple[Any, Any]:
        owner = self._owner  # held by the call: close() in another thread waits for its end
        if owner is None:
            raise ValueError(f"this {type(self).__name__} is closed")
        return owner[0], owner

    @property
    def closed(self) -> bool:
        return self._owner is None

    def close(self) -> None:
        """Gives it back. Arrays that came from it stay valid; a second call does nothing."""
        self._owner = None

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _plain(value: Any, keep: list[Any]) -> Any:
    if value is None:
        return ffi.NULL
    if isinstance(value, (Argument, Handle)):
        cdata, kept = value._as_argument()
        keep.append(kept)
        return cdata
    if isinstance(value, (str, os.PathLike)):
        encoded = os.fsencode(value)
        if b"\0" in encoded:
            raise ValueError(f"embedded null character in {value!r}")
        return encoded
    return value


def _ctrl_c_raises() -> bool:
    return threading.current_thread() is _MAIN and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _guarded(function: Callable[..., int], lane: Any, arguments: list[Any]) -> int:
    """The call; Ctrl-C cancels it and raises KeyboardInterrupt (guard.h)."""
    guard = ffi.new("udi_python_guard *")
    interrupted = False
    try:
        lib.udi_python_guard_begin(guard, lane[0])
        status = function(*arguments)
    finally:
        if lib.udi_python_guard_end(guard):
            lib.udi_context_clear_cancel(lane[0])
            interrupted = True
    if interrupted:
        signal.default_int_handler(signal.SIGINT, None)
    return status


def call(name: str, *arguments: Any) -> None:
    """Calls the function of udi.h called name, which returns a udi_status. Its udi_error is added here; None is NULL.

    The GIL is released meanwhile. A call in a context (its first argument is a Handle) ends when Ctrl-C comes.
    """
    function, error = getattr(lib, name), ffi.new("udi_error *")
    keep: list[Any] = []
    plain = [_plain(argument, keep) for argument in arguments] + [error]
    first = arguments[0] if arguments else None
    if isinstance(first, Handle) and _ctrl_c_raises():
        status = _guarded(function, first._lane, plain)
    else:
        status = function(*plain)
    if status:
        raise new_error(status, name, error.native_code, text(error.message))


def ask(name: str, *arguments: Any) -> Any:
    """Calls a function of udi.h that cannot fail and returns what it returns."""
    keep: list[Any] = []
    return getattr(lib, name)(*[_plain(argument, keep) for argument in arguments])


def documented(name: str) -> Callable[[Function], Function]:
    """Adds what udi.h says about the function that a method calls."""

    def add(function: Function) -> Function:
        function.__doc__ = "\n\n".join(filter(None, (function.__doc__, f"{name} of udi.h: {DOCS.get(name, '')}")))
        return function

    return add
