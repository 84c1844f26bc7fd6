"""Looking at something from a child process: a library that aborts, crashes or hangs ends only the child."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# The child's own way of writing its answer among whatever a library prints.
_MARK = "cloudypoints doctor: "


@dataclass(frozen=True)
class Answer:
    """What a child told, by name; ``failure`` says how it ended when that was not well, else ""."""

    told: dict[str, Any]
    failure: str = ""


def ask(module: str, *arguments: str, timeout_s: float = 120.0) -> Answer:
    """Run ``module``'s main(arguments) in a child that imports from where this process does."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main({list(arguments)!r})"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
        return Answer(_told(output.decode(errors="replace")), f"no answer within {timeout_s:g} s")
    except OSError as error:
        return Answer({}, f"{sys.executable} cannot be started: {error}")
    return Answer(_told(done.stdout), _ending(done.returncode, done.stderr))


def tell(**values: Any) -> None:
    """In the child: add to the answer. What was told survives a crash that comes later."""
    print(_MARK + json.dumps(values), flush=True)


def reason(error: BaseException) -> str:
    """The first line of an error, with its type where that says more."""
    text = next(iter(str(error).splitlines()), "")
    return text if text and isinstance(error, ImportError) else f"{type(error).__name__}: {text}"


def attempt(action: Callable[[], None]) -> None:
    """In the child: tell ``error`` (and ``missing``, the package) when ``action`` raises."""
    try:
        action()
    except ImportError as error:
        tell(error=reason(error), missing=error.name or "")
    except Exception as error:  # whatever a foreign library raises is what we came to see
        tell(error=reason(error))


def _told(output: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for line in output.splitlines():
        if line.startswith(_MARK):
            told.update(json.loads(line[len(_MARK) :]))
    return told


def _ending(code: int, stderr: str) -> str:
    if code == 0:
        return ""
    last = next((line.strip() for line in reversed(stderr.splitlines()) if line.strip()), "")
    how = f"it ended with exit code {code}"
    if code < 0:
        try:
            how = f"it was ended by {signal.Signals(-code).name}"
        except ValueError:
            how = f"it was ended by signal {-code}"
    return f"{how}: {last}" if last else how
