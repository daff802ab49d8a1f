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


def member(name, enumeration):
    """UDI_TOKEN_CLS of udi_token -> CLS, UDI_LOG_WARN of udi_log_level -> WARN, UDI_E_STATE of udi_status -> STATE"""
    first_word = enumeration["type"].removeprefix("udi_").split("_")[0].upper()
    return re.sub(rf"^(E|{first_word})_", "", name.removeprefix("UDI_"))


def public(struct):
    return [field for field in struct["fields"]
            if field["name"] not in ("struct_size", "reserved") and field["kind"] in ("scalar", "string")]


def is_result(struct, api):
    """What libudi fills in: a result of a function or what a callback is told, as long as it holds no memory."""
    filled = [parameter for function in api["functions"] for parameter in function["parameters"]
              if parameter["direction"] == "inout"]
    filled += [parameter for callback in api["callbacks"] for parameter in callback["parameters"]]
    return ("init" not in struct and any(parameter["of"] == struct["name"] for parameter in filled)
            and all(field["kind"] in ("scalar", "string") for field in struct["fields"]))
