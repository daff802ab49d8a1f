#!/usr/bin/env python3
"""Writes completions for bash, zsh and fish: gen_completions.py UDI SCHEMA OUT_FOLDER

They offer commands, flags, the words of an option that has a fixed set of them, and files where a path is meant. The
command is the first word: what comes later is a value, even if a command is called so (udi bench extract).
"""
import sys
import textwrap
from pathlib import Path

import commands

TOOL_FLAGS = {"--help": "what the commands are", "--version": "the library's version"}


def words_of(option):
    """The values that can be offered."""
    return ["cpu", "cuda"] if option.name == "device" else option.choices


def brief(text):
    return textwrap.shorten(text, 72, placeholder=" ...")


def quoted(text):
    """As one word of bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


# ---- bash ---------------------------------------------------------------------------------------------------------


def bash(all_commands, general):
    values, flags = [], []
    for command in all_commands:
        options = command.options + general
        names = sorted(flag for option in options for flag in option.flags if flag.startswith("--"))
        flags.append(f"    {command.name}) flags={quoted(' '.join(names))} ;;")
        for option in options:
            if not (option.takes_path or words_of(option)):
                continue
            kind = "files" if option.takes_path else f"words {quoted(' '.join(words_of(option)))}"
            for flag in option.flags or ["positional"]:
                values.append(f"    {command.name},{flag}) _udi_{kind} ;;")
    return f"""# Completion of udi for bash, made from its options.
_udi_words() {{
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word")
}}

_udi_files() {{
  mapfile -t COMPREPLY < <(compgen -f -- "$word")
  compopt -o filenames 2>/dev/null
  return 0
}}

_udi() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} flags=
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    _udi_words {quoted(' '.join([command.name for command in all_commands] + list(TOOL_FLAGS)))}
    return
  fi
  # bash makes a word of the = in --flag=value
  if [ "$word" = = ]; then
    word=
  elif [ "$before" = = ]; then
    before=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  case ${{COMP_WORDS[1]}} in
{chr(10).join(flags)}
  esac
  case $word in
    -*)
      _udi_words "$flags"
      return
      ;;
  esac
  case $before in -*) ;; *) before=positional ;; esac
  case ${{COMP_WORDS[1]}},$before in
{chr(10).join(values)}
  esac
}}
complete -F _udi udi
"""


# ---- zsh ----------------------------------------------------------------------------------------------------------


def zsh_text(text):
    for special in "\\[]:":
        text = text.replace(special, "\\" + special)
    return text


def zsh_option(option):
    action = ""
    if option.takes_value:
        offered = words_of(option)
        action = f":{option.value or option.name}:" + ("_files" if option.takes_path
                                                       else f"({' '.join(offered)})" if offered else " ")
    if option.positional:
        return [quoted(f":{zsh_text(option.name)}" + action[action.rindex(":"):])]
    repeat = "*" if option.type == "list" else ""
    return [quoted(f"{repeat}{flag}[{zsh_text(brief(option.help))}]{action}") for flag in option.flags]


def zsh(all_commands, general):
    cases = []
    for command in all_commands:
        specs = [spec for option in command.options + general for spec in zsh_option(option)]
        cases.append(f"    {command.name})\n      _arguments -S \\\n        " + " \\\n        ".join(specs) + "\n      ;;")
    described = "\n".join(f"    {quoted(zsh_text(command.name) + ':' + brief(command.summary))}"
                          for command in all_commands)
    tool = " ".join(quoted(f"(- *){flag}[{text}]") for flag, text in TOOL_FLAGS.items())
    return f"""#compdef udi
# Completion of udi for zsh, made from its options.
_udi() {{
  local curcontext=$curcontext state line
  local -a commands
  commands=(
{described}
  )
  _arguments -C {tool} '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument) _udi_command ;;
  esac
}}

_udi_command() {{
  case $words[1] in
{chr(10).join(cases)}
  esac
}}

_udi "$@"
"""


# ---- fish ---------------------------------------------------------------------------------------------------------


def fish_quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_option(option, condition):
    offered = " ".join(words_of(option))
    value = "" if not option.takes_value else " -r -F" if option.takes_path else " -x"
    value += f" -a {fish_quoted(offered)}" if offered else ""
    if option.positional:
        return [f"complete -c udi -n {condition}{value.replace(' -r', '').replace(' -x', ' -f')}"]
    lines = []
    for flag in option.flags:
        kind = "-l " + flag[2:] if flag.startswith("--") else "-s " + flag[1:]
        lines.append(f"complete -c udi -n {condition} {kind}{value} -d {fish_quoted(brief(option.help))}")
    return lines


def fish(all_commands, general):
    lines = ["# Completion of udi for fish, made from its options.",
             "function __udi_command", "    set -l given (commandline -opc)",
             "    test (count $given) -ge 2; and test $given[2] = $argv[1]", "end",
             "function __udi_no_command", "    test (count (commandline -opc)) -eq 1", "end", "complete -c udi -f"]
    lines += [f"complete -c udi -n __udi_no_command -l {flag[2:]} -d {fish_quoted(text)}"
              for flag, text in TOOL_FLAGS.items()]
    for command in all_commands:
        lines.append(f"complete -c udi -n __udi_no_command -a {command.name} -d {fish_quoted(brief(command.summary))}")
        condition = fish_quoted(f"__udi_command {command.name}")
        for option in command.options + general:
            lines += fish_option(option, condition)
    return "\n".join(lines) + "\n"


def main(tool, schema, out):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    all_commands = commands.read_commands(schema)
    general = commands.read_general(tool, all_commands[0].name)
    for name, shell in ("udi.bash", bash), ("_udi", zsh), ("udi.fish", fish):
        (out / name).write_text(shell(all_commands, general), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
