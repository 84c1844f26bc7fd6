"""Checks and times on an NVIDIA GPU all that this machine has packages for; a table on stdout, files in -o.

    python bench/gpu/run.py [-o bench/results] [--only PART ...]
    python bench/gpu/run.py --dry -o FOLDER        # on a CPU, tiny sizes: does the bench itself work?

Every part is a process of its own; what is missing or fails is reported as "not measured" and the rest goes on.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "src"), str(HERE)]  # runs from a checkout in which nothing is installed

# Module -> the most seconds it may take.
PARTS = {"ceilings": 180, "conversions": 300, "engines": 600, "frames": 600, "training": 1800}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, help="folder of the results; bench/results without")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--dry", action="store_true", help="tiny sizes on a CPU; needs -o")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    results = ROOT / "bench" / "results"
    if args.dry and not args.part and (args.out is None or args.out.resolve() == results):
        parser.error("--dry gives no results: name a folder with -o, not bench/results")
    from measuring import Bench, Row

    bench = Bench(args.dry)
    if args.part:
        rows = importlib.import_module(args.part).rows(bench)
        args.out.write_text(json.dumps([row.record() for row in rows]), encoding="utf-8")
        return 0
    import torch

    if not args.dry and not torch.cuda.is_available():
        print(f"PyTorch {torch.__version__} sees no NVIDIA GPU; run this on one, or --dry -o FOLDER.", file=sys.stderr)
        return 2
    import report

    about = report.machine(bench)
    rows: list[Row] = []
    for part in args.only:
        print(f"{part} ...", file=sys.stderr, flush=True)
        rows += measured(part, bench)
        path = report.write(about, rows, args.out or results)  # what there is so far
    print(report.markdown(about, rows))
    print(path, file=sys.stderr)
    return 0


def measured(part: str, bench: object) -> list[object]:
    """The rows of a part; one that says why there are none when its process fails."""
    from measuring import Bench, Row, missing

    assert isinstance(bench, Bench)
    with tempfile.TemporaryDirectory(prefix="cloudypoints_bench_") as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, str(HERE / "run.py"), "--part", part, "-o", str(out), *(["--dry"] * bench.dry)]
        try:
            done = subprocess.run(command, stderr=subprocess.PIPE, stdout=sys.stderr, text=True, timeout=PARTS[part])
        except subprocess.TimeoutExpired:
            return [missing(part, "all of it", f"not done after {PARTS[part]} s")]
        if done.returncode or not out.is_file():
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return [missing(part, "all of it", said[-1])]
        return [Row(**record) for record in json.loads(out.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
