"""Compiled kernels that no longer fit their sources."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing


def drop_stale(folder: Path) -> None:
    """Delete numba's cache beside `folder`'s modules if any of them has changed since it was filled.

    numba looks only at the file of the function that is called; a kernel of another file that was compiled into it
    may have changed without its notice (https://numba.readthedocs.io/en/stable/developer/caching.html).
    """
    cache = folder / "__pycache__"
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(folder.glob("*.py")))).hexdigest()
    stamp = cache / "kernels.sha256"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    with suppress(OSError, CloudyPointsError):  # not writable: numba's cache is elsewhere, per user and installation
        for path in cache.glob("*.nb[ic]"):
            path.unlink(missing_ok=True)
        with replacing(stamp) as temporary:
            temporary.write_text(digest)
