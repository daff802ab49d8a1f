"""What is declared, listed and exported is one set of names, and libudi.so needs libc alone.

Usage: symbols.py SOURCE_FOLDER libudi.so libudi_core.so
"""
import re
import subprocess
import sys

source, library, core = sys.argv[1:]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def exported(path):
    """Defined dynamic symbols; a version node such as UDI_0 is an absolute one."""
    lines = [line.split() for line in output("nm", "-D", "--defined-only", path).splitlines()]
    return {name.split("@")[0] for _, kind, name in lines if kind != "A"}


def dynamic(path, tag):
    return re.findall(rf"\({tag}\).*\[(.*)\]", output("readelf", "-d", path))


def expect(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: unexpected {sorted(found - wanted)}, missing {sorted(wanted - found)}")


header = set(output(sys.executable, f"{source}/scripts/gen_forwarders.py", f"{source}/include/udi.h", "--names").split())
listed = set(re.findall(r"^\s+(udi_\w+);", open(f"{source}/abi/libudi.map").read(), re.MULTILINE))
expect("abi/libudi.map", listed, header)
expect(library, exported(library), header)
expect(core, exported(core), {"udi_core_entry"})
runtime = {"libasan.so.8", "libubsan.so.1", "libtsan.so.2"}  # of sanitizer builds
expect("what libudi.so needs", set(dynamic(library, "NEEDED")) - runtime, {"libc.so.6"})
abi = re.search(r"define UDI_ABI_VERSION (\d+)", open(f"{source}/include/udi.h").read())[1]
expect("soname", set(dynamic(library, "SONAME")), {f"libudi.so.{abi}"})
expect("run path of libudi.so", set(dynamic(library, "RUNPATH") + dynamic(library, "RPATH")), set())
expect("run path of the core", set(dynamic(core, "RUNPATH") + dynamic(core, "RPATH")), {"$ORIGIN"})
print(f"{len(header)} functions")
