"""One set of functions everywhere: header, version script, library, description and every raw layer. Prints the table.

Usage: counts.py SOURCE_FOLDER libudi.so
"""
import json
import pathlib
import re
import subprocess
import sys

source, library = pathlib.Path(sys.argv[1]), sys.argv[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(source / "scripts"))
import header  # noqa: E402

text = (source / "include/udi.h").read_text()


def found(path, pattern):
    return set(re.findall(pattern, (source / path).read_text(), re.MULTILINE))


exported = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
java = "bindings/java/src/main/java/org/libudi/Native.java"
functions = {name for _, name, _ in header.functions(text)}
places = {
    "include/udi.h": functions,
    "abi/libudi.map": found("abi/libudi.map", r"^\s+(udi_\w+);"),
    "nm -D libudi.so": {line.split()[2].split("@")[0] for line in exported.splitlines() if line.split()[1] != "A"},
    "bindings/udi.api.json": {f["name"] for f in json.loads((source / "bindings/udi.api.json").read_text())["functions"]},
    "Python, Lua: udi.cdef.h": found("bindings/udi.cdef.h", r"^\w[\w *]*?(udi_\w+)\("),
    "Python: _udi.pyi": found("bindings/python/udi/_udi.pyi", r"^    def (udi_(?!python_)\w+)\("),
    "Lua: udi_raw.lua": found("bindings/lua/udi_raw.lua", r'^    \{"(udi_\w+)", "'),
    "Rust: sys.rs": found("bindings/rust/src/sys.rs", r"pub fn (udi_\w+)\("),
    "Rust: the crate": functions & {name for path in source.glob("bindings/rust/src/*.rs") if path.name != "sys.rs"
                                    for name in found(path, r"(?:sys::|\bby )(udi_\w+)")},
    "Go: the package": {name for path in source.glob("bindings/go/*.go")
                        for name in found(path, r"\bC\.(udi_(?!go_)\w+)\(")},
    "Java: Native.java": found(java, r"^    \w+ (udi_\w+)\("),
    "Java: the classes": {name for path in (source / java).parent.glob("*.java")
                          for name in found(path, r"LIB(?:\.|::)(udi_\w+)")},
    "C++: udi.hpp": functions & {name for path in ("include/udi.hpp", "include/udi/call.hpp")
                                 for line in (source / path).read_text().splitlines()
                                 for name in re.findall(r"\budi_\w+", line.partition("//")[0])},
    "C#: Native.cs": found("bindings/csharp/Native.cs", r"public static extern \w+ (udi_\w+)\("),
}
wanted = places["include/udi.h"]
for place, names in places.items():
    print(f"{place:<24} {len(names):>3} functions")
bad = [f"{place}: missing {sorted(wanted - names)}, unexpected {sorted(names - wanted)}"
       for place, names in places.items() if names != wanted]

fingerprint = header.fingerprint(text)
fingerprints = {
    "include/udi.h": fingerprint,
    "libudi.so": fingerprint if fingerprint.encode() in pathlib.Path(library).read_bytes() else "another",
    "bindings/udi.api.json": json.loads((source / "bindings/udi.api.json").read_text())["fingerprint"],
}
for path in ("bindings/lua/udi_raw.lua", "bindings/python/udi/_header.py", "bindings/rust/src/sys.rs",
             "bindings/go/layout.go", java, "bindings/csharp/Native.cs", "include/udi/layout.hpp"):
    fingerprints[path] = "".join(found(path, r'"([0-9a-f]{64})"'))
bad += [f"{place}: fingerprint {value}, not {fingerprint}"
        for place, value in fingerprints.items() if value != fingerprint]
if bad:
    sys.exit("\n".join(bad) + "\nRun bindings/generate and commit the result, or mend the place by hand.")
print(f"fingerprint {fingerprint[:12]} in {len(fingerprints)} places")
