"""udi.h(3): the header's comments as text, its declarations as they stand, in its own order."""
import re
import textwrap

import roff

SECTION = re.compile(r"^/\* ---- (.+?) -+ \*/$", re.MULTILINE)
COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
CODE_WIDTH = 68  # what a terminal of 80 columns shows behind the indentation


def _words(comment):
    return " ".join(re.sub(r"^[ \t]*\*", "", comment, flags=re.MULTILINE).split())


def _list(line):
    """`type name(a, b);`, `enum { A, B };` or `type a, b;` in lines that fit, broken behind commas."""
    if len(line) <= CODE_WIDTH:
        return [line]
    head, items = re.fullmatch(r"(.*?\)?\(|enum \{ |\s*\w+ )(.*)", line).groups()
    lines = [head]
    for item in re.split(r"(?<=,) ", items):
        if len(lines[-1]) + 1 + len(item) > CODE_WIDTH and lines[-1] != head:
            lines.append(" " * min(len(head), 30))
        lines[-1] += item if lines[-1].endswith((" ", "(")) else " " + item
    return lines


def _comment(words, indent):
    """`/* words */` in lines that fit."""
    lines = textwrap.wrap(words, CODE_WIDTH - 3, initial_indent=indent + "/* ", subsequent_indent=indent + " * ")
    return [*lines[:-1], lines[-1] + " */"]


def _code(text):
    """Declarations in lines that fit: a long comment behind a field goes above it."""
    text = re.sub(r"\b(UDI_API|UDI_CHECK) ", "", text)
    text = re.sub(r",\n {20,}", ", ", text)
    text = re.sub(r"[ \t]*\n[ \t]*\*(?!/)", "", text)  # a comment of several lines in one
    lines = []
    for line in text.rstrip().splitlines():
        behind = re.fullmatch(r"(\s*)(.*?)\s*/\*(.*)\*/", line)
        if behind and len(line) > CODE_WIDTH:
            indent, code, words = behind.groups()
            lines += _comment(words.strip(), indent) + (_list(indent + code) if code else [])
        else:
            lines += _list(line)
    return lines


def _introduction(comment):
    """The comment at the top: a summary, then "Word   text" entries."""
    summary, entries = comment.split("\n *\n", 1)
    words = _words(summary).partition(" - ")[2]
    lines = roff.text(words[0].upper() + words[1:])
    for part in entries.split("\n *\n"):
        if not re.match(r"^ \* [A-Z]\w+ {2,}", part):
            lines += roff.paragraph(_words(part))
            continue
        for name, text in re.findall(r"^ \* ([A-Z]\w+) {2,}(.*(?:\n \* {3,}.*)*)", part, re.MULTILINE):
            lines += roff.tagged(roff.bold(name), _words(text))
    return lines


def _chunk(text):
    """Declarations and what the comment above them says."""
    above = COMMENT.match(text)
    code = _code(text[above.end():].strip("\n") if above else text)
    return roff.example(code) + (roff.paragraph(_words(above[1])) if above else [])


def page(header, head):
    top = COMMENT.match(header)
    lines = [*head, *roff.section("Name"), "udi.h \\- the C interface of libudi",
             *roff.section("Synopsis"), ".nf", ".B #include <udi.h>", ".PP",
             ".B cc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs libudi)", ".fi",
             *roff.section("Description"), *_introduction(top[1])]
    parts = SECTION.split(header)
    for name, body in zip(parts[1::2], parts[2::2]):
        body = re.sub(r"^#(ifdef|endif|if).*\n(?:}\n)?", "", body, flags=re.MULTILINE)
        lines += roff.section(name)
        for chunk in re.split(r"\n\n+|\n(?=/\*|UDI_API )", body.strip("\n")):
            lines += _chunk(chunk)
    return lines + roff.see_also(["udi(1)", "pkg-config(1)"])
