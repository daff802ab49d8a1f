"""One LibTorch in the process: that of the installed torch package, whichever of torch and udi is imported first."""
from __future__ import annotations

import ctypes
import importlib.util
import os
from pathlib import Path

LIBRARY = "libtorch_cpu.so"


def open_torch() -> None:
    """Loads torch's library, not torch, unless the process has one. libudi takes the one that it finds in the process; if
    there is no torch package, it looks beside itself."""
    try:
        ctypes.CDLL(LIBRARY, mode=os.RTLD_LAZY | os.RTLD_NOLOAD)
    except OSError:
        spec = importlib.util.find_spec("torch")
        for folder in (spec and spec.submodule_search_locations) or []:
            path = Path(folder, "lib", LIBRARY)
            if path.exists():
                ctypes.CDLL(str(path), mode=os.RTLD_LAZY)
                return
