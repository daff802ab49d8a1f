"""Writes the C source of udi._udi, the raw layer: cffi's out-of-line API mode over include/udi.h.

Usage: build_raw.py bindings/udi.cdef.h OUTPUT.c      (CMakeLists.txt runs it)
"""
import pathlib
import sys

import cffi

OWN = """
extern "Python" void udi_python_log(void *, udi_log_level, const char *);
extern "Python" int32_t udi_python_progress(void *, const udi_progress *);
typedef struct { int active; ...; } udi_python_guard;
void udi_python_guard_begin(udi_python_guard *, udi_context *);
int udi_python_guard_end(udi_python_guard *);
"""

declarations, output = map(pathlib.Path, sys.argv[1:])
ffi = cffi.FFI()
ffi.cdef(declarations.read_text() + OWN)
ffi.set_source("udi._udi", '#include <udi.h>\n#include "guard.h"\n')
ffi.emit_c_code(str(output))
