"""include/udi.h as plain text: what the build (gen_forwarders.py) and bindings/generate both read, with Python alone.

The fingerprint names the interface. It is the SHA-256 of the declarations without comments, preprocessor and white space,
and of UDI_ABI_VERSION. It is compiled into libudi.so (udi_api_fingerprint) and into every binding. Two releases have the
same one if their headers declare the same; a comment or a version number does not change it.
"""
import hashlib
import re

DECLARATION = re.compile(r"^UDI_API (?:UDI_CHECK )?([\w ]+?[ *]+)(udi_\w+)\(([^;]*)\);", re.MULTILINE)


COMMENT = r"/\*(?:[^*]|\*(?!/))*\*/"


def without_comments(header):
    header = re.sub(rf"^[ \t]*{COMMENT}[ \t]*\n", "", header, flags=re.MULTILINE)  # lines of nothing else go as a whole
    return re.sub(COMMENT, "", header)


def functions(header):
    """(result type, name, parameters) of every function, line breaks removed."""
    plain = without_comments(header)
    found = [(result.strip(), name, " ".join(parameters.split()))
             for result, name, parameters in DECLARATION.findall(plain)]
    declared = len(re.findall(r"^UDI_API ", plain, re.MULTILINE))
    if len(found) != declared:
        raise SystemExit(f"udi.h: understood {len(found)} of {declared} declarations")
    return found


def constant(header, name):
    """The number that `#define name number` gives."""
    return int(re.search(rf"^#define {name} (\d+)", header, re.MULTILINE)[1])


def declarations(header):
    """The C that a compiler sees, without attributes and anything of the preprocessor: what cffi and LuaJIT can read."""
    plain = without_comments(header)
    plain = re.sub(r"^#ifdef __cplusplus\n.*?^#endif.*?\n", "", plain, flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"^#(?:.*\\\n)*.*\n", "", plain, flags=re.MULTILINE)
    plain = re.sub(r"\b(UDI_API|UDI_CHECK) ", "", plain)
    plain = re.sub(r",\n {20,}", ", ", plain)  # what continued a line of parameters
    lines = [line.rstrip() for line in plain.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def fingerprint(header):
    tokens = re.findall(r"\w+|[^\w\s]", declarations(header))
    text = f"abi {constant(header, 'UDI_ABI_VERSION')} " + " ".join(tokens)
    return hashlib.sha256(text.encode()).hexdigest()
