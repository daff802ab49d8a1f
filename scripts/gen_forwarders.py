#!/usr/bin/env python3
"""Writes the seam between libudi.so and libudi_core.so from the declarations in include/udi.h:

calls.h       struct udi_core_calls: a pointer to every function that the core implements; the interface's fingerprint
forwarders.c  those functions in libudi.so: open the core if need be, then call through the table
core_calls.c  the table in libudi_core.so, filled with the core's own functions (the compiler checks the types)

Usage: gen_forwarders.py include/udi.h OUTPUT_FOLDER
       gen_forwarders.py include/udi.h --names      prints the name of every function, one a line
"""
import hashlib
import pathlib
import re
import sys

sys.dont_write_bytecode = True  # the sources may be read-only
import header as text_of_header  # noqa: E402

# What libudi.so does itself, without LibTorch (src/front).
OWN = {"udi_version", "udi_version_string", "udi_abi_version", "udi_api_fingerprint", "udi_build_info",
       "udi_status_name", "udi_job_schema",
       "udi_context_config_init", "udi_model_config_init", "udi_view_config_init", "udi_loader_config_init",
       "udi_group_config_init", "udi_train_config_init", "udi_extract_config_init", "udi_attention_config_init"}

NOTE = "/* Generated from include/udi.h by scripts/gen_forwarders.py. */\n"


def arguments(parameters):
    return ", ".join(re.findall(r"(\w+)$", parameter)[0] for parameter in parameters.split(","))


def member(name):
    return name[len("udi_"):]


def forwarder(result, name, parameters):
    call = f"core->{member(name)}({arguments(parameters)})"
    if result == "udi_status":
        opened = "front_open_core_for_context" if name == "udi_context_create" else "front_open_core"
        body = ("  const struct udi_core_calls *core = NULL;\n"
                f"  const udi_status status = {opened}(&core, error);\n"
                f"  return status != UDI_OK ? status : {call};\n")
    else:  # takes a handle, and there is none without the core
        body = "  const struct udi_core_calls *core = front_core();\n"
        body += f"  if (core) {call};\n" if result == "void" else f"  return core ? {call} : 0;\n"
    space = "" if result.endswith("*") else " "
    return f"{result}{space}{name}({parameters}) {{\n{body}}}\n"


CALLS = NOTE + """#ifndef UDI_CALLS_H
#define UDI_CALLS_H
#include "udi.h"

struct udi_core_calls {
%(members)s};

#define UDI_API_FINGERPRINT "%(api)s"

/* The one symbol of libudi_core.so: its table, or NULL if it was built from another header than its caller. */
#define UDI_CALLS_FINGERPRINT "%(fingerprint)s"
#ifdef __cplusplus
extern "C"
#endif
UDI_API const struct udi_core_calls *udi_core_entry(const char *fingerprint);
#endif
"""

CORE_CALLS = NOTE + """#include "calls.h"

#include <string.h>

static const struct udi_core_calls calls = {
%(entries)s};

const struct udi_core_calls *udi_core_entry(const char *fingerprint) {
  return strcmp(fingerprint, UDI_CALLS_FINGERPRINT) == 0 ? &calls : NULL;
}
"""


def main():
    header, target = pathlib.Path(sys.argv[1]).read_text(), sys.argv[2]
    functions = text_of_header.functions(header)
    if target == "--names":
        print("\n".join(name for _, name, _ in functions))
        return
    forwarded = [function for function in functions if function[1] not in OWN]
    members = "".join(f"  {result} (*{member(name)})({parameters});\n" for result, name, parameters in forwarded)
    fingerprint = hashlib.sha256(header.encode()).hexdigest()[:32]
    out = pathlib.Path(target)
    out.mkdir(parents=True, exist_ok=True)
    (out / "calls.h").write_text(CALLS % {"members": members, "fingerprint": fingerprint,
                                              "api": text_of_header.fingerprint(header)})
    (out / "core_calls.c").write_text(CORE_CALLS % {"entries": "".join(f"    {name},\n" for _, name, _ in forwarded)})
    (out / "forwarders.c").write_text(
        NOTE + '#include "calls.h"\n#include "front/core.h"\n\n' + "\n".join(forwarder(*f) for f in forwarded))


main()
