"""What is done with the table of parameters: declaring, checking, and writing config/depth.yaml and the README.

Only :func:`declare` and what it calls import ROS.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.parameter_table import ANY_TIME, AT_START, PARAMETERS, TOPICS, Parameter, Value

_BY_NAME = {row.name: row for row in PARAMETERS}


def defaults() -> dict[str, Value]:
    """Every parameter's default by name."""
    return {row.name: row.default for row in PARAMETERS}


def topic(name: str, camera: str) -> str:
    """The name of a topic of the table for a camera: ``image_raw`` -> ``front/image_raw``, ``~/points`` ->
    ``~/front/points``."""
    if not camera:
        return name
    return f"~/{camera.strip('/')}/{name[2:]}" if name.startswith("~/") else f"{camera.rstrip('/')}/{name}"


def camera_parameter(camera: str, name: str) -> str:
    """The parameter ``name`` of one camera: ``front.rectified``."""
    return f"{camera.strip('/').replace('/', '.')}.{name}"


def for_camera(values: Mapping[str, Value], camera: str) -> dict[str, Value]:
    """The values in force for one camera: its own where given, else the common ones."""
    own = {row.name: values.get(camera_parameter(camera, row.name)) for row in PARAMETERS if row.per_camera}
    common = {row.name: values[row.name] for row in PARAMETERS}
    return {**common, **{name: value for name, value in own.items() if value is not None}}


def row_of(name: str) -> Parameter | None:
    """The row that a parameter name belongs to, a camera's own name included; None for a name that is not ours."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    rows = (row for row in PARAMETERS if row.per_camera and name.endswith(f".{row.name}"))
    return next(rows, None)


def problem(values: Mapping[str, Value]) -> str | None:
    """Why this full set of values cannot be, in a sentence; None when it can. Unknown names are ignored."""
    for name, value in values.items():
        row = row_of(name)
        if row is not None and not (value is None and name not in _BY_NAME):
            reason = _problem_of(name, row, value)
            if reason is not None:
                return reason
    return _contradiction(values)


def _problem_of(name: str, row: Parameter, value: Any) -> str | None:
    if _type_of(value) != _type_of(row.default):
        return f"{name} is {value!r}; expected the type {row.type_name}{_example(row)}."
    if row.choices and value not in row.choices:
        return f"{name} is '{value}'; expected one of {row.allowed}."
    if row.low is not None and row.high is not None and not row.low <= value <= row.high:  # NaN lies nowhere
        return f"{name} is {value}; expected {row.limits}."
    return None


def _contradiction(values: Mapping[str, Value]) -> str | None:
    for low, high in (("points.min_range", "points.max_range"), ("points.min_height", "points.max_height")):
        if not number(values[low]) < number(values[high]):
            word = low.split(".")[1]
            return f"{low} is {values[low]} and {high} {values[high]}; expected {word} below {high.split('.')[1]}."
    for low, high in (
        ("diagnostics.drops_warn", "diagnostics.drops_error"),
        ("diagnostics.latency_warn", "diagnostics.latency_error"),
    ):
        if number(values[low]) > number(values[high]):
            return f"{low} is {values[low]} and {high} {values[high]}; expected the first not above the second."
    warn, error = number(values["diagnostics.rate_warn"]), number(values["diagnostics.rate_error"])
    if 0 < warn < error:
        return f"diagnostics.rate_warn is {warn:g} and diagnostics.rate_error {error:g}; expected warn not below error."
    if values["points.organised"] and number(values["points.voxel_size"]) > 0:
        return (
            f"points.voxel_size is {values['points.voxel_size']} and points.organised true; expected one of them: "
            "cubes have no image grid."
        )
    return _problem_of_cameras(values["cameras"]) or _problem_of_roi(values) or _problem_of_mounts(values)


def _problem_of_cameras(cameras: Any) -> str | None:
    bare = [name.strip("/") for name in cameras]
    if len(set(bare)) != len(bare) or ("" in bare and len(bare) > 1):
        return f"cameras is {list(cameras)}; expected different names, such as [front, rear], or one empty name."
    for name in bare:
        if name and not re.fullmatch(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", name, re.ASCII):
            return (
                f"cameras has the name '{name}'; expected a ROS name: letters, digits and underscores, with / between "
                "its parts, no part beginning with a digit."
            )
    return None


def _problem_of_roi(values: Mapping[str, Value]) -> str | None:
    for name, value in values.items():
        row = row_of(name)
        if row is None or row.name != "roi" or value is None:
            continue
        assert isinstance(value, tuple)
        numbers = [number(each) for each in value]
        whole = numbers == [0, 0, 0, 0]
        if len(numbers) != 4 or min(numbers) < 0 or not (whole or (numbers[2] > 0 and numbers[3] > 0)):
            return (
                f"{name} is {list(value)}; expected x, y, width, height in pixels, or four zeros for the whole image."
            )
    return None


def _problem_of_mounts(values: Mapping[str, Value]) -> str | None:
    """What is measured from the road needs to know how high above it the camera is."""
    by_road = values["scale.source"] == "camera_height"
    by_band = height_band(values) != (-math.inf, math.inf)
    if not (by_road or by_band):
        return None
    asks = "scale.source is camera_height" if by_road else "points.min_height or points.max_height is set"
    cameras = values["cameras"]
    assert isinstance(cameras, tuple)
    for camera in cameras:
        if for_camera(values, str(camera))["mount.height"] == 0:
            own = f" or {camera_parameter(str(camera), 'mount.height')}" if camera else ""
            return f"{asks} but mount.height is 0; set mount.height{own} to the camera's metres above the road first."
    return None


def height_band(values: Mapping[str, Value]) -> tuple[float, float]:
    """points.min_height and max_height in metres, infinite where the row's limit says there is none."""
    low, high = number(values["points.min_height"]), number(values["points.max_height"])
    return (-math.inf if low <= -1000 else low), (math.inf if high >= 1000 else high)


def plain(name: str, value: Any) -> Value:
    """What rclpy hands out for the parameter ``name``, as the table has it: arrays become tuples.

    No cameras (``[]``) are one without a name.
    """
    if name == "cameras" and (value is None or len(value) == 0):
        return ("",)
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def number(value: Any) -> float:
    """A value of the types int and double."""
    return float(value)


def whole(value: Any) -> int:
    """A value of the type int."""
    return int(value)


def _type_of(value: Any) -> Any:
    if isinstance(value, tuple):
        # ROS has no type for the elements of an empty list.
        return (tuple, type(value[0])) if value and len({type(each) for each in value}) == 1 else (tuple, None)
    return type(value)


def descriptor(row: Parameter, of_camera: bool = False) -> Any:
    """The rcl_interfaces/ParameterDescriptor of a row; ``of_camera`` for CAMERA.NAME, which may stay unset."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType

    kinds = {
        bool: ParameterType.PARAMETER_BOOL,
        int: ParameterType.PARAMETER_INTEGER,
        float: ParameterType.PARAMETER_DOUBLE,
        str: ParameterType.PARAMETER_STRING,
        (tuple, int): ParameterType.PARAMETER_INTEGER_ARRAY,
        (tuple, str): ParameterType.PARAMETER_STRING_ARRAY,
    }
    result = ParameterDescriptor(
        name=row.name,
        type=kinds[_type_of(row.default)],
        description=row.description + (f" [{row.unit}]" if row.unit else ""),
        additional_constraints=f"one of: {row.allowed}" if row.choices else "",
        read_only=row.when == AT_START,
        dynamic_typing=of_camera,
    )
    if row.low is not None and row.high is not None and not of_camera:
        if isinstance(row.default, int):
            result.integer_range = [IntegerRange(from_value=int(row.low), to_value=int(row.high), step=1)]
        else:
            result.floating_point_range = [FloatingPointRange(from_value=row.low, to_value=row.high, step=0.0)]
    return result


def declare(node: Any) -> dict[str, Value]:
    """Declare every row on an rclpy node, and those of its cameras; the values in force by name.

    CloudyPointsError when a value given at start has the wrong type, range or choice.
    """
    from rclpy.exceptions import ParameterException

    values: dict[str, Value] = {}
    for row in PARAMETERS:
        try:
            default = list(row.default) if isinstance(row.default, tuple) else row.default
            values[row.name] = plain(row.name, node.declare_parameter(row.name, default, descriptor(row)).value)
        except ParameterException as error:
            limits = f", {row.limits}" if row.allowed else ""
            raise CloudyPointsError(
                f"The parameter {row.name} was refused ({error}); expected the type {row.type_name}{_example(row)}"
                f"{limits}."
            ) from error
    return declare_cameras(node, values)


def declare_cameras(node: Any, values: Mapping[str, Value]) -> dict[str, Value]:
    """Declare CAMERA.NAME of each named camera where that has not been done; all values, None where not given.

    CloudyPointsError when the values do not go together.
    """
    from rclpy.exceptions import ParameterException

    all_values, cameras = dict(values), values["cameras"]
    assert isinstance(cameras, tuple)
    for camera in cameras:
        if not str(camera).strip("/"):
            continue
        for row in PARAMETERS:
            if row.per_camera:
                name = camera_parameter(str(camera), row.name)
                try:
                    if not node.has_parameter(name):
                        node.declare_parameter(name, None, descriptor(row, of_camera=True))
                except ParameterException as error:
                    raise CloudyPointsError(
                        f"The parameter {name} was refused ({error}); expected the type {row.type_name}{_example(row)}."
                    ) from error
                all_values[name] = plain(name, node.get_parameter(name).value)
    reason = problem(all_values)
    if reason is not None:
        raise CloudyPointsError(f"A parameter cannot be used: {reason}")
    return all_values


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
        "| Parameter | Type | Default | Unit, range or choices | Set | Meaning |",
        "|---|---|---|---|---|---|",
    ]
    for row in PARAMETERS:
        each = " (\\*)" if row.per_camera else ""
        lines.append(
            f"| `{row.name}`{each} | {row.type_name} | `{_yaml_value(row.default)}` | {row.limits} | {row.when} | "
            f"{row.description} |"
        )
    return "\n".join(lines) + "\n"


def topics_markdown() -> str:
    """The README's table of topics."""
    lines = ["| | Topic | Type | What |", "|---|---|---|---|"]
    lines += [f"| {row.direction} | `{row.name}` | `{row.type_name}` | {row.description} |" for row in TOPICS]
    return "\n".join(lines) + "\n"


def _comment(row: Parameter) -> str:
    notes = [row.limits, "" if row.when == ANY_TIME else row.when, "also CAMERA." + row.name if row.per_camera else ""]
    return row.description + "".join(f" [{note}]" for note in notes if note)


def _example(row: Parameter) -> str:
    # ROS does not take 60 for a double; people meet this one daily.
    if isinstance(row.default, float):
        return f" such as {row.default!r}, with its decimal point"
    return f" such as {_yaml_value(row.default)}" if isinstance(row.default, tuple) else ""


def _yaml_value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_yaml_value(each) for each in value) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
