"""The rules that keep udi.h open to growth and to every language (docs/abi.md): rules.py SOURCE_FOLDER

The compiler's own word on padding is tests/c/header.sh's.
"""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(source / "abi"))
import abi as dumps  # noqa: E402

INTEGERS = {"int32_t", "uint32_t", "int64_t", "uint64_t"}
PLAIN = INTEGERS | {"float", "double"}
FROZEN = {"udi_error": 512}  # bytes; every other struct begins with struct_size and may grow


def plain_type(name):
    """Whether a value of the type is a number of fixed width or a pointer."""
    name = name.removeprefix("const ")
    if name.endswith("*") or name in abi.callbacks:
        return True
    return name in PLAIN or (name.startswith("udi_") and int32_name(name))


def int32_name(name):
    return any(node.tag == "typedef-decl" and node.get("name") == name and abi.type(node.get("type-id")) == "int32_t"
               for node in abi.nodes.values())


def about_structs():
    for name, struct in abi.structs.items():
        if not name.startswith("udi_"):
            yield f"struct {name} is not called udi_..."
        first = struct.fields[0]
        if name in FROZEN and struct.size != FROZEN[name]:
            yield f"{name} has {struct.size} bytes, must have {FROZEN[name]}"
        if name not in FROZEN and (first.name, first.type) != ("struct_size", "uint32_t"):
            yield f"{name} begins with {first.type} {first.name} instead of uint32_t struct_size"
        end = 0
        for field in struct.fields:
            if field.offset != end:
                yield f"{name}: {field.offset - end} bytes of padding before {field.name}"
            end = field.offset + field.size
            if not plain_type(re.sub(r"( \[\d+\])+$", "", field.type)) and not re.fullmatch(r"char \[\d+\]", field.type):
                yield f"{name}.{field.name} is of type {field.type}"
        if end != struct.size:
            yield f"{name}: {struct.size - end} bytes of padding at its end"


def about_functions():
    for name, (result, parameters) in abi.functions.items():
        types = [type for type, _ in parameters]
        names = [name for _, name in parameters]
        if not name.startswith("udi_"):
            yield f"{name} is not called udi_..."
        for type, parameter in parameters:
            if not plain_type(type) and type != "size_t":
                yield f"{name}: {parameter} is of type {type}"
            if re.fullmatch(r"(?!const ).*\* \*", type) and not re.match(r"out(_|$)", parameter):
                yield f"{name}: {parameter} gives something back and is not called out or out_..."
        if result not in ("void", "udi_status", "const char *") and result not in INTEGERS:
            yield f"{name} returns {result}"
        if (result == "udi_status") != (types[-1:] == ["udi_error *"]) or types[:-1].count("udi_error *"):
            yield f"{name} returns {result} and its last parameter is {types[-1:]}: a status and an error go together"
        if types[-1:] == ["udi_error *"] and names[-1] != "error":
            yield f"{name} calls its error {names[-1]}"
        if name.endswith("_free") and (result != "void" or len(parameters) != 1):
            yield f"{name} must take one handle and return nothing"
        if name.endswith("_init") and types[1:2] != ["size_t"]:
            yield f"{name} must take the caller's struct_size"
    for name, (result, parameters) in abi.callbacks.items():
        if parameters[0][0] != "void *":
            yield f"{name} must take the caller's own pointer first"
        if result not in ("void", "int32_t"):
            yield f"{name} returns {result}"


def about_constants():
    for name, values in abi.enums:
        if name:
            yield f"enum {name} has a name: a type of constants is an int32_t"
        for constant, value in values.items():
            if not constant.startswith("UDI_") or not -2**31 <= value < 2**31:
                yield f"constant {constant} = {value}"


def about_tests():
    """Every function that can fail with something given back has a row in the test that looks at it."""
    rows = re.findall(r'^    \{"(\w+)", ', (source / "tests" / "c" / "untouched_test.c").read_text(), re.MULTILINE)
    for name, (result, parameters) in abi.functions.items():
        given_back = [parameter for type, parameter in parameters[:-1]
                      if re.match(r"(?!const ).*\*", type) and (parameter.startswith("out") or parameter == "stats")]
        if result == "udi_status" and given_back and name not in rows:
            yield f"tests/c/untouched_test.c has no row for {name}"


def check(header):
    global abi
    abi = dumps.Abi(dumps.dump(header))
    return [*about_structs(), *about_functions(), *about_constants(), *about_tests()]


if __name__ == "__main__":
    found = check(source / "include" / "udi.h")
    print(f"{len(abi.functions)} functions, {len(abi.structs)} structs, {len(abi.constants)} constants")
    sys.exit("\n".join(found) if found else 0)
