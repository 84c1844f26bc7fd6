"""These tests need torch, which the environment of training has and that of the runtime has not."""

from __future__ import annotations

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]
