"""udi.cdef.h: the declarations alone, for parsers of plain C (cffi's cdef, LuaJIT's ffi.cdef)."""
import textwrap

import header as text_of_header
from generator.description import NOTE


def text(header):
    lines = text_of_header.declarations(header).split("\n")
    wrapped = [textwrap.fill(line, 120, subsequent_indent="    ") if len(line) > 120 else line for line in lines]
    return "\n".join(wrapped)


def files(api, root):
    return {"bindings/udi.cdef.h": f"/* {NOTE} */\n\n" + text((root / "include/udi.h").read_text())}
