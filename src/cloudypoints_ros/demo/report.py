"""What the demo found out, as numbers and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudypoints_ros.demo.topics import DEPTH_TOPIC, FRAME_ID, IMAGE_TOPIC, POINTS_TOPIC
from cloudypoints_ros.stats import STAGES

if TYPE_CHECKING:
    from rich.console import Console

WAYS = {IMAGE_TOPIC: "image", DEPTH_TOPIC: "depth", POINTS_TOPIC: "points"}


@dataclass(frozen=True)
class Summary:
    """One run. ``frames_in`` were published by the camera, ``published`` came back as depth, the rest dropped.

    ``delays_ms`` (stamp to received, by topic) and ``stages_ms`` (inside the node) hold n, p50, p95, p99.
    ``truth`` holds frames, pixels, the ratios abs_rel, abs_rel_scaled and missing, and the floor constant_m, constant,
    constant_scaled; or is None.
    """

    source: str
    rate_hz: float
    frames_in: int
    published: int
    delays_ms: dict[str, dict[str, float]]
    stages_ms: dict[str, dict[str, float]]
    node_counts: dict[str, int]
    truth: dict[str, float] | None
    bag: Path
    bag_bytes: int
    picture: Path | None

    @property
    def dropped(self) -> int:
        return self.frames_in - self.published

    @property
    def dropped_because(self) -> str:
        """Where dropped frames went, in words; empty when none was dropped."""
        if not self.dropped:
            return ""
        displaced, failed = self.node_counts.get("dropped", 0), self.node_counts.get("failed", 0)
        unmatched = self.node_counts.get("idle", 0) + self.node_counts.get("waiting", 0)
        lost = self.dropped - displaced - failed - unmatched
        reasons = [
            f"{n} {what}"
            for n, what in (
                (displaced, "displaced by a newer frame"),
                (failed, "failed in the node"),
                (unmatched, "before everybody was connected"),
                (lost, "lost on the way"),
            )
            if n > 0
        ]
        return ", ".join(reasons)


def print_report(summary: Summary, console: Console) -> None:
    """The tables, where the results lie and how to look at them."""
    from rich.table import Table

    frames = Table(title="Frames", title_justify="left", title_style="bold")
    frames.add_column("")
    frames.add_column("frames", justify="right")
    frames.add_column("")
    frames.add_row("in", str(summary.frames_in), f"from {summary.source} at {summary.rate_hz:g} Hz")
    frames.add_row("published", str(summary.published), "as depth, and received")
    frames.add_row("dropped", str(summary.dropped), summary.dropped_because)
    console.print(frames)

    times = Table(title="Milliseconds", title_justify="left", title_style="bold")
    times.add_column("")
    for heading in ("p50", "p95", "p99", "frames"):
        times.add_column(heading, justify="right")
    for topic, name in WAYS.items():
        _time_row(times, f"stamp to received: {name}", summary.delays_ms.get(topic, {}))
    times.add_section()
    for stage, name in STAGES.items():
        _time_row(times, f"node: {name}", summary.stages_ms.get(stage, {}))
    console.print(times)

    if summary.truth is not None:
        console.print(_accuracy(summary.truth))
    else:
        console.print("No measured depth came with the source, so nothing is compared.")

    console.print(f"\nBag      {summary.bag}  ({summary.bag_bytes / 1e6:.1f} MB)", highlight=False, soft_wrap=True)
    if summary.picture is not None:
        console.print(f"Picture  {summary.picture}", highlight=False, soft_wrap=True)
    else:
        console.print("Picture  none: no frame came through whole.")
    console.print(how_to_look(summary.bag), highlight=False, soft_wrap=True, markup=False)


def how_to_look(bag: Path) -> str:
    """How to open the bag in RViz, Rerun and Foxglove."""
    mcap = bag / f"{bag.name}_0.mcap"
    return (
        "\nTo look at it\n"
        f"  RViz      ros2 bag play --loop {bag}   and in a second terminal   rviz2 -f {FRAME_ID}\n"
        f"            add by topic: {POINTS_TOPIC} (PointCloud2), {DEPTH_TOPIC} (Image)\n"
        f"  Rerun     pip install rerun-sdk   then   rerun {mcap}\n"
        f"  Foxglove  open {mcap} as a local file; a 3D panel shows {POINTS_TOPIC}"
    )


def _accuracy(truth: dict[str, float]) -> Any:
    from rich.table import Table

    table = Table(title="Against the true depth, 1 to 80 m", title_justify="left", title_style="bold")
    for heading in ("", "raw", "median-scaled", "frames", "pixels"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row(
        "AbsRel",
        f"{truth['abs_rel']:.3f}",
        f"{truth['abs_rel_scaled']:.3f}",
        f"{truth['frames']:.0f}",
        f"{truth['pixels']:,.0f}",
    )
    table.add_row(
        f"the best constant ({truth['constant_m']:.0f} m)",
        f"{truth['constant']:.3f}",
        f"{truth['constant_scaled']:.3f}",
        f"{truth['frames']:.0f}",
        f"{truth['pixels']:,.0f}",
    )
    if truth["missing"] >= 0.0005:
        table.caption = f"{truth['missing']:.1%} of the measured pixels had no estimate and are not in it."
    return table


def _time_row(table: Any, name: str, times: dict[str, float]) -> None:
    if times.get("n"):
        table.add_row(name, *(f"{times[p]:.1f}" for p in ("p50", "p95", "p99")), f"{times['n']:.0f}")
