#!/usr/bin/env python3
"""The binary interface of libudi as it was released, and whether today's still serves programs built for it.

abi.py check [--header udi.h] [--library libudi.so]
    compares include/udi.h, and the library if one is given, with every abi/*.abi of the same soname
abi.py update
    writes abi/VERSION.abi and abi/VERSION.h, VERSION being the header's: the last act of a release, and needed before
    it only when something was changed that no release has yet
abi.py dump [--header udi.h]
    prints the dump

A dump is libabigail's XML of a library that defines every function of the header and nothing else, so it depends on the
header and abi/libudi.map alone. It needs Debian's abigail-tools and a C compiler ($CC, or cc).
"""
import argparse
import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
HEADER = HERE.parent / "include" / "udi.h"
NEITHER_PLACE_NOR_MACHINE = "--no-show-locs", "--no-architecture"
sys.dont_write_bytecode = True  # the sources may be read-only
sys.path.insert(0, str(HERE.parent / "scripts"))
import header as text_of_header  # noqa: E402


def run(*command, fine=(0,), **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode not in fine:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def with_all(functions):
    """The version script, and what it lacks of the functions (tests/c/symbols.py is who says that it must not)."""
    script = (HERE / "libudi.map").read_text()
    missing = [name for _, name, _ in functions if not re.search(rf"\b{name};", script)]
    return script + (f"UDI_LATER {{ global: {'; '.join(missing)}; }};\n" if missing else "")


def dump(header):
    """The dump of a header, as text."""
    text = pathlib.Path(header).read_text()
    functions = text_of_header.functions(text)
    definitions = [f"{result} {name}({parameters}) {{}}\n" for result, name, parameters in functions]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "udi.h").write_text(text)
        (folder / "stub.map").write_text(with_all(functions))
        (folder / "stub.c").write_text('#include "udi.h"\n' + "".join(definitions))
        soname = f"libudi.so.{text_of_header.constant(text, 'UDI_ABI_VERSION')}"
        run(os.environ.get("CC", "cc"), "-std=c11", "-w", "-g", "-fno-eliminate-unused-debug-types", "-shared", "-fPIC",
            f"-Wl,-soname,{soname},--version-script=stub.map", "-o", "stub.so", "stub.c", cwd=folder)
        return run("abidw", "--load-all-types", "--header-file", "udi.h", "--drop-private-types", "--type-id-style", "hash",
                   *NEITHER_PLACE_NOR_MACHINE, "--no-write-default-sizes", "--no-corpus-path", "--no-comp-dir-path",
                   "stub.so", cwd=folder).stdout


@dataclasses.dataclass
class Field:
    name: str
    type: str
    offset: int  # in bytes, like size
    size: int


@dataclasses.dataclass
class Struct:
    size: int
    fields: list


class Abi:
    """A dump, read: structs, constants, functions and callbacks by name; the latter are (result, [(type, name), ...])."""

    def __init__(self, text):
        root = xml.fromstring(text)
        self.soname = root.get("soname")
        self.nodes = {node.get("id"): node for node in root.iter() if node.get("id")}
        self.structs = {node.get("name"): Struct(int(node.get("size-in-bits")) // 8, [
            Field(field[0].get("name"), self.type(field[0].get("type-id")), int(field.get("layout-offset-in-bits")) // 8,
                  self.size(field[0].get("type-id"))) for field in node.findall("data-member")])
            for node in root.iter("class-decl") if node.get("size-in-bits") and not node.get("name").startswith("__")}
        self.enums = [(None if node.get("is-anonymous") else node.get("name"),
                       {item.get("name"): int(item.get("value")) for item in node.findall("enumerator")})
                      for node in root.iter("enum-decl")]
        self.constants = {name: value for _, values in self.enums for name, value in values.items()}
        self.functions = {node.get("name"): self.signature(node) for node in root.iter("function-decl")}
        self.callbacks = {node.get("name"): self.signature(target) for node in root.iter("typedef-decl")
                          if (target := self.pointed(node)) is not None and target.tag == "function-type"}

    def pointed(self, typedef):
        pointer = self.nodes[typedef.get("type-id")]
        return self.nodes[pointer.get("type-id")] if pointer.tag == "pointer-type-def" else None

    def signature(self, node):
        parameters = [(self.type(p.get("type-id")), p.get("name")) for p in node.findall("parameter")]
        return self.type(node.find("return").get("type-id")), parameters

    def type(self, key):
        """A type as C writes it, more or less: const udi_array *, float [16]."""
        node = self.nodes[key]
        if node.tag == "pointer-type-def":
            return self.type(node.get("type-id")) + " *"
        if node.tag == "qualified-type-def":
            inner = self.type(node.get("type-id"))
            return inner + "const" if inner.endswith("*") else "const " + inner
        if node.tag == "array-type-def":
            return self.type(node.get("type-id")) + "".join(f" [{part.get('length')}]" for part in node.findall("subrange"))
        if node.tag == "function-type":
            result, parameters = self.signature(node)
            return f"{result} ({', '.join(type for type, _ in parameters)})"
        return node.get("name")

    def size(self, key):
        node = self.nodes[key]
        if node.tag == "pointer-type-def":
            return 8
        return int(node.get("size-in-bits")) // 8 if node.get("size-in-bits") else self.size(node.get("type-id"))

    def underlying(self, name):
        """int for udi_status: what a name of a typedef stands for in the end."""
        for node in self.nodes.values():
            if node.tag == "typedef-decl" and node.get("name") == name:
                return self.underlying(self.type(node.get("type-id")))
        return name


def broken(old, new):
    """What a program built for `old` would miss in `new`, as lines: what abidiff does not look at. It has no eye for
    constants and callbacks, and the suppression takes on trust that the fields of old are the first of new, as they were."""
    for name, struct in old.structs.items():
        now = new.structs.get(name)
        if now is None:
            yield f"struct {name} is gone"
            continue
        for field, other in zip(struct.fields, now.fields + [None] * len(struct.fields)):
            if field != other:
                yield f"struct {name}: {field} became {other}"
        if now.size < struct.size:
            yield f"struct {name} shrank from {struct.size} to {now.size} bytes"
    for name, signature in old.callbacks.items():
        if new.callbacks.get(name) != signature:
            yield f"{name} was {signature}, is {new.callbacks.get(name)}"
    for name, value in old.constants.items():
        if new.constants.get(name) != value:
            yield f"{name} was {value}, is {new.constants.get(name)}"


def compare(old, new):
    """abidiff's report, empty where all is well. Any exit code but 0 counts: it calls a struct's growth and a deleted
    member by the same number."""
    options = [*NEITHER_PLACE_NOR_MACHINE, "--no-added-syms", "--no-default-suppression", "--fail-no-debug-info", "--harmless"]
    done = subprocess.run(["abidiff", *options, "--suppressions", HERE / "suppressions.ini", old, new],
                          capture_output=True, text=True)
    return "" if done.returncode == 0 else f"abidiff, exit code {done.returncode}:\n{done.stdout}{done.stderr}"


def check(header, library=None, releases=HERE):
    """What is wrong, as lines. releases: the folder of the dumps."""
    text = dump(header)
    new = Abi(text)
    compared = 0
    with tempfile.NamedTemporaryFile("w", suffix=".abi") as now:
        now.write(text)
        now.flush()
        for release in sorted(releases.glob("*.abi")):
            old = Abi(release.read_text())
            if old.soname != new.soname:
                continue
            compared += 1
            found = list(broken(old, new)) + [compare(release, now.name)]
            if library:
                found.append(compare(release, library))
            yield from (f"{release.name}: {line}" for line in found if line)
    if not compared:
        yield f"abi/ has no dump of {new.soname}: abi/abi.py update"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "update", "dump"])
    parser.add_argument("--header", type=pathlib.Path, default=HEADER)
    parser.add_argument("--library", type=pathlib.Path)
    given = parser.parse_args()
    if given.command == "dump":
        print(dump(given.header), end="")
    elif given.command == "update":
        text = given.header.read_text()
        version = ".".join(str(text_of_header.constant(text, f"UDI_VERSION_{part}")) for part in ("MAJOR", "MINOR", "PATCH"))
        (HERE / f"{version}.abi").write_text(dump(given.header))
        (HERE / f"{version}.h").write_text(text)
    else:
        found = list(check(given.header, given.library))
        if found:
            sys.exit("\n".join(found) + "\nPrograms built for that release would break: docs/abi.md says what may change. "
                     "What no release has yet may be changed at will: abi/abi.py update")
        print("no difference that an older program could see")


if __name__ == "__main__":
    main()
