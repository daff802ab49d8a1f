"""Builds and runs the programs of docs/embedding.md as printed there, and compares what they print with the page.

Usage: embedding.py SOURCE_FOLDER install BUILD_FOLDER LIBDIR PREFIX    the commands of the section Install
       embedding.py SOURCE_FOLDER run BUILD_FOLDER LIBDIR PREFIX SECTION
       embedding.py SOURCE_FOLDER names                                 are the files that the page names there?

A section's ```sh block is run in an empty folder that has the page's programs in it: the blocks whose first line is a
comment with a file's name. It must print the section's ```text block, or else that at the top. Numbers with decimals may be
off by 0.0002: processors round differently. Only these words are replaced: /opt/libudi, /path/to/libudi, and "build" in
`cmake --install build`. Exit status 77: a tool or a file that the section's commands name is not there.
"""
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(?:#|//|/\*) ([\w/]+\.\w+|Makefile)(?: \*/)?\n")
NUMBER = re.compile(r"-?\d+\.\d+")


def sections(page):
    """{title: [(kind, text)]}; what stands before the first title has the title ""."""
    parts = re.split(r"^## (.*)\n", page, flags=re.MULTILINE)
    found = {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}
    return {title: BLOCK.findall(text) for title, text in found.items()}


def programs(blocks):
    """{file name: text} of every block that begins with its name."""
    named = {}
    for _, text in blocks:
        found = NAMED.match(text)
        if found:
            if named.setdefault(found[1], text) != text:
                sys.exit(f"the page has two different {found[1]}")
    return named


def one(blocks, kind, title):
    texts = [text for found, text in blocks if found == kind]
    if len(texts) != 1:
        sys.exit(f"section {title!r} has {len(texts)} blocks of {kind}, must have 1")
    return texts[0]


def missing(commands, path):
    """The first tool or file that the commands name and that is not there, or None. path: as PATH."""
    for line in commands.replace("\\\n", "").splitlines():
        words = [word for word in shlex.split(line) if not re.match(r"\w+=", word)]
        for word in words[:1] + re.findall(r"\$\((\S+)", line):
            if "/" not in word and word != "export" and not shutil.which(word, path=path):
                return word
        for file in re.findall(r"/usr/share/[\w/.-]+", line):
            if not pathlib.Path(file).exists():
                return file
    return None


def same(found, wanted):
    """Equal, but for the last decimals."""
    if NUMBER.sub("#", found) != NUMBER.sub("#", wanted):
        return False
    return all(abs(float(one) - float(other)) <= 2e-4 for one, other in zip(NUMBER.findall(found), NUMBER.findall(wanted)))


def environment(build, prefix, work):
    """What the languages' tools keep lies in the folder of the test or of the build; they ask nobody."""
    header = pathlib.Path(prefix, "include/udi.h")
    made_for = hashlib.sha256(prefix.encode() + (header.read_bytes() if header.exists() else b"")).hexdigest()[:16]
    values = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "PYTHONPATH", "GOFLAGS")}
    return values | {"PATH": f"{build}/python/bin:{os.environ['PATH']}", "OMP_WAIT_POLICY": "passive",
                     "CARGO_HOME": f"{work}/.cargo", "CARGO_NET_OFFLINE": "true", "GOPATH": f"{work}/.go",
                     "GOCACHE": f"{build}/go", "GOPROXY": "off", "GOTOOLCHAIN": "local", "LC_ALL": "C.UTF-8",
                     "CGO_CFLAGS": f"-O2 -DUDI_BUILT_FOR=0x{made_for}"}  # Go does not see what else changed of C


def prepare(source, build):
    """The environment that the tests of the Python binding share, with the wheel installed."""
    done = subprocess.run([source / "tests/bindings/python/prepare", source, build])
    if done.returncode:
        sys.exit(done.returncode)


def run(source, build, libdir, prefix, title):
    page = (source / "docs/embedding.md").read_text()

    def placed(text):
        text = text.replace("/opt/libudi/lib", f"{prefix}/{libdir}").replace("/opt/libudi", prefix)
        return text.replace("/path/to/libudi", str(source)).replace("--install build", f"--install {build}")

    found = sections(page)
    commands, setup = one(found[title], "sh", title), one(found["Install"], "sh", "Install")
    if title == "Install":
        commands = placed(commands)
    else:
        commands = placed("".join(re.findall(r"^export .*\n", setup, re.MULTILINE)) + commands)
        if title == "Python":
            prepare(source, build)
        lacking = missing(commands, environment(build, prefix, "")["PATH"])
        if lacking:
            print(f"SKIPPED: {title}: no {lacking}")
            sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        for name, text in programs(block for blocks in found.values() for block in blocks).items():
            path = pathlib.Path(work, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(placed(text))
        print(commands)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], cwd=source if title == "Install" else work,
                              env=environment(build, prefix, work), stdout=subprocess.PIPE, text=True)
        subprocess.run(["chmod", "-R", "u+w", work])  # Go's files cannot be removed otherwise
    print(done.stdout)
    if done.returncode:
        sys.exit(f"{title}: exit status {done.returncode}")
    if title != "Install":
        texts = [text for kind, text in found[title] if kind == "text"] or [one(found[""], "text", "")]
        last = "\n".join(done.stdout.splitlines()[-texts[0].count("\n"):]) + "\n"  # tools speak, too
        if not same(last, texts[0]):
            sys.exit(f"{title}: the page says\n{texts[0]}")


def names(source):
    """Links lead somewhere, and the tests that are named exist."""
    text = (source / "docs/embedding.md").read_text()
    table = text[text.index("## What to know"):]
    links = [source / "docs" / link for link in re.findall(r"\]\(([^)#]+)\)", text)]
    paths = [source / path for path in re.findall(r"\b(?:tests|scripts)/[\w/.]*\w", table)]
    gone = [str(path) for path in links + paths if not path.exists()]
    tests = re.findall(r"\b\w+_test\.c(?:pp)?\b", table)
    gone += [name for name in tests if not any((source / "tests").rglob(name))]
    if gone or len(links) < 5 or len(paths) < 10 or len(tests) < 10:
        sys.exit(f"docs/embedding.md names what is not there: {', '.join(gone)}")
    print(f"{len(links)} links, {len(paths)} paths and {len(tests)} tests are there")


def main():
    source = pathlib.Path(sys.argv[1]).resolve()
    if sys.argv[2] == "names":
        names(source)
        return
    mode, build, libdir, prefix = sys.argv[2:6]
    if mode == "install":
        shutil.rmtree(prefix, ignore_errors=True)
    run(source, build, libdir, prefix, "Install" if mode == "install" else sys.argv[6])


main()
