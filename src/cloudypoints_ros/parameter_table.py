"""The node's parameters and topics, each said once: declaration, config/depth.yaml, README and tests read these."""

from __future__ import annotations

from dataclasses import dataclass

Value = bool | int | float | str | tuple[int, ...] | tuple[str, ...] | None

# 32FC1 is metres, 16UC1 millimetres (REP-118).
DEPTH_ENCODINGS = ("32FC1", "16UC1")

ANY_TIME, UNCONFIGURED, AT_START = "any time", "unconfigured", "at start"


@dataclass(frozen=True)
class Parameter:
    """One row. The type is the default's; ``low`` and ``high`` are inclusive; no ``choices`` means any value.

    ``when`` it can be set: ANY_TIME, UNCONFIGURED (the lifecycle state) or AT_START. A ``per_camera`` row can be
    given for one camera as ``CAMERA.NAME``; what is not given for a camera is what NAME says.
    """

    name: str
    default: Value
    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    when: str = ANY_TIME
    per_camera: bool = False

    @property
    def type_name(self) -> str:
        if isinstance(self.default, tuple):
            return {int: "int", str: "string"}[type(self.default[0])] + "[]"
        return {bool: "bool", int: "int", float: "double", str: "string"}[type(self.default)]

    @property
    def allowed(self) -> str:
        """The range or the choices, in words; empty when anything goes."""
        if self.choices:
            return ", ".join(self.choices)
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return ""

    @property
    def limits(self) -> str:
        """Range and unit, or the choices, in words; empty when there is nothing to say."""
        return " ".join(part for part in (self.allowed, self.unit) if part)


@dataclass(frozen=True)
class Topic:
    """One row: ``direction`` is "in" or "out", ``name`` as before remapping and without the camera's name."""

    direction: str
    name: str
    type_name: str
    description: str


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "cameras",
        ("",),
        "Names of the cameras, each the namespace of its topics; one empty name: image_raw and camera_info themselves",
        when=UNCONFIGURED,
    ),
    Parameter(
        "model",
        "",
        "The ONNX model: its path, or its name in cloudypoints models list; empty takes the one that comes along",
    ),
    Parameter(
        "engine",
        "auto",
        "What runs the model; auto takes the best that works here and says why no better one does",
        choices=("auto", "onnxruntime", "openvino", "openvino_bf16", "onnxruntime_cuda", "tensorrt", "tensorrt_rtx"),
    ),
    Parameter("threads", 0, "CPU threads of the engine; 0 lets it choose", "threads", low=0, high=256),
    Parameter(
        "autostart",
        True,
        "Configure and activate at start; false leaves that to a lifecycle manager (ros2 lifecycle set ...)",
        when=AT_START,
    ),
    Parameter(
        "rectified",
        False,
        "Whether the images are rectified: false uses K and D of camera_info, true uses P",
        per_camera=True,
    ),
    Parameter(
        "image_transport",
        "raw",
        "raw subscribes image_raw, compressed subscribes image_raw/compressed (JPEG or PNG)",
        choices=("raw", "compressed"),
        per_camera=True,
    ),
    Parameter(
        "roi",
        (0, 0, 0, 0),
        "Part of the image to work on: x, y, width, height; all zero is the whole image. Depth, camera_info and points "
        "are of that part",
        "pixels",
        per_camera=True,
    ),
    Parameter(
        "ego_mask",
        "",
        "Image file, not black where the vehicle itself is seen: no depth and no points there; empty is none",
        per_camera=True,
    ),
    Parameter(
        "mount.height",
        0.0,
        "Height of the camera above the road, for scale.source camera_height and the height band; 0 is unknown",
        "metres",
        low=0.0,
        high=100.0,
        per_camera=True,
    ),
    Parameter("mount.pitch", 0.0, "How far the camera looks down", "degrees", low=-90.0, high=90.0, per_camera=True),
    Parameter(
        "mount.roll",
        0.0,
        "How far the camera tilts its right side down",
        "degrees",
        low=-180.0,
        high=180.0,
        per_camera=True,
    ),
    Parameter(
        "scale.source",
        "card",
        "Where metres come from: the model's card, the road seen from mount.height, or the factor scale.constant; a "
        "relative model needs one of the last two",
        choices=("card", "camera_height", "constant"),
    ),
    Parameter(
        "scale.constant",
        1.0,
        "Factor on the model's depth with scale.source constant",
        low=1e-6,
        high=1e6,
        per_camera=True,
    ),
    Parameter(
        "scale.smoothing",
        2.0,
        "Time constant of the correction with scale.source camera_height",
        "seconds",
        low=0.0,
        high=600.0,
    ),
    Parameter(
        "scale.hold",
        10.0,
        "How long a correction holds without a road; then no depth is published until there is one",
        "seconds",
        low=0.0,
        high=3600.0,
    ),
    Parameter(
        "depth.encoding",
        "32FC1",
        "32FC1: metres along Z, NaN unknown, +inf sky; 16UC1: millimetres, 0 unknown or beyond 65.535 m",
        choices=DEPTH_ENCODINGS,
    ),
    Parameter(
        "depth.downscale",
        1,
        "How many times smaller than the image depth, camera_info and preview are; points are taken from that depth",
        low=1,
        high=16,
    ),
    Parameter(
        "depth.max_rate",
        0.0,
        "Depth images and their camera_info per second at most; 0 is every frame",
        "Hz",
        low=0.0,
        high=1000.0,
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
    Parameter(
        "points.min_height",
        -1000.0,
        "Points lower than this over the road are left out; needs mount.height unless it is -1000",
        "metres",
        low=-1000.0,
        high=1000.0,
    ),
    Parameter(
        "points.max_height",
        1000.0,
        "Points higher than this over the road are left out; needs mount.height unless it is 1000",
        "metres",
        low=-1000.0,
        high=1000.0,
    ),
    Parameter(
        "points.voxel_size",
        0.0,
        "Edge of the cubes of which each keeps one point; 0 keeps them all",
        "metres",
        low=0.0,
        high=100.0,
    ),
    Parameter(
        "points.min_incidence",
        0.0,
        "Points on surfaces seen under a smaller angle than this are left out, as those that fly between an edge and "
        "what is behind it; a road is spared, by mount.pitch and mount.roll; 0 keeps them",
        "degrees",
        low=0.0,
        high=45.0,
    ),
    Parameter("points.max_rate", 0.0, "Clouds per second at most; 0 is every frame", "Hz", low=0.0, high=1000.0),
    Parameter("color.max_range", 80.0, "Depth at the far end of the preview's colours", "metres", low=1.0, high=1000.0),
    Parameter("color.max_rate", 0.0, "Previews per second at most; 0 is every frame", "Hz", low=0.0, high=1000.0),
    Parameter(
        "qos.input",
        "auto",
        "Reliability asked of cameras; auto asks for reliable if every publisher offers it, else best effort",
        choices=("auto", "reliable", "best_effort"),
    ),
    Parameter(
        "qos.output",
        "reliable",
        "Reliability offered to subscribers",
        choices=("reliable", "best_effort"),
        when=UNCONFIGURED,
    ),
    Parameter(
        "qos.output_depth", 2, "Messages kept for a slow subscriber", "messages", low=1, high=100, when=UNCONFIGURED
    ),
    Parameter("diagnostics.period", 1.0, "Time between messages on /diagnostics", "seconds", low=0.1, high=60.0),
    Parameter(
        "diagnostics.stale_after",
        2.0,
        "Without an image for this long a camera is STALE",
        "seconds",
        low=0.1,
        high=3600.0,
    ),
    Parameter(
        "diagnostics.rate_warn", 0.0, "Below this output rate a camera is WARN; 0 is never", "Hz", low=0.0, high=1000.0
    ),
    Parameter(
        "diagnostics.rate_error",
        0.0,
        "Below this output rate a camera is ERROR; 0 is never",
        "Hz",
        low=0.0,
        high=1000.0,
    ),
    Parameter(
        "diagnostics.drops_warn", 0.25, "Above this share of images dropped a camera is WARN", "", low=0.0, high=1.0
    ),
    Parameter(
        "diagnostics.drops_error", 0.95, "Above this share of images dropped a camera is ERROR", "", low=0.0, high=1.0
    ),
    Parameter(
        "diagnostics.latency_warn",
        0.2,
        "Above this time from the image's stamp to publishing (p95) a camera is WARN",
        "seconds",
        low=0.001,
        high=3600.0,
    ),
    Parameter(
        "diagnostics.latency_error",
        1.0,
        "Above this time from the image's stamp to publishing (p95) a camera is ERROR",
        "seconds",
        low=0.001,
        high=3600.0,
    ),
    Parameter(
        "stats_file",
        "",
        "JSON file for counts and times per stage, written at shutdown; empty: none",
        when=UNCONFIGURED,
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
    Topic(
        "out",
        "~/depth/image_raw",
        "sensor_msgs/msg/Image",
        "Depth along Z, of the image's size unless depth.downscale or roi say otherwise",
    ),
    Topic("out", "~/depth/camera_info", "sensor_msgs/msg/CameraInfo", "The calibration of the depth image"),
    Topic("out", "~/points", "sensor_msgs/msg/PointCloud2", "The point cloud in the camera's optical frame"),
    Topic("out", "~/depth/color", "sensor_msgs/msg/Image", "Depth in colours to look at, bgr8"),
    Topic(
        "out",
        "/diagnostics",
        "diagnostic_msgs/msg/DiagnosticArray",
        "How each camera and the engine are doing, with numbers",
    ),
)
