"""One measurement is one process: what it is, and what it cost beside what it says."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Contender:
    name: str
    command: list
    environment: dict = field(default_factory=dict)
    slow: bool = False  # once, after all rows: what takes minutes to compile
    missing: str = ""  # why it cannot be measured here; it stays in the table


@dataclass
class Row:
    name: str  # also the key in the results
    title: str
    cores: int  # the processes are bound to this many
    contenders: list


def busy_seconds():
    """Processor seconds that the whole machine has spent working since it started."""
    user, nice, system, _, _, irq, softirq = (int(v) for v in Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def bound_to(cores):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def sample(row, contender, number, seconds=None):
    """Runs the contender once, for at most `seconds`. -> its JSON, with what the run cost and what else the machine did
    meanwhile; "failed" and no result where it did not work out"""
    threads = {name: str(row.cores) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    environment = os.environ | threads | contender.environment
    command = [*contender.command, "--seed", str(number)]
    entry = {
        "row": row.name,
        "contender": contender.name,
        "round": number,
        "command": [part.replace(str(ROOT) + "/", "") for part in command],
    }
    begin, busy = time.monotonic(), busy_seconds()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors, bound_to(row.cores):
        stop = ["timeout", "--kill-after=5", str(int(seconds))] if seconds else []
        process = subprocess.Popen([*stop, *command], stdout=out, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        lines = out.read().decode().strip().splitlines()
        said = errors.read().decode(errors="replace").strip()
    wall, own = time.monotonic() - begin, usage.ru_utime + usage.ru_stime
    entry["process_seconds"] = wall
    if process.returncode != 0 or not lines:
        print(f"bench/run: exit {process.returncode} of: {' '.join(command)}\n{said[-2000:]}", file=sys.stderr)
        late = process.returncode in (124, 137) and seconds
        why = f"stopped after {int(seconds)} s" if late else f"exit {process.returncode}: {said.splitlines()[-1:]}"
        return entry | {"failed": why[:300]}
    return entry | {
        "result": json.loads(lines[-1]),
        "process_peak_bytes": usage.ru_maxrss * 1024,
        "busy_cores_of_others": max(0.0, busy_seconds() - busy - own) / wall,
    }
