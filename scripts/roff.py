"""The little of man(7) that the man pages use: text, tagged paragraphs, examples. Plain strings in, roff lines out."""
import re
import textwrap

WIDTH = 78


def escape(text):
    """Text that roff prints as it is: copied commands work, so hyphens and quotes stay ASCII."""
    for plain, roff in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti")):
        text = text.replace(plain, roff)
    return text


def _safe(line):
    return "\\&" + line if line.startswith((".", "'")) else line


def text(words):
    """A paragraph's lines, broken so that no source line is long."""
    return [_safe(line) for line in textwrap.wrap(escape(" ".join(words.split())), WIDTH, break_on_hyphens=False,
                                                  break_long_words=False)]


def title(name, section, date, version):
    return [f'.TH {name.upper()} {section} {date} "udi {version}" "udi manual"', ".nr HY 0", ".nh"]


def section(name):
    return [f'.SH "{escape(name.upper())}"']


def subsection(name):
    return [f'.SS "{escape(name)}"']


def paragraph(words):
    return [".PP", *text(words)]


def tagged(tag, words):
    return [".TP", tag, *text(words)]


def bold(words):
    return f"\\fB{escape(words)}\\fR"


def italic(words):
    return f"\\fI{escape(words)}\\fR"


def example(lines):
    """Lines as they are."""
    return [".PP", ".in +4n", ".EX", *(_safe(escape(line)) for line in lines), ".EE", ".in"]


def see_also(pages):
    """pages: "udi(1)", ..."""
    names = [re.fullmatch(r"(.+)(\(\w+\))", page).groups() for page in pages]
    entries = [f".BR {escape(name)} {number}" for name, number in names]
    return [*section("See also"), *(entry + " ," for entry in entries[:-1]), entries[-1]]


def source(lines):
    """The page. A heading is followed by its text without the macro that starts a paragraph."""
    kept = [line for above, line in zip([""] + lines, lines) if not (line == ".PP" and above.startswith((".SH", ".SS")))]
    return "\n".join(kept) + "\n"
