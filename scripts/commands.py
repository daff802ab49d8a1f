"""The commands of `udi` and their options, as --help shows them: what man pages and shell completions are made from.

A command's own options come from src/jobs/schema.json, which also gives the ranges that --help leaves out. What every
command has besides (--config, --json, ...) and the exit status are the tool's, so they are read from what it prints.
"""
import json
import re
import subprocess
from dataclasses import dataclass, field


@dataclass
class Option:
    name: str  # as in JSON: batch_size; of a general option: config
    type: str  # int, float, bool, string, path, enum, list; of a general option without a value: switch
    help: str
    group: str
    choices: list = field(default_factory=list)
    item: str = ""  # of a list
    default: object = None
    minimum: object = None
    maximum: object = None
    required: bool = False
    positional: bool = False
    needs: str = ""
    short: str = ""  # -q
    value: str = ""  # what stands for the value in the usage

    @property
    def flags(self):
        """Every way to write it, the usual one first."""
        if self.positional:
            return []
        flag = "--" + self.name.replace("_", "-")
        return [flag] + (["--no-" + flag[2:]] if self.type == "bool" else []) + ([self.short] if self.short else [])

    @property
    def takes_value(self):
        return self.type not in ("bool", "switch")

    @property
    def takes_path(self):
        return self.type == "path" or self.item == "path"


@dataclass
class Command:
    name: str
    summary: str
    options: list  # its own, positionals and required ones first


def _placeholder(entry):
    if entry["type"] == "enum" or entry.get("choices"):
        return "WORD"
    return (entry.get("item") or entry["type"]).upper()


def _option(entry, positionals):
    known = {key: entry[key] for key in ("name", "type", "help", "group", "default")}
    for key in ("choices", "item", "minimum", "maximum", "required", "needs"):
        if key in entry:
            known[key] = entry[key]
    return Option(**known, value=_placeholder(entry), positional=entry["name"] in positionals)


def read_commands(schema_path):
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    commands = []
    for job in schema["jobs"]:
        options = {}
        for entries in [schema["sets"][name] for name in job["sets"]] + [job["options"]]:
            options.update((entry["name"], _option(entry, job["positionals"])) for entry in entries)
        ordered = sorted(options.values(), key=lambda option: (not option.required, not option.positional))
        commands.append(Command(job["name"], job["summary"], ordered))
    return commands


def _help(tool, *words):
    return subprocess.run([tool, *words, "--help"], check=True, capture_output=True, text=True).stdout


def read_general(tool, command):
    """The options that every command has, from the last section of `udi COMMAND --help`."""
    section = re.search(r"^General:\n((?:  .*\n)+)", _help(tool, command), re.MULTILINE)[1]
    options = []
    for usage, text in re.findall(r"^  (-.*?)(?:  +|\n +)(\S.*(?:\n {10,}.*)*)", section, re.MULTILINE):
        short, name, value = re.fullmatch(r"(?:(-\w),)?--([\w-]+)(?: (\w+))?", usage).groups(default="")
        kind = {"": "switch", "FILE": "path"}.get(value, "string")
        options.append(Option(name, kind, " ".join(text.split()), "General", short=short, value=value))
    if [option.name for option in options][-1] != "help":
        raise SystemExit(f"udi {command} --help: its General section is not understood")
    return options


def read_exit_status(tool):
    """(number, meaning) of each exit status, from the last line of `udi --help`."""
    return re.findall(r"(\d+) ([^,.]+)", re.search(r"^Exit status: (.*)$", _help(tool), re.MULTILINE)[1])


def read_version(tool):
    return subprocess.run([tool, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
