"""libudi's failures as exceptions."""
from __future__ import annotations

from udi._header import Status


class Error(Exception):
    """A call of libudi failed.

    status: udi.Status
    where: the function of udi.h, "udi_model_load"
    native_code: errno or a CUDA error, else 0
    str() is libudi's text: what, which value, which limit, what to do.
    """

    status: Status = Status.INTERNAL
    where: str = ""
    native_code: int = 0


class InvalidError(Error, ValueError):
    """An argument is out of range or contradicts another."""


class ShapeError(Error, ValueError):
    """An array has another shape or dtype than the call needs."""


class NotFoundError(Error, LookupError):
    """A file, a tensor, a library or a name is not there."""


class IoError(Error, OSError):
    """Reading or writing failed; errno says why."""

    def __str__(self) -> str:  # OSError's own puts errno before it
        return str(self.args[0])


class FormatError(Error, ValueError):
    """Bytes are not what they claim to be."""


class MemoryLimitError(Error, MemoryError):
    """Memory ran out, or a limit on it was met."""


class UnsupportedError(Error, NotImplementedError):
    """Understood, and not offered."""


class NonFiniteError(Error, ArithmeticError):
    """The loss is not finite; no weight moved."""


class Cancelled(Error):
    """Context.cancel was called."""


CLASSES: dict[Status, type[Error]] = {
    Status.INVALID: InvalidError,
    Status.SHAPE: ShapeError,
    Status.NOT_FOUND: NotFoundError,
    Status.IO: IoError,
    Status.FORMAT: FormatError,
    Status.MEMORY: MemoryLimitError,
    Status.UNSUPPORTED: UnsupportedError,
    Status.NONFINITE: NonFiniteError,
    Status.CANCELLED: Cancelled,
}


def new_error(status: int, where: str, native_code: int, message: str) -> Error:
    try:
        known = Status(status)
    except ValueError:  # of a newer library
        known = Status.INTERNAL
    error = CLASSES.get(known, Error)(message)
    error.status, error.where, error.native_code = known, where, native_code
    if isinstance(error, OSError):
        error.errno = native_code
    return error
