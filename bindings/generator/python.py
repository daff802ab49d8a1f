"""bindings/python/udi: _header.py (constants, results, layout, docs), _configs.py, and _udi.pyi, the raw layer's types."""
import keyword
import textwrap

from generator.description import NOTE
from generator.names import camel, is_result, member, public, wrapped

FOLDER = "bindings/python/udi"
TYPES = {"int32": "int", "uint32": "int", "int64": "int", "uint64": "int", "size": "int", "uint8": "int", "float": "float",
         "double": "float"}


def filled(line, items, end):
    """A line that lists items, broken between them alone."""
    text = line + ", ".join(item.replace(" ", "\0") for item in items) + end.replace(" ", "\0")
    return wrapped(text).replace("\0", " ")


# ---- Constants -------------------------------------------------------------------------------------------------------
def enumeration_class(enumeration):
    lines = [f"class {camel(enumeration['type'])}(IntEnum):"]
    if enumeration["doc"]:
        lines.append(f'    """{enumeration["doc"]}"""\n')
    for constant in enumeration["constants"]:
        comment = f"  # {constant['doc']}" if constant["doc"] else ""
        lines.append(f"    {member(constant['name'], enumeration)} = {constant['value']}{comment}")
    return "\n".join(lines) + "\n"


# ---- Structs ---------------------------------------------------------------------------------------------------------
def python_type(field, enumerations):
    if field["kind"] == "string":
        return "str"
    name = camel(field["of"]) if field["of"] in enumerations else TYPES[field["base"]]
    return f"tuple[{name}, ...]" if "count" in field else name


def docstring(struct, indent="    "):
    """The struct's comment, then every field with its own."""
    lines = [textwrap.fill(f"{field['name']}: {field['doc']}", 112, initial_indent=indent, subsequent_indent=indent + "    ",
                           break_on_hyphens=False) if field["doc"] else f"{indent}{field['name']}"
             for field in public(struct)]
    about = struct["doc"] or f"{struct['name']} of udi.h."
    top = textwrap.fill(about, 112, subsequent_indent=indent, break_on_hyphens=False)
    return f'{indent}"""{top}\n\n' + "\n".join(lines) + f'\n{indent}"""\n'


def result_class(struct, enumerations):
    fields = "".join(f"    {field['name']}: {python_type(field, enumerations)}\n" for field in public(struct))
    return f"class {camel(struct['name'])}(NamedTuple):\n{docstring(struct)}\n{fields}"


def config_class(struct, api, enumerations):
    init = next(function for function in api["functions"] if function["name"] == struct["init"])
    arguments = [parameter["name"] for parameter in init["parameters"] if parameter["kind"] == "string"]
    names, enums, annotations, keywords = [], [], [], []
    for field in public(struct):
        name, type = field["name"], python_type(field, enumerations)
        names.append(f'"{name}"')
        annotations.append(f"        {name}: {type}\n")
        accepted = "Sequence[float]" if "count" in field else f"{type} | str" if field["of"] in enumerations else type
        if field["kind"] == "string":
            accepted = "str | os.PathLike[str]"
        keywords.append(f"{name}: {accepted} = ...")
        if field["of"] in enumerations:
            enums.append(f'"{name}": {camel(field["of"])}')
    signature = ["self"] + [f"{name}: str" for name in arguments] + ["*"] + keywords
    return (f"class {camel(struct['name'])}(Config):\n{docstring(struct)}\n"
            + f"    _struct = \"{struct['name']}\"\n" + filled("    _fields = (", names, ")")
            + filled("    _enums = {", enums, "}") + f"    if TYPE_CHECKING:\n{''.join(annotations)}\n"
            + filled("        def __init__(", signature, ") -> None: ..."))


# ---- The raw layer ---------------------------------------------------------------------------------------------------
def raw_function(function):
    def type(found):
        return "None" if found["kind"] == "void" else TYPES.get(found.get("base"), "Any") if not found["pointers"] else "Any"
    parameters = [f"{parameter['name']}{'_' * keyword.iskeyword(parameter['name'])}: {type(parameter)}"
                  for parameter in function["parameters"]]
    return filled(f"    def {function['name']}(", ["self"] + parameters + ["/"] * bool(parameters),
                  f") -> {type(function['result'])}: ...")


def raw_types(api):
    constants = "".join(f"    {constant['name']}: int\n" for enumeration in api["enumerations"]
                        for constant in enumeration["constants"])
    about = "# cffi's module over udi.h: pointers and structs are its cdata."
    return (f"# {NOTE}\n{about}\nfrom typing import Any\n\nffi: Any\n\nclass _Lib:\n{constants}"
            + "".join(raw_function(function) for function in api["functions"])
            + "    def udi_python_guard_begin(self, guard: Any, context: Any, /) -> None: ...\n"
            + "    def udi_python_guard_end(self, guard: Any, /) -> int: ...\n"
            + "    def udi_python_capsule_destructor(self) -> Any: ...\n"
            + "    def udi_python_to_old(self, managed: Any, /) -> Any: ...\n"
            + "    def udi_python_delete(self, managed: Any, /) -> None: ...\n"
            + "    udi_python_log: Any\n    udi_python_progress: Any\n    udi_python_release: Any\n\nlib: _Lib\n")


def layout(struct):
    offsets = [f'"{field["name"]}": {field["offset"]}' for field in struct["fields"]]
    return filled(f'    "{struct["name"]}": ({struct["size"]}, {{', offsets, "}),")


def entry(function):
    doc = textwrap.wrap(function["doc"], 100, break_on_hyphens=False, replace_whitespace=True, drop_whitespace=True)
    lines = [line.replace("\\", "\\\\").replace('"', '\\"') for line in doc]
    text = "\n".join(f'        "{line}{" " if i + 1 < len(lines) else ""}"' for i, line in enumerate(lines))
    return f'    "{function["name"]}": (\n{text}\n    ),\n' if lines else ""


def files(api, root):
    enumerations = {enumeration["type"]: enumeration for enumeration in api["enumerations"] if enumeration["type"]}
    configs = [struct for struct in api["structs"] if "init" in struct]
    used = sorted({field["of"] for struct in configs for field in public(struct) if field["of"] in enumerations})
    header = [f'"""{NOTE}"""\nfrom enum import IntEnum\nfrom typing import NamedTuple\n\n'
              f'FINGERPRINT = "{api["fingerprint"]}"\nVERSION = {api["version_number"]}\nABI = {api["abi"]}\n\n'
              "# Struct: size, offsets of its fields.\n"
              f"LAYOUT = {{\n{''.join(layout(struct) for struct in api['structs'])}}}\n"]
    header += [enumeration_class(enumeration) for enumeration in enumerations.values()]
    header += [result_class(struct, enumerations) for struct in api["structs"] if is_result(struct, api)]
    header.append("# What udi.h says about its functions.\n"
                  f"DOCS = {{\n{''.join(entry(function) for function in api['functions'])}}}\n")
    top = (f'"""{NOTE}"""\nfrom __future__ import annotations\n\nimport os\nfrom collections.abc import Sequence\n'
           "from typing import TYPE_CHECKING\n\nfrom udi._config import Config\n"
           f"from udi._header import {', '.join(camel(name) for name in used)}\n")
    classes = [config_class(struct, api, enumerations) for struct in configs]
    return {f"{FOLDER}/_header.py": "\n\n".join(header), f"{FOLDER}/_configs.py": "\n\n".join([top] + classes),
            f"{FOLDER}/_udi.pyi": raw_types(api)}
