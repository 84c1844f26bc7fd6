"""Built TensorRT plans on disk: ``NAME.plan`` and ``NAME.json`` beside it, which says what the plan was built from.

A plan is only ever taken whole: the sidecar, written last, holds its sha256. Who builds holds a lock that the kernel
takes away from a process that dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from cloudypoints_ros.engines.cache_key import CacheKey
from cloudypoints_ros.engines.plans import Plan
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing

LOCK_TIMEOUT_S = 3600.0  # a large network takes a Jetson more than half an hour
_POLL_S = 0.1
_VERSION = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A cached plan, without its bytes. ``model`` is the name in its card."""

    path: Path
    model: str
    key: CacheKey
    precision: str
    size: int
    sha256: str
    seconds: float
    built: str


@dataclass(frozen=True)
class Cached:
    """``why`` says why the plan was built just now; "" when it was at hand."""

    plan: Plan
    why: str = ""


def cache_root() -> Path:
    """``$CLOUDYPOINTS_CACHE``, else ``cloudypoints`` under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    chosen = os.environ.get("CLOUDYPOINTS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification has relative paths ignored.
    return (Path(cache) if cache.startswith("/") else Path("~/.cache").expanduser()) / "cloudypoints"


def engines_folder() -> Path:
    return cache_root() / "engines"


def timing_path(key: CacheKey) -> Path:
    """Where measurements of kernels are kept: they hold for one GPU and one version."""
    parts = f"{key.backend} {key.tensorrt} {key.gpu} sm{key.sm}"
    return engines_folder() / "timing" / f"{''.join(c if c.isalnum() or c == '.' else '_' for c in parts)}.bin"


def find(key: CacheKey) -> Plan | None:
    """The plan of a key when it is at hand, whole and the one that was written."""
    return _load(engines_folder() / f"{key.name}.json", key)[0]


def cached(key: CacheKey, model: str, build: Callable[[], Plan], lock_timeout_s: float = LOCK_TIMEOUT_S) -> Cached:
    """The plan of a key, built when there is none.

    ``model`` is the name in the card. Of several processes that ask at once one builds and the others wait for it.
    Where the cache cannot be written the plan is only in memory, which is logged. What ``build`` raises passes through
    and nothing is kept.
    """
    folder = engines_folder()
    sidecar = folder / f"{key.name}.json"
    plan, why = _load(sidecar, key)
    if plan is not None:
        return Cached(plan)
    with _locked(folder / f".{key.name}.lock", model, lock_timeout_s):
        plan, _ = _load(sidecar, key)  # another process may have built it meanwhile
        if plan is not None:
            return Cached(plan)
        why = why or _what_changed(key, model)
        _log.info("Building the %s engine of %s: %s", key.backend, model, why)
        start = time.monotonic()
        plan = build()
        _store(sidecar, key, model, plan, time.monotonic() - start)
    return Cached(plan, why)


def entries() -> list[Entry]:
    """What the cache holds, by model and date; broken sidecars are left out."""
    found = []
    for sidecar in engines_folder().glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            entry = _read(sidecar)
            if entry.path.is_file():
                found.append(entry)
    return sorted(found, key=lambda each: (each.model, each.built))


def remove(entry: Entry) -> None:
    """Delete a plan. The lock stays: another process may be waiting on it."""
    try:
        for path in (entry.path.with_suffix(".json"), entry.path):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise CloudyPointsError(f"{entry.path} cannot be removed ({error.strerror}); remove it by hand.") from error


def _read(sidecar: Path) -> Entry:
    data = json.loads(sidecar.read_text(encoding="utf-8"))
    if data["version"] != _VERSION:
        raise ValueError(f"version {data['version']}")
    return Entry(
        sidecar.with_suffix(".plan"),
        str(data["model"]),
        CacheKey.from_dict(data["key"]),
        str(data["precision"]),
        int(data["size"]),
        str(data["sha256"]),
        float(data["seconds"]),
        str(data["built"]),
    )


def _load(sidecar: Path, key: CacheKey) -> tuple[Plan | None, str]:
    """The plan, or why there is something but no plan; "" when there is nothing."""
    try:
        entry = _read(sidecar)
        data = entry.path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except (OSError, ValueError, TypeError, KeyError) as error:
        return None, f"the cached one cannot be read ({type(error).__name__}: {error})"
    if entry.key != key:
        return None, "the cached one was built from something else: " + ", ".join(key.changes(entry.key))
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        return None, f"the cached one is damaged ({len(data)} bytes, {entry.size} were written)"
    return Plan(data, entry.precision), ""


def _store(sidecar: Path, key: CacheKey, model: str, plan: Plan, seconds: float) -> None:
    record = {
        "version": _VERSION,
        "model": model,
        "key": key.to_dict(),
        "precision": plan.precision,
        "size": len(plan.data),
        "sha256": hashlib.sha256(plan.data).hexdigest(),
        "seconds": round(seconds, 1),
        "built": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    try:
        for left in sidecar.parent.glob(f".{key.name}.*.part*"):  # by a build that was killed
            left.unlink(missing_ok=True)
        with replacing(sidecar.with_suffix(".plan")) as temporary:
            temporary.write_bytes(plan.data)
        with replacing(sidecar) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except (CloudyPointsError, OSError) as error:
        _log.warning("The engine works but is not kept, so that the next start builds it again: %s", error)


def _what_changed(key: CacheKey, model: str) -> str:
    """The least difference from an engine of the same model and backend."""
    known = [each for each in entries() if each.model == model and each.key.backend == key.backend]
    if not known:
        return "there is none yet"
    changes = [key.changes(each.key) for each in known]
    least = min(changes, key=len)
    return ", ".join(least)


@contextmanager
def _locked(path: Path, model: str, timeout_s: float) -> Iterator[None]:
    """Alone among processes; without a lock where the folder cannot be written, since nothing is shared there then."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        _log.debug("no lock: %s", error)
        yield
        return
    with file:
        deadline = time.monotonic() + timeout_s
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pass
            if time.monotonic() > deadline:
                raise CloudyPointsError(
                    f"Another process has been building the engine of {model} for {timeout_s:.0f} s (lock {path}); end "
                    "it, or use another engine."
                )
            if not told:
                told = True
                _log.info("Waiting for another process that builds the engine of %s", model)
            time.sleep(_POLL_S)
        yield
