"""Time as cameras and bags have it: stamps that loop, lag or lead, and rates that are held. Seconds and nanoseconds."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Images may overtake each other by this much; a larger step back is a bag that loops or a camera that restarted.
LOOP_NS = 500_000_000
# Clocks of two machines under NTP agree better than this.
FUTURE_NS = 500_000_000
PAST_NS = 10_000_000_000
_SLACK = 0.1


@dataclass(frozen=True)
class Seen:
    """What one stamp says: why it cannot be held against the clock ("" when it can), and whether time went back."""

    problem: str = ""
    looped: bool = False


@dataclass
class StampWatch:
    """The stamps of one camera, as they come."""

    _last_ns: int | None = None

    def see(self, stamp_ns: int, now_ns: int, sim_time: bool) -> Seen:
        """Look at the next stamp; ``now_ns`` is the node's clock, which follows /clock with ``sim_time``."""
        last, self._last_ns = self._last_ns, stamp_ns
        looped = last is not None and stamp_ns < last - LOOP_NS
        return Seen(_problem(stamp_ns, now_ns, sim_time), looped)


def _problem(stamp_ns: int, now_ns: int, sim_time: bool) -> str:
    if stamp_ns == 0:
        return "Images carry no stamp (0), so nothing can be matched to them; stamp them in the camera driver."
    if sim_time and now_ns == 0:
        return (
            "use_sim_time is true but nobody publishes /clock, so latency is unknown; play the bag with --clock or set "
            "use_sim_time to false."
        )
    behind = now_ns - stamp_ns
    if behind > PAST_NS:
        remedy = (
            "the bag and /clock do not belong together, or the stamps are wrong"
            if sim_time
            else "for a bag play it with --clock and set use_sim_time to true, for a camera set its clock"
        )
        return f"Stamps are {_words(behind)} behind the node's clock; {remedy}."
    if behind < -FUTURE_NS:
        return (
            f"Stamps are {_words(-behind)} ahead of the node's clock; synchronise the clocks of camera and computer "
            "(PTP or NTP)."
        )
    return ""


def stamp_of(data: bytes) -> int:
    """header.stamp in nanoseconds of a serialised message that starts with its header (CDR, either byte order)."""
    seconds, nanoseconds = struct.unpack_from("<iI" if data[1] & 1 else ">iI", data, 4)
    return int(seconds) * 10**9 + int(nanoseconds)


@dataclass
class RateLimit:
    """At most so many per second on the long run; a camera's jitter does not cost every second frame."""

    _due: float = 0.0
    _last: float = 0.0
    _hz: float = 0.0

    def due(self, now_s: float, max_hz: float) -> bool:
        return max_hz <= 0 or now_s >= self._next(max_hz) - _SLACK / max_hz

    def take(self, now_s: float, max_hz: float) -> bool:
        """Whether this one may go; if so it is counted."""
        if not self.due(now_s, max_hz):
            return False
        if max_hz > 0:
            # A late frame does not push the grid back, but a pause earns no burst.
            self._due = max(self._next(max_hz) or now_s, now_s - 1 / max_hz) + 1 / max_hz
            self._last, self._hz = now_s, max_hz
        return True

    def _next(self, max_hz: float) -> float:
        """When the next one is due; a rate that has been raised need not wait for the grid of the old one."""
        return self._due if max_hz == self._hz else min(self._due, self._last + 1 / max_hz)


def _words(nanoseconds: int) -> str:
    seconds = nanoseconds * 1e-9
    for size, name in ((86400 * 365, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.1f} s"
