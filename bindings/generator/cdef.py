"""udi.cdef.h: the declarations alone, for parsers of plain C (cffi's cdef, LuaJIT's ffi.cdef)."""
import header as text_of_header
from generator.description import NOTE
from generator.names import wrapped


def text(header):
    return "".join(wrapped(line) for line in text_of_header.declarations(header).splitlines())


def files(api, root):
    return {"bindings/udi.cdef.h": f"/* {NOTE} */\n\n" + text((root / "include/udi.h").read_text())}
