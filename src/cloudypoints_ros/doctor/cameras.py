"""What the listener saw of cameras and depth nodes, and what that means. No ROS import here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cloudypoints_ros import dds
from cloudypoints_ros.doctor.child import ask
from cloudypoints_ros.doctor.finding import OK, PROBLEM, WARNING, Finding

# What a listener needs beyond its time: to start, to find the topics, to end.
SLACK_S = 60.0
# Images above this do not fit the shared memory that Fast DDS has by itself and travel in fragments.
LARGE_BYTES = 512 << 10
# So many camera_info say something about the images that should have come with them.
LOSS_MESSAGES = 5


@dataclass
class Publisher:
    """Who publishes a topic, and how."""

    node: str
    reliable: bool
    latched: bool

    @property
    def words(self) -> str:
        return f"{self.node} {'reliable' if self.reliable else 'best effort'}{', latched' if self.latched else ''}"


@dataclass
class Info:
    """The camera_info beside an image: who publishes it, what came, and why it cannot be used ("" when it can)."""

    topic: str
    publishers: list[Publisher] = field(default_factory=list)
    messages: int = 0
    width: int = 0
    height: int = 0
    problem: str = ""


@dataclass
class Seen:
    """An image topic. ``skipped`` says why nobody listened to it; rate in Hz, None below two images.

    ``encoding`` is the format of a compressed image; ``problem`` is why the first image cannot be read.
    """

    topic: str
    compressed: bool
    publishers: list[Publisher]
    info: Info
    skipped: str = ""
    messages: int = 0
    rate_hz: float | None = None
    width: int = 0
    height: int = 0
    encoding: str = ""
    bytes: int = 0
    depth: bool = False
    problem: str = ""

    @staticmethod
    def of(record: dict[str, Any]) -> Seen:
        """From JSON."""
        info = record["info"]
        return Seen(
            **{
                **record,
                "publishers": [Publisher(**each) for each in record["publishers"]],
                "info": Info(**{**info, "publishers": [Publisher(**each) for each in info["publishers"]]}),
            }
        )


def live(watch_s: float, camera: str | None) -> Iterator[Finding]:
    """Listen in a child for ``watch_s`` seconds and judge what came."""
    answer = ask("cloudypoints_ros.doctor.watch", str(watch_s), camera or "", timeout_s=2 * watch_s + SLACK_S)
    told = answer.told
    if "topics" not in told:
        problem = told.get("error") or answer.failure
        remedy = "mend what is said about ROS above, then ask again"
        yield Finding("cameras", PROBLEM, f"nobody could listen to the cameras ({problem})", remedy)
        return
    yield from depth_nodes(told["nodes"])
    yield from judge([Seen.of(record) for record in told["topics"]], told["camera_infos"], watch_s, camera)


def depth_nodes(nodes: Sequence[dict[str, str]]) -> Iterator[Finding]:
    """The running depth nodes and their lifecycle states."""
    if not nodes:
        yield Finding("depth node", OK, "none runs here")
    for node in nodes:
        name, state = node["name"], node["state"]
        found = f"{name} runs, {state or 'its state could not be asked for'}"
        data = dict(node)
        if state in ("unconfigured", "inactive"):
            transitions = {"unconfigured": "configure, then activate", "inactive": "activate"}[state]
            remedy = f"ros2 lifecycle set {name} {transitions}; or start it with autostart true"
            yield Finding("depth node", WARNING, found, remedy, data)
        else:
            yield Finding("depth node", OK, found, data=data)


def judge(topics: Sequence[Seen], camera_infos: Sequence[str], watch_s: float, camera: str | None) -> list[Finding]:
    """A finding per image topic.

    One camera that works is enough: beside it, what other topics lack is a warning, unless ``camera`` names the one
    that is meant.
    """
    findings = [_judge(seen, camera_infos, watch_s) for seen in topics]
    cameras = [f for f, seen in zip(findings, topics, strict=True) if not seen.skipped and not seen.depth]
    if not cameras and camera:
        remedy = "start the camera, check its name with ros2 topic list, and ROS_DOMAIN_ID on both sides"
        return [*findings, Finding("camera", PROBLEM, f"nobody publishes images on {camera}", remedy)]
    if not cameras:
        remedy = "start a camera driver, with the ROS_DOMAIN_ID of this terminal, or try cloudypoints demo"
        return [*findings, Finding("camera", WARNING, "nobody publishes images from a camera", remedy)]
    if any(finding.mark == OK for finding in cameras):
        return [replace(f, mark=WARNING) if f.mark == PROBLEM else f for f in findings]
    return findings


def _judge(seen: Seen, camera_infos: Sequence[str], watch_s: float) -> Finding:
    data = {**vars(seen), "publishers": [vars(p) for p in seen.publishers], "info": _record(seen.info)}
    check = "compressed" if seen.compressed else "camera"
    if seen.skipped:
        return Finding("not a camera" if seen.depth else check, OK, f"{seen.topic}: {seen.skipped}", data=data)
    found = f"{seen.topic}: {_from(seen.publishers)}"
    if not seen.messages:
        return _silent(check, seen, found, watch_s, data)
    rate = f"{seen.rate_hz:.1f} Hz" if seen.rate_hz is not None else f"one image in {watch_s:g} s"
    found += f", {rate}, {_picture(seen)}"
    if seen.depth:
        return Finding("not a camera", OK, f"{found}; depth images", data=data)
    for problem in (seen.problem, _info_problem(seen, camera_infos, watch_s), seen.info.problem):
        if problem:
            # The sentence of a CloudyPointsError has its remedy after the semicolon, or in a sentence of its own.
            cause, remedy = _split(problem)
            return Finding(check, PROBLEM, f"{found}; {cause}", remedy, data)
    if _lossy(seen):
        found += f"; only {seen.messages} images came for {seen.info.messages} camera_info"
        return Finding(check, WARNING, found, dds.REMEDY_BEST_EFFORT.rstrip("."), data)
    return Finding(check, OK, f"{found}, camera_info on {seen.info.topic} fits", data=data)


def _silent(check: str, seen: Seen, found: str, watch_s: float, data: dict[str, Any]) -> Finding:
    """A publisher is there and nothing came."""
    info = seen.info
    size = f" ({info.width}x{info.height} by its camera_info)" if info.width else ""
    found += f"{size}, but no image arrived in {watch_s:g} s"
    if all(publisher.reliable for publisher in seen.publishers):
        remedy = "start its stream (is it paused?), or listen longer with --watch 10 if it is slow"
        return Finding(check, WARNING, found, remedy, data)
    idle = "" if info.messages else ", or start its stream if it is paused"
    return Finding(check, PROBLEM, found, dds.REMEDY_BEST_EFFORT.rstrip(".") + idle, data)


def _lossy(seen: Seen) -> bool:
    """Whether large best-effort images come, but fewer than were published."""
    return (
        seen.bytes > LARGE_BYTES
        and not all(publisher.reliable for publisher in seen.publishers)
        and seen.info.messages >= LOSS_MESSAGES
        and seen.messages < dds.LOSS_SHARE * seen.info.messages
    )


def _info_problem(seen: Seen, camera_infos: Sequence[str], watch_s: float) -> str:
    info = seen.info
    if not info.publishers:
        others = [topic for topic in camera_infos if topic != info.topic]
        hint = f" (seen: {', '.join(others)})" if others else ""
        return (
            f"nobody publishes its camera_info on {info.topic}, so there are no metres; publish it there, or remap "
            f"with cloudypoints run --image {seen.topic} --camera-info TOPIC{hint}"
        )
    if not info.messages:
        return (
            f"{_from(info.publishers)} on {info.topic}, but no camera_info arrived in {watch_s:g} s; let it be "
            "published with every image, or latched"
        )
    return ""


def _split(problem: str) -> tuple[str, str]:
    for separator in ("; ", ". "):
        cause, found, remedy = problem.rstrip(".").partition(separator)
        if found:
            return cause, remedy
    return problem, "correct the publisher"


def _from(publishers: Sequence[Publisher]) -> str:
    return f"from {' and '.join(publisher.words for publisher in publishers)}"


def _picture(seen: Seen) -> str:
    size = f"{seen.width}x{seen.height} " if seen.width else ""
    return f"{size}{seen.encoding or 'without an encoding'} ({seen.bytes / 1e6:.1f} MB)"


def _record(info: Info) -> dict[str, Any]:
    return {**vars(info), "publishers": [vars(publisher) for publisher in info.publishers]}
