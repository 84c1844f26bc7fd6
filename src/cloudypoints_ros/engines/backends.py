"""TensorRT and TensorRT for RTX: one API under two names, and what one of them has that the other lacks."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """``flags`` are builder flags that are set where the installed version has them.

    ``ahead_of_time``: builds for a compute capability that is not at hand. ``timing_cache``: measures kernels while it
    builds and can keep the measurements.
    """

    title: str
    module: str
    remedy: str
    ahead_of_time: bool = False
    timing_cache: bool = False
    flags: tuple[str, ...] = ()


BACKENDS = {
    "tensorrt": Backend(
        "TensorRT",
        "tensorrt",
        "install it with 'pip install tensorrt', which also needs NVIDIA's package index, or use NVIDIA's container or "
        "JetPack",
        timing_cache=True,
    ),
    "tensorrt_rtx": Backend(
        "TensorRT-RTX",
        "tensorrt_rtx",
        "install it with 'pip install tensorrt-rtx'",
        ahead_of_time=True,
        # Only an engine that allocates nothing by itself can be captured into a CUDA graph (release notes 1.2).
        flags=("REQUIRE_USER_ALLOCATION",),
    ),
}


@dataclass(frozen=True)
class Loaded:
    """An imported backend. TensorRT keeps the first logger that a process gives it, so there is one for all."""

    backend: Backend
    trt: Any
    logger: Any
    _errors: deque[str]

    @contextmanager
    def errors(self) -> Iterator[deque[str]]:
        """What TensorRT reports as errors within the block, shortened to what concerns a user."""
        self._errors.clear()
        yield self._errors

    def last_error(self) -> str:
        return self._errors[-1] if self._errors else "it gives no reason"


def backend_of(name: str) -> Backend:
    if name not in BACKENDS:
        raise CloudyPointsError(f"The backend '{name}' is not known; expected one of {', '.join(BACKENDS)}.")
    return BACKENDS[name]


@cache
def load(name: str) -> Loaded:
    """Import a backend; CloudyPointsError with the remedy where it is missing."""
    backend = backend_of(name)
    try:
        trt = import_module(backend.module)
    except (ImportError, OSError) as error:
        raise CloudyPointsError(f"{backend.title} cannot be imported ({error}); {backend.remedy}.") from error
    errors: deque[str] = deque(maxlen=50)
    return Loaded(backend, trt, _logger(trt, errors), errors)


def _logger(trt: Any, errors: deque[str]) -> Any:
    severity = trt.ILogger.Severity
    levels = {severity.INTERNAL_ERROR: logging.ERROR, severity.ERROR: logging.ERROR, severity.WARNING: logging.WARNING}

    class Forward(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity, logging.NOTSET)
            if level:
                # What goes wrong comes back as an exception; the raw text is for those who debug.
                _log.debug("%s", message)
            if level == logging.ERROR:
                errors.append(shortened(message))

    return Forward()


def shortened(message: str) -> str:
    """The words of a TensorRT error, without the places in its source."""
    text = message.splitlines()[0] if message else ""
    text = re.sub(r"^(\[\S*\]|\w+:[\w.:]*:) ", "", text)
    text = re.sub(r"^Assertion failed: .*?: ", "", text)
    text = re.sub(r"Error Code \d+: [^(]*\(", "", text)
    text = re.sub(r"\.? *\(?In \S+ at .*$", "", text)
    return text.strip().rstrip(").")
