"""How fast scenes are drawn: images per second, one process and two, median over styles.

    python bench/scenes.py [--size 320 160] [--count 12] [--source SRC ...]

Each SRC is a folder that holds `cloudypoints_training` (default: this checkout's src). Several are compared
side by side: their processes take turns style by style, so that whatever else the machine does slows all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

WORKER = """
import json, sys, time
from cloudypoints_training.scenes import HELD_OUT_STYLES, STYLES, draw
width, height = int(sys.argv[1]), int(sys.argv[2])
for style in STYLES:
    draw(0, width, height, style)
print(json.dumps({"styles": STYLES, "held_out": HELD_OUT_STYLES}), flush=True)
for line in sys.stdin:
    style, first, count = json.loads(line)
    start = time.perf_counter()
    for seed in range(first, first + count):
        draw(seed, width, height, None if style == "any" else style)
    print(time.perf_counter() - start, flush=True)
"""


class Worker:
    """A process that draws with the sources of one folder."""

    def __init__(self, source: Path, size: tuple[int, int]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(source)}
        command = [sys.executable, "-c", WORKER, str(size[0]), str(size[1])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.styles: list[str] = json.loads(self._answer())["styles"]

    def begin(self, style: str, first: int, count: int) -> None:
        assert self._process.stdin is not None
        print(json.dumps([style, first, count]), file=self._process.stdin, flush=True)

    def seconds(self) -> float:
        """Waits for what `begin` started."""
        return float(self._answer())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a drawing process ended early; its message stands above")
        return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=2, default=(320, 160))
    parser.add_argument("--count", type=int, default=12, help="images per style and process")
    parser.add_argument("--source", type=Path, nargs="+", default=[Path(__file__).parents[1] / "src"])
    arguments = parser.parse_args()
    count = arguments.count
    pairs = [[Worker(source, tuple(arguments.size)) for _ in range(2)] for source in arguments.source]
    alone: list[dict[str, float]] = [{} for _ in pairs]
    both: list[dict[str, float]] = [{} for _ in pairs]
    common = [style for style in pairs[0][0].styles if all(style in pair[0].styles for pair in pairs)]
    for style in (*common, "any"):
        for k, (first, second) in enumerate(pairs):
            first.begin(style, 0, count)
            alone[k][style] = count / first.seconds()
            first.begin(style, 0, count)
            second.begin(style, count, count)
            both[k][style] = 2 * count / max(first.seconds(), second.seconds())
    names = [str(source) for source in arguments.source]
    print(f"images/s at {arguments.size[0]}x{arguments.size[1]}, {count} images each, {os.cpu_count()} cores")
    print("| style | " + " | ".join(f"{name}: one | two processes" for name in names) + " |")
    print("|---|" + "---:|" * 2 * len(names))
    for style in (*common, "any"):
        print(
            f"| {style} | "
            + " | ".join(f"{a[style]:.1f} | {b[style]:.1f}" for a, b in zip(alone, both, strict=True))
            + " |"
        )
    medians = [(median(a[s] for s in common), median(b[s] for s in common)) for a, b in zip(alone, both, strict=True)]
    print("| median over styles | " + " | ".join(f"{one:.1f} | {two:.1f}" for one, two in medians) + " |")
    for pair in pairs:
        for worker in pair:
            worker.close()


if __name__ == "__main__":
    main()
