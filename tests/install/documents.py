"""Man pages and completions as built, by the programs that will read them: documents.py TOOL UDI DOCUMENTS HEADER

TOOL is groff or mandoc (pages without a warning, and nothing of --help or the header missing in them), or bash, zsh or fish
(the completion is understood, offers what it should, and no flag of --help is missing). Not installed: skipped (77).
"""
import gzip
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def run(*words, text=None, **options):
    return subprocess.run([str(word) for word in words], input=text, capture_output=True, text=True, **options)


def expect(condition, *what):
    if not condition:
        raise SystemExit("documents: " + " ".join(map(str, what)))


def commands(udi):
    return re.findall(r"^  ([a-z]\S*)  ", run(udi, "--help", check=True).stdout.split("Options:")[0], re.MULTILINE)


def flags(udi, command):
    """Every flag that --help shows in its first column, --[no-]x as both."""
    found = set()
    for usage in re.findall(r"^  (-.*?)(?:  |$)", run(udi, command, "--help", check=True).stdout, re.MULTILINE):
        for word in re.findall(r"-[-\w\[\]]+", usage):
            found |= {word.replace("[no-]", ""), word.replace("[no-]", "no-")}
    expect(len(found) > 5, command, "--help shows", found)
    return found


# ---- Pages ----------------------------------------------------------------------------------------------------------


def pages(tool, udi, documents, header):
    check = {"groff": ["groff", "-man", "-ww", "-Tutf8", "-z"], "mandoc": ["mandoc", "-T", "lint", "-W", "warning"]}[tool]
    found = {path.name: gzip.decompress(path.read_bytes()).decode() for path in documents.glob("man?/*.gz")}
    wanted = {"udi.1.gz", "udi.h.3.gz"} | {f"udi-{command}.1.gz" for command in commands(udi)}
    expect(set(found) == wanted, "pages", sorted(set(found) ^ wanted))
    for name, page in found.items():
        result = run(*check, text=page)
        expect(result.returncode == 0 and not result.stdout + result.stderr, name, result.stdout, result.stderr)
    for command in commands(udi):
        page = found[f"udi-{command}.1.gz"].replace("\\-", "-")
        missing = [flag for flag in flags(udi, command) if f"\\fB{flag}\\fR" not in page]
        expect(not missing, command, "lacks", missing)
    for name in re.findall(r"\b(udi_\w+|UDI_[A-Z]\w+)\b", re.sub(r"^#.*", "", header.read_text(), flags=re.MULTILINE)):
        expect(name in found["udi.h.3.gz"] or name in ("UDI_API", "UDI_CHECK"), "udi.h.3 lacks", name)


# ---- Completions: each shell's own way to ask for them --------------------------------------------------------------


def ask_bash(script, words):
    line = " ".join(f"'{word}'" for word in words)
    return run("bash", "-uc", f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _udi; "
               'printf "%s\\n" "${COMPREPLY[@]}"', check=True, cwd=script.parent).stdout.split()


def ask_fish(script, words):
    lines = run("fish", "--no-config", "-c", f"source {script}; complete -C '{' '.join(words)}'", check=True,
                cwd=script.parent).stdout.splitlines()
    return [line.split("\t")[0] for line in lines]


def completion(shell, udi, documents):
    script = documents / {"bash": "udi.bash", "zsh": "_udi", "fish": "udi.fish"}[shell]
    result = run(shell, "-n", script)
    expect(result.returncode == 0 and not result.stderr, script, result.stderr)
    if shell == "zsh":  # its completion runs in a terminal alone
        text = script.read_text()
        for command in commands(udi):
            part = re.search(rf"^    {command}\)(.*?);;", text, re.MULTILINE | re.DOTALL)[1]
            missing = [flag for flag in flags(udi, command) if not re.search(rf"'\*?{flag}\[", part)]
            expect(not missing, command, "lacks", missing)
        return
    ask = {"bash": ask_bash, "fish": ask_fish}[shell]
    expect(set(commands(udi)) <= set(ask(script, ["udi", ""])), "commands:", ask(script, ["udi", ""]))
    for words, wanted in {
            ("udi", "ex"): {"extract"},
            ("udi", "extract", "--tok"): {"--token"},
            ("udi", "extract", "--token", ""): {"cls", "cls_plus", "both", "patch_mean", "patches"},
            ("udi", "pretrain", "--device", "c"): {"cpu", "cuda"},
            ("udi", "bench", "extract", "--imag"): {"--image-size"},
            ("udi", "bench", "st"): {"step"},
            ("udi", "inspect", "udi."): {"udi.bash", "udi.fish"},
            ("udi", "knn", "--config", "udi.f"): {"udi.fish"},
            ("udi", "knn", "--workers", ""): set()}.items():
        expect(set(ask(script, list(words))) == wanted, *words, "gives", ask(script, list(words)))
    for command in commands(udi):
        offered = set(ask(script, ["udi", command, "--"]))
        missing = {flag for flag in flags(udi, command) if flag.startswith("--")} - offered
        expect(not missing, command, "lacks", missing)


def main(tool, udi, documents, header):
    if not shutil.which(tool):
        print(f"{tool} is not installed: skipped")
        return 77
    if tool in ("groff", "mandoc"):
        pages(tool, udi, Path(documents), Path(header))
    else:
        with tempfile.TemporaryDirectory() as home:  # a shell's own files are not to matter
            shutil.copytree(documents, Path(home) / "documents")
            completion(tool, udi, Path(home) / "documents")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
