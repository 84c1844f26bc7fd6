"""How the inner loops of the scenes are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import options as numba_options

# Kernels neither make nor return arrays, so nothing need count the references to them. Numba counts at every call and
# every slice, atomically, which took a third of the time of drawing. A numba without this switch draws as well, slower.
_UNCOUNTED = {"_nrt": False} if hasattr(getattr(numba_options, "DefaultOptions", None), "_nrt") else {}


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` for a function that works in arrays it is given and returns none; options as of njit."""
    return njit(cache=True, nogil=True, **_UNCOUNTED, **options)  # type: ignore[no-any-return]
