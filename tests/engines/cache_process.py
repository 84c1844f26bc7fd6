"""A process that wants the plan of a model: MODEL [--slow S] [--write-limit BYTES]; says what it did.

--slow makes TensorRT wait at each of its steps, so that a real build of a small network takes long enough to disturb.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]

from cloudypoints_ros.engines.ready import plan_ahead  # noqa: E402
from cloudypoints_ros.model_files import load_card  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--write-limit", type=int)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if args.write_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (args.write_limit, args.write_limit))

    def progress(phase: str, part: float) -> None:
        print(f"step {part:.3f}", flush=True)
        time.sleep(args.slow)

    got = plan_ahead("tensorrt_rtx", args.model, load_card(args.model), "89", progress)
    print(f"plan of {len(got.plan.data)} bytes; built because: {got.why or 'not built'}", flush=True)


if __name__ == "__main__":
    main()
