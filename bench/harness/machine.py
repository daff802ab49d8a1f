"""What a measurement ran on: the machine and the versions of what was measured."""

import json
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def output(*command):
    """What a command prints; "" where it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def describe(cores):
    info = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines())
    info = {key.strip(): value.strip() for key, value in info.items()}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile") if flag in info.get("flags", "")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "processor": f"{info.get('model name', '?')}, family {info.get('cpu family', '?')}, model {info.get('model', '?')}",
        "instructions": flags,
        "cores": cores,
        "memory_bytes": int(memory) * 1024,
        "kernel": platform.release().split("-")[0],
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "?"),
    }


def gpu():
    """What nvidia-smi says of the first GPU; empty without one."""
    names = ("name", "memory.total", "driver_version", "clocks.max.sm", "power.limit")
    try:
        said = output("nvidia-smi", "-i", "0", f"--query-gpu={','.join(names)}", "--format=csv,noheader")
    except subprocess.SubprocessError:
        return {}
    return dict(zip(names, said.split(", "))) if said else {}


def versions(python, udi):
    code = (
        "import json, importlib.metadata as m\n"
        "v = {}\n"
        "for name in ('torch', 'torchvision', 'pillow', 'numpy', 'triton', 'onnxruntime', 'openvino'):\n"
        "    try: v[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(v))"
    )
    found = json.loads(output(str(python), "-c", code))
    found["python"] = output(str(python), "--version").split()[-1]
    found["libudi"] = output(str(udi), "--version") if udi.exists() else "not measured"
    found["commit"] = output("git", "describe", "--always", "--dirty")
    return found
