"""Whether this package and the libudi that was loaded fit each other (bindings/README.md)."""
from __future__ import annotations

from typing import NamedTuple

from udi import _header
from udi._call import text
from udi._udi import ffi, lib


class Side(NamedTuple):
    abi: int
    version: int
    fingerprint: str

    def __str__(self) -> str:
        numbers = self.version // 1000000, self.version // 1000 % 1000, self.version % 1000
        return f"{'.'.join(map(str, numbers))} (ABI {self.abi}, interface {self.fingerprint[:12]})"


def fits(binding: Side, library: Side) -> None:
    """Raises ImportError unless they do: the same interface, or a newer library of the same ABI."""
    if library.fingerprint == binding.fingerprint:
        return
    if library.abi == binding.abi and library.version > binding.version:
        return
    raise ImportError(f"libudi {library} does not fit this binding, made for {binding}: "
                      "install a library of that version or newer with the same ABI")


def check_layout() -> None:
    for struct, (size, offsets) in _header.LAYOUT.items():
        found = ffi.sizeof(struct), {name: field.offset for name, field in ffi.typeof(struct).fields}
        if found != (size, offsets):
            raise ImportError(f"{struct} was compiled as {found}, udi.h has {(size, offsets)}: build the package anew")


def check() -> None:
    check_layout()
    fits(Side(_header.ABI, _header.VERSION, _header.FINGERPRINT),
         Side(lib.udi_abi_version(), lib.udi_version(), text(lib.udi_api_fingerprint())))
