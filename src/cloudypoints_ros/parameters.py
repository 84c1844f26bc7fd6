"""The node's parameters and topics, each said once: declaration, config/depth.yaml, README and tests read these.

The tables need no ROS; only :func:`declare` and :func:`descriptor` import it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One row. The type is the default's; ``low`` and ``high`` are inclusive; no ``choices`` means any value."""

    name: str
    default: Value
    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def type_name(self) -> str:
        return {bool: "bool", int: "int", float: "double", str: "string"}[type(self.default)]

    @property
    def allowed(self) -> str:
        """The range or the choices, in words; empty when anything goes."""
        if self.choices:
            return ", ".join(self.choices)
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return ""


@dataclass(frozen=True)
class Topic:
    """One row: ``direction`` is "in" or "out", ``name`` as before remapping."""

    direction: str
    name: str
    type_name: str
    description: str


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "model", "", "Path of the ONNX model, its card beside it; empty takes the one that comes along", read_only=True
    ),
    Parameter(
        "autostart",
        True,
        "Configure and activate at start; false leaves that to a lifecycle manager (ros2 lifecycle set ...)",
        read_only=True,
    ),
    Parameter("engine", "onnxruntime", "What runs the model", choices=("onnxruntime",), read_only=True),
    Parameter("threads", 0, "CPU threads of the engine; 0 lets it choose", "threads", low=0, high=256, read_only=True),
    Parameter(
        "rectified",
        False,
        "Whether the images are rectified: false uses K and D of camera_info, true uses P",
    ),
    Parameter(
        "image_transport",
        "raw",
        "raw subscribes image_raw, compressed subscribes image_raw/compressed (JPEG or PNG)",
        choices=("raw", "compressed"),
        read_only=True,
    ),
    Parameter(
        "depth_encoding",
        "32FC1",
        "32FC1: metres along Z, NaN unknown, +inf sky; 16UC1: millimetres, 0 unknown or beyond 65.535 m",
        choices=("32FC1", "16UC1"),
    ),
    Parameter(
        "depth_downscale",
        1,
        "How many times smaller than the image depth, camera_info and preview are; points are taken from that depth",
        low=1,
        high=16,
    ),
    Parameter("points.stride", 4, "Every how many rows and columns a depth becomes a point", "pixels", low=1, high=64),
    Parameter(
        "points.fields",
        "xyzrgb",
        "What a point carries; xyzirc is Autoware's (intensity, return type, channel)",
        choices=("xyz", "xyzrgb", "xyzirc"),
    ),
    Parameter(
        "points.organised",
        False,
        "true: one point per pixel of the grid, NaN where unknown (is_dense false); false: only the known ones",
    ),
    Parameter("points.min_range", 0.0, "Points nearer than this are left out, along Z", "metres", low=0.0, high=1000.0),
    Parameter(
        "points.max_range", 200.0, "Points farther than this are left out, along Z", "metres", low=0.1, high=1000.0
    ),
    Parameter("color.max_range", 80.0, "Depth at the far end of the preview's colours", "metres", low=1.0, high=1000.0),
    Parameter(
        "stats_file", "", "JSON file for counts and times per stage, written at shutdown; empty: none", read_only=True
    ),
)

TOPICS: tuple[Topic, ...] = (
    Topic("in", "image_raw", "sensor_msgs/msg/Image", "The camera image, with image_transport raw"),
    Topic(
        "in",
        "image_raw/compressed",
        "sensor_msgs/msg/CompressedImage",
        "The camera image as JPEG or PNG, with image_transport compressed; remapped by this whole name",
    ),
    Topic("in", "camera_info", "sensor_msgs/msg/CameraInfo", "Its calibration; must fit the image"),
    Topic("out", "~/depth/image_raw", "sensor_msgs/msg/Image", "Depth along Z at the image's size"),
    Topic("out", "~/depth/camera_info", "sensor_msgs/msg/CameraInfo", "The calibration of the depth image"),
    Topic("out", "~/points", "sensor_msgs/msg/PointCloud2", "The point cloud in the camera's optical frame"),
    Topic("out", "~/depth/color", "sensor_msgs/msg/Image", "Depth in colours to look at, bgr8"),
)

_BY_NAME = {row.name: row for row in PARAMETERS}


def defaults() -> dict[str, Value]:
    """Every parameter's default by name."""
    return {row.name: row.default for row in PARAMETERS}


def problem(values: Mapping[str, Value]) -> str | None:
    """Why this full set of values cannot be, in a sentence; None when it can. Unknown names are ignored."""
    for name, value in values.items():
        row = _BY_NAME.get(name)
        if row is None:
            continue
        if type(value) is not type(row.default):
            return f"{name} is {value!r}; expected the type {row.type_name}{_example(row)}."
        if row.choices and value not in row.choices:
            return f"{name} is '{value}'; expected one of {row.allowed}."
        if row.low is not None and row.high is not None:
            number = float(value)
            if math.isnan(number) or not row.low <= number <= row.high:
                return f"{name} is {value}; expected {row.allowed} {row.unit}."
    near, far = values["points.min_range"], values["points.max_range"]
    if float(near) >= float(far):
        return f"points.min_range is {near} and points.max_range {far}; expected min_range below max_range."
    return None


def descriptor(row: Parameter) -> Any:
    """The rcl_interfaces/ParameterDescriptor of a row."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType

    kinds = {
        bool: ParameterType.PARAMETER_BOOL,
        int: ParameterType.PARAMETER_INTEGER,
        float: ParameterType.PARAMETER_DOUBLE,
        str: ParameterType.PARAMETER_STRING,
    }
    result = ParameterDescriptor(
        name=row.name,
        type=kinds[type(row.default)],
        description=row.description + (f" [{row.unit}]" if row.unit else ""),
        additional_constraints=f"one of: {row.allowed}" if row.choices else "",
        read_only=row.read_only,
    )
    if row.low is not None and row.high is not None:
        if isinstance(row.default, int):
            result.integer_range = [IntegerRange(from_value=int(row.low), to_value=int(row.high), step=1)]
        else:
            result.floating_point_range = [FloatingPointRange(from_value=row.low, to_value=row.high, step=0.0)]
    return result


def declare(node: Any) -> dict[str, Value]:
    """Declare every row on an rclpy node; the values in force by name.

    CloudyPointsError when a value given at start has the wrong type, range or choice.
    """
    from rclpy.exceptions import ParameterException

    values: dict[str, Value] = {}
    for row in PARAMETERS:
        try:
            values[row.name] = node.declare_parameter(row.name, row.default, descriptor(row)).value
        except ParameterException as error:
            limits = f", {row.allowed} {row.unit}".rstrip() if row.allowed else ""
            raise CloudyPointsError(
                f"The parameter {row.name} was refused ({error}); expected the type {row.type_name}{_example(row)}"
                f"{limits}."
            ) from error
    reason_or_none = problem(values)
    if reason_or_none is not None:
        raise CloudyPointsError(f"A parameter cannot be used: {reason_or_none}")
    return values


def yaml_text() -> str:
    """The text of config/depth.yaml: every parameter with its default, description, unit and range."""
    lines = [
        "# Every parameter of the node with its default. Written by `make docs` from cloudypoints_ros/parameters.py.",
        "/**:",
        "  ros__parameters:",
    ]
    group = ""
    for row in PARAMETERS:
        prefix, _, leaf = row.name.rpartition(".")
        if prefix != group and prefix:
            lines.append(f"    {prefix}:")
        group = prefix
        indent = "      " if prefix else "    "
        lines.append(f"{indent}# {_comment(row)}")
        lines.append(f"{indent}{leaf}: {_yaml_value(row.default)}")
    return "\n".join(lines) + "\n"


def markdown_table() -> str:
    """The README's table of parameters."""
    lines = [
        "| Parameter | Type | Default | Unit, range or choices | Meaning |",
        "|---|---|---|---|---|",
    ]
    for row in PARAMETERS:
        limits = " ".join(part for part in (row.unit, row.allowed) if part)
        meaning = row.description + ("; only at start" if row.read_only else "")
        lines.append(f"| `{row.name}` | {row.type_name} | `{_yaml_value(row.default)}` | {limits} | {meaning} |")
    return "\n".join(lines) + "\n"


def topics_markdown() -> str:
    """The README's table of topics."""
    lines = ["| | Topic | Type | What |", "|---|---|---|---|"]
    lines += [f"| {row.direction} | `{row.name}` | `{row.type_name}` | {row.description} |" for row in TOPICS]
    return "\n".join(lines) + "\n"


def _comment(row: Parameter) -> str:
    limits = " ".join(part for part in (row.unit, row.allowed) if part)
    return row.description + (f" [{limits}]" if limits else "") + (" (only at start)" if row.read_only else "")


def _example(row: Parameter) -> str:
    # ROS does not take 60 for a double; people meet this one daily.
    return f" such as {row.default!r}, with its decimal point" if isinstance(row.default, float) else ""


def _yaml_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else repr(value)
