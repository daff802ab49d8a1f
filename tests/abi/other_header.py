"""Writes udi.h as another release could have it: other_header.py SOURCE_FOLDER older|newer OUT

older   every configuration and result lacks its last field, and as many more as keep it free of padding
newer   every struct but udi_error has two fields more, later_a and later_b
"""
import pathlib
import re
import sys

source, kind, out = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
sys.path.insert(0, str(source / "abi"))
import abi as dumps  # noqa: E402
from header import without_comments  # noqa: E402  (scripts/, by way of abi.py)

HEADER = source / "include" / "udi.h"
GROWS = re.compile(r"udi_\w+_(config|stats|info)|udi_progress")  # udi_array and udi_image are of no use without their last
STRUCT = re.compile(r"typedef struct (udi_\w+) \{(.*?)\n\} \1;", re.DOTALL)


def wide(field):
    return 8 if "*" in field.type or re.match(r"u?int64_t|double|udi_\w+_fn", field.type) else 4


def kept(struct):
    """How many fields the older struct has."""
    count = len(struct.fields) - 1
    while struct.fields[count].offset % max(map(wide, struct.fields[:count])):
        count -= 1
    return count


def older(name, body):
    if not GROWS.fullmatch(name):
        return body
    fields = [part for line in re.findall(r"[^;]+;", body) for part in line_of(line)]
    return "".join(fields[:kept(abi.structs[name])])


def line_of(declaration):
    """`int32_t rank, world;` as two declarations."""
    type, names = re.fullmatch(r"\s*((?:const )?\w+ )(.*);", declaration, re.DOTALL).groups()
    return [f"\n  {type}{name.strip()};" for name in names.split(",")]


def newer(name, body):
    return body if name == "udi_error" else body + "\n  int32_t later_a, later_b;"


abi = dumps.Abi(dumps.dump(HEADER))
change = {"older": older, "newer": newer}[kind]
text = STRUCT.sub(lambda match: f"typedef struct {match[1]} {{{change(match[1], match[2])}\n}} {match[1]};",
                  without_comments(HEADER.read_text()))
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(text)
