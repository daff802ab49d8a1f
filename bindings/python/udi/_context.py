"""Contexts, their log, and jobs."""
from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from typing import Any

from udi import _dlpack
from udi._call import Handle, ask, call, documented, new_out, text
from udi._configs import ContextConfig
from udi._header import DeviceType, LogLevel, Progress
from udi._torch import open_torch
from udi._udi import ffi, lib

_LOGGING = {LogLevel.ERROR: logging.ERROR, LogLevel.WARN: logging.WARNING, LogLevel.INFO: logging.INFO,
            LogLevel.DEBUG: logging.DEBUG}
_logger = logging.getLogger("udi")


def _to_logging(level: LogLevel, message: str) -> None:
    _logger.log(_LOGGING[level], "%s", message)


class _Log:
    """What a context's log_user points at. May be called on any thread."""

    def __init__(self, log: Callable[[LogLevel, str], object]) -> None:
        self.log = log


@ffi.def_extern(name="udi_python_log")  # type: ignore[untyped-decorator]
def _log(user: Any, level: int, message: Any) -> None:
    ffi.from_handle(user).log(LogLevel(level), text(message))


class _Watch:
    """A running job's progress function, and what it raised."""

    def __init__(self, progress: Callable[[Progress], object]) -> None:
        self.progress = progress
        self.raised: BaseException | None = None


@ffi.def_extern(name="udi_python_progress", error=1)  # type: ignore[untyped-decorator]
def _progress(user: Any, now: Any) -> int:
    watch = ffi.from_handle(user)
    try:
        watch.progress(Progress(now.done, now.total, now.images_per_second, now.eta_seconds, now.loss, text(now.stage)))
        return 0
    except BaseException as raised:  # passed on by run()
        watch.raised = raised
        return 1


def _device(device: str) -> tuple[str, int]:
    kind, _, index = device.partition(":")
    if index and not index.isdecimal():
        raise ValueError(f"no device is called {device!r}; say cpu, cuda or cuda:1")
    return kind, int(index or 0)


class Context(Handle):
    """A device, a log, limits: where everything else lives. One thread at a time; contexts work in parallel.

    device: "cpu", "cuda" or "cuda:1".
    log: called with (LogLevel, str) for every line, maybe on a thread of libudi's; None: the logger "udi" of logging.
    fields: of ContextConfig.
    """

    @documented("udi_context_create")
    def __init__(self, device: str = "cpu", *, log: Callable[[LogLevel, str], object] | None = None, **fields: Any) -> None:
        open_torch()
        kind, index = _device(device)
        config = ContextConfig(device_type=kind, device_index=index, **fields)
        user = ffi.new_handle(_Log(log or _to_logging))
        config._cdata.log, config._cdata.log_user = lib.udi_python_log, user
        owner = new_out("udi_context", user)
        call("udi_context_create", config, owner)
        super().__init__(owner, owner)

    @documented("udi_context_cancel")
    def cancel(self) -> None:
        """For other threads. Ctrl-C needs no help: it cancels the running call and raises KeyboardInterrupt."""
        ask("udi_context_cancel", self)

    @documented("udi_context_clear_cancel")
    def clear_cancel(self) -> None:
        ask("udi_context_clear_cancel", self)

    @documented("udi_context_set_stream")
    def set_stream(self, stream: int) -> None:
        """stream: a cudaStream_t as a number, such as torch.cuda.current_stream().cuda_stream."""
        call("udi_context_set_stream", self, ffi.cast("void *", stream))
        _dlpack.streams[self._lane] = stream

    @documented("udi_job_run")
    def run(self, job: str, progress: Callable[[Progress], object] | None = None, **options: Any) -> dict[str, Any]:
        """Runs a whole job: run("knn", model="checkpoint.safetensors", train="train/", test="test/")["top1"].

        progress: called now and then with a Progress; what it raises ends the job and is raised from here.
        options: of the job, as `udi JOB --help` and schema() list them.
        """
        result = ffi.gc(ffi.new("char **"), lambda out: lib.udi_string_free(out[0]))
        watch = _Watch(progress) if progress else None
        user = ffi.new_handle(watch) if watch else None
        try:
            call("udi_job_run", self, job, json.dumps(options, default=os.fspath),
                 lib.udi_python_progress if watch else None, user, result)
        finally:
            if watch and watch.raised:
                raise watch.raised from None
        return dict(json.loads(text(result[0])))


def run(job: str, progress: Callable[[Progress], object] | None = None, *, device: str = "cpu",
        **options: Any) -> dict[str, Any]:
    """Context.run in a context of its own."""
    with Context(device) as context:
        return context.run(job, progress, **options)


@documented("udi_job_schema")
def schema() -> dict[str, Any]:
    """Every job and its options."""
    return dict(json.loads(text(ask("udi_job_schema"))))


def to_bar(bar: Any) -> Callable[[Progress], None]:
    """A progress function that moves a tqdm bar: run("pretrain", to_bar(tqdm()), ...)."""

    def move(now: Progress) -> None:
        if bar.desc != f"{now.stage}: " or bar.total != now.total:
            bar.reset(now.total)
            bar.set_description(now.stage, refresh=False)
        if now.loss == now.loss:
            bar.set_postfix(loss=f"{now.loss:.4f}", refresh=False)
        bar.update(now.done - bar.n)

    return move
