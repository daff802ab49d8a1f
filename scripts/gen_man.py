#!/usr/bin/env python3
"""Writes the man pages: gen_man.py UDI SCHEMA HEADER OUT_FOLDER

man1/udi.1.gz and a man1/udi-COMMAND.1.gz each from what --help is made from (commands.py), man3/udi.h.3.gz from the comments
of the header.
"""
import datetime
import gzip
import os
import sys
from pathlib import Path

import commands
import header_page
import roff


def usage(option):
    """roff for "--batch-size INT", "--no-json", "-q, --quiet", "PATH"."""
    if option.positional:
        return roff.italic(option.name.upper())
    flags = ", ".join(roff.bold(flag) for flag in reversed(option.flags[1:] if option.short else []))
    flags = (flags + ", " if flags else "") + roff.bold(option.flags[0])
    if option.type == "bool":
        flags += ", " + roff.bold(option.flags[1])
    value = " " + roff.italic(option.value) if option.takes_value else ""
    return flags + value + (" ..." if option.type == "list" else "")


def shown(value):
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def details(option):
    """What follows the help text: words, range, default."""
    facts = []
    if option.choices and not all(choice in option.help for choice in option.choices):
        facts.append("One of " + ", ".join(option.choices) + ".")
    if option.minimum is not None or option.maximum is not None:
        low = "" if option.minimum is None else f" from {option.minimum}"
        high = "" if option.maximum is None else f" up to {option.maximum}"
        facts.append(f"Range:{low}{high}.")
    if option.required:
        facts.append("Required.")
    elif option.default is not None:
        facts.append(f"Default: {shown(option.default)}.")
    return " ".join(facts)


def option_entry(option):
    return roff.tagged(usage(option), option.help.rstrip(".") + ". " + details(option))


def exit_status(statuses):
    return [*roff.section("Exit status"),
            *(line for number, meaning in statuses for line in roff.tagged(roff.bold(number), meaning + "."))]


def tool_page(all_commands, general, statuses, head):
    lines = [*head("udi", 1), *roff.section("Name"), "udi \\- pretrain vision transformers with UDI, and use them",
             *roff.section("Synopsis"), ".B udi", ".I COMMAND", ".RI [ OPTIONS ]", ".PP", ".B udi", ".B \\-\\-version",
             *roff.section("Description")]
    lines += roff.text(
        "udi runs UDI (Unsqueeze [CLS] Bottleneck to Learn Rich Representations, ECCV 2024): it trains a vision transformer "
        "on images without labels, turns images into features, evaluates, and converts weights. Results go to standard "
        "output, progress and messages to standard error.")
    lines += roff.section("Commands")
    for command in all_commands:
        lines += roff.tagged(f".BR udi\\-{roff.escape(command.name)} (1)", command.summary)
    lines += roff.section("Options of every command")
    for option in general:
        lines += option_entry(option)
    lines += exit_status(statuses)
    lines += [*roff.section("Examples"), "Pretrain on a folder of photographs; after Ctrl\\-C the same command goes on:"]
    lines += roff.example(["udi pretrain --data photos/ --out run/"])
    lines += roff.paragraph("Features of images, and how well they tell classes apart:")
    lines += roff.example(["udi extract --model run/checkpoint.safetensors --data photos/ --out features.npy",
                           "udi knn --model run/checkpoint.safetensors --train train/ --test test/"])
    return lines + roff.see_also([*(f"udi-{command.name}(1)" for command in all_commands), "udi.h(3)"])


def command_page(command, general, statuses, head):
    name = roff.escape(f"udi-{command.name}")
    summary = command.summary.rstrip(".")
    lines = [*head(f"udi-{command.name}", 1), *roff.section("Name"),
             f"{name} \\- {roff.escape(summary[0].lower() + summary[1:])}", *roff.section("Synopsis"),
             f".B udi {roff.escape(command.name)}"]
    lines += [usage(option) for option in command.options if option.required]
    lines += [".RI [ OPTIONS ]", *roff.section("Description")]
    lines += roff.text(command.summary + " Each option is also a key of the file that --config names, with _ instead of -.")
    lines += roff.section("Options")
    for group in dict.fromkeys(option.group for option in command.options):
        lines += roff.subsection(group)
        for option in command.options:
            if option.group == group:
                lines += option_entry(option)
    lines += roff.subsection("General")
    for option in general:
        lines += option_entry(option)
    return lines + exit_status(statuses) + roff.see_also(["udi(1)"])


def write(out, name, section, lines):
    path = Path(out) / f"man{section}" / f"{name}.{section}.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(roff.source(lines).encode(), mtime=0))


def main(tool, schema, header, out):
    written = os.environ.get("SOURCE_DATE_EPOCH") or max(os.path.getmtime(path) for path in (schema, header))
    date = datetime.datetime.fromtimestamp(float(written), datetime.timezone.utc).date()
    version = commands.read_version(tool)

    def head(name, section):
        return roff.title(name, section, date, version)

    all_commands = commands.read_commands(schema)
    general = commands.read_general(tool, all_commands[0].name)
    statuses = commands.read_exit_status(tool)
    write(out, "udi", 1, tool_page(all_commands, general, statuses, head))
    for command in all_commands:
        write(out, f"udi-{command.name}", 1, command_page(command, general, statuses, head))
    write(out, "udi.h", 3, header_page.page(Path(header).read_text(encoding="utf-8"), head("udi.h", 3)))


if __name__ == "__main__":
    main(*sys.argv[1:])
