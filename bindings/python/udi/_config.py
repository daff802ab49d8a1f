"""Configurations: udi.h's structs, with libudi's defaults, as objects with fields."""
from __future__ import annotations

import difflib
import os
from enum import IntEnum
from typing import Any, ClassVar, TypeVar

from udi._call import Argument, ask, call, text
from udi._udi import ffi

Self = TypeVar("Self", bound="Config")
Choice = TypeVar("Choice", bound=IntEnum)


def choice(kind: type[Choice], value: Any) -> Choice:
    """The constant that value is or names: Token.CLS, 1 or "cls"."""
    if not isinstance(value, str):
        return kind(value)
    try:
        return kind[value.upper()]
    except KeyError:
        names = ", ".join(member.name.lower() for member in kind)
        raise ValueError(f"no {kind.__name__} is called {value!r}; there are {names}") from None


class Config(Argument):
    """Made with libudi's defaults; keyword arguments and attributes change fields. A constant's name serves for it."""

    _struct: ClassVar[str]
    _fields: ClassVar[tuple[str, ...]]
    _enums: ClassVar[dict[str, type[IntEnum]]]

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        vars(self).update(_cdata=ffi.new(f"{self._struct} *"), _keep={})
        init = call if arguments else ask  # of a configuration that has a name to look up: it can fail
        init(f"{self._struct}_init", self._cdata, ffi.sizeof(self._struct), *arguments)
        self._change(fields)

    @classmethod
    def _from(cls: type[Self], config: Self | None, fields: dict[str, Any]) -> Self:
        """The configuration that a call gets: the defaults or a copy of config, with these fields changed."""
        if config is None:
            return cls(**fields)
        copy = cls.__new__(cls)
        vars(copy).update(_cdata=ffi.new(f"{cls._struct} *", config._cdata[0]), _keep=dict(config._keep))
        copy._change(fields)
        return copy

    def _change(self, fields: dict[str, Any]) -> None:
        for name, value in fields.items():
            self._check(name, TypeError)
            setattr(self, name, value)

    def _check(self, name: str, error: type[Exception]) -> None:
        if name not in self._fields:
            near = difflib.get_close_matches(name, self._fields, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self._fields)}"
            raise error(f"{type(self).__name__} has no field {name!r}: {hint}")

    def __getattr__(self, name: str) -> Any:
        self._check(name, AttributeError)
        value = getattr(self._cdata, name)
        if name in self._enums:
            return choice(self._enums[name], value)
        if isinstance(value, ffi.CData):
            return tuple(value) if ffi.typeof(value).kind == "array" else text(value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name, AttributeError)
        if name in self._enums:
            value = choice(self._enums[name], value)
        elif isinstance(value, (str, os.PathLike)):
            value = self._keep[name] = ffi.new("char[]", os.fsencode(value))
        setattr(self._cdata, name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._fields]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"
