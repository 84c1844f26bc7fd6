"""Health on /diagnostics: statuses -> diagnostic_msgs/DiagnosticArray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from cloudypoints_ros.health import Status

TOPIC = "/diagnostics"


def diagnostic_array(statuses: Sequence[Status], stamp: Any, hardware_id: str) -> DiagnosticArray:
    """The message of some statuses; ``stamp`` is a builtin_interfaces/Time."""
    msg = DiagnosticArray()
    msg.header.stamp = stamp
    msg.status = [
        DiagnosticStatus(
            level=bytes([status.level]),
            name=status.name,
            message=status.message,
            hardware_id=hardware_id,
            values=[KeyValue(key=key, value=value) for key, value in status.values.items()],
        )
        for status in statuses
    ]
    return msg
