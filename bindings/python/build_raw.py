"""Writes the C source of udi._udi, the raw layer: cffi's out-of-line API mode over include/udi.h.

Usage: build_raw.py bindings/udi.cdef.h OUTPUT.c      (CMakeLists.txt runs it)
"""
import pathlib
import sys

import cffi

OWN = """
extern "Python" void udi_python_log(void *, udi_log_level, const char *);
extern "Python" int32_t udi_python_progress(void *, const udi_progress *);
extern "Python" void udi_python_release(void *);
typedef struct { int active; ...; } udi_python_guard;
void udi_python_guard_begin(udi_python_guard *, udi_context *);
int udi_python_guard_end(udi_python_guard *);
void *udi_python_capsule_destructor(void);
void *udi_python_to_old(struct DLManagedTensorVersioned *);
void udi_python_delete(struct DLManagedTensorVersioned *);
"""

declarations, output = map(pathlib.Path, sys.argv[1:])
ffi = cffi.FFI()
ffi.cdef(declarations.read_text() + OWN)
ffi.set_source("udi._udi", '#include <udi.h>\n#include "guard.h"\n#include "dlpack.h"\n')
ffi.emit_c_code(str(output))
