"""What the emitters share."""
import html
import re
import textwrap


def camel(name):
    """udi_model_config -> ModelConfig"""
    return "".join(part.capitalize() for part in name.removeprefix("udi_").split("_"))


def wrapped(line, width=120):
    """The line, and what does not fit on lines below it; broken after commas alone, where all these languages allow it."""
    indent = " " * (len(line) - len(line.lstrip()))
    glued = indent + re.sub(r"(?<!,) ", "\0", line.lstrip())
    lines = textwrap.fill(glued, width, subsequent_indent=indent + " " * 8, break_long_words=False, break_on_hyphens=False)
    return lines.replace("\0", " ") + "\n"


def constants(api):
    """(name, value, type) of every constant of every enumeration."""
    return [(constant["name"], constant["value"], enumeration["type"])
            for enumeration in api["enumerations"] for constant in enumeration["constants"]]


def markup(doc, indent, begin, mark, end, width=120):
    """The doc between tags, for compilers that read documentation out of comments; nothing for no doc."""
    if not doc:
        return ""
    text = f"{begin}{html.escape(doc, quote=False)}{end}".replace("\n\n", " ")
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=f"{indent}{mark} ",
                         break_long_words=False, break_on_hyphens=False) + "\n"
