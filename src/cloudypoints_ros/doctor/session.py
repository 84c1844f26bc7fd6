"""The checks in their order, each line printed as soon as it is known."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from cloudypoints_ros.doctor import cameras, machine, model, ros
from cloudypoints_ros.doctor.child import reason
from cloudypoints_ros.doctor.finding import PROBLEM, Finding, exit_code, summary, to_json
from cloudypoints_ros.errors import CloudyPointsError

WATCH_S = 3.0

Check = Callable[[argparse.Namespace], Iterator[Finding]]

CHECKS: dict[str, Check] = {
    "python": lambda args: machine.python(),
    "cpu": lambda args: machine.processor(),
    "libraries": lambda args: machine.libraries(),
    "gpu": lambda args: machine.gpu(),
    "model": lambda args: model.model(args.model),
    "ros": lambda args: ros.ros(),
    "dds": lambda args: ros.profile(),
    "network": lambda args: ros.network(),
    "log": lambda args: ros.log_directory(),
    "memory": lambda args: ros.shared_memory(),
    "cameras": lambda args: cameras.live(args.watch, args.camera),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(CHECKS)
    parser.add_argument(
        "checks", nargs="*", choices=[[], *CHECKS], metavar="CHECK", help=f"only these (default: all): {names}"
    )
    parser.add_argument(
        "--model", type=Path, metavar="ONNX", help="a path, or a name in the library (default: the embedded one)"
    )
    parser.add_argument("--camera", metavar="TOPIC", help="only this image topic, which must be there (default: all)")
    parser.add_argument(
        "--watch", type=float, default=WATCH_S, metavar="SECONDS", help="how long topics are listened to (default: 3)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def main(args: argparse.Namespace) -> int:
    """Run the checks; 1 when something is a problem, 0 otherwise."""
    if not 0 < args.watch <= 3600:
        raise CloudyPointsError(f"--watch is {args.watch:g} seconds; give a number above 0 and at most 3600.")
    findings = []
    for finding in examine(args):
        findings.append(finding)
        if not args.json:
            print(finding.line(), flush=True)
    print(to_json(findings) if args.json else summary(findings))
    return exit_code(findings)


def examine(args: argparse.Namespace) -> Iterator[Finding]:
    """The findings of the checks asked for; a check that fails itself is one too."""
    for name in [name for name in CHECKS if name in args.checks or not args.checks]:
        try:
            yield from CHECKS[name](args)
        except Exception as error:  # the doctor has to get to the end
            remedy = "please report this line as a bug of cloudypoints doctor"
            yield Finding(name, PROBLEM, f"the check itself failed ({reason(error)})", remedy)
