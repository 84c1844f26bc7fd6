"""The table of injected faults: what is done to a running node, the sentence it must say, and the level."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from driver import image_message
from onnx import TensorProto, helper
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rig import Rig, image, info, now
from sensor_msgs.msg import CompressedImage, Image
from test_node import CAMERA, HEIGHT, WIDTH, info_of, picture
from tiny_models import write_model

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.model_card import METADATA_KEY, card_path

OK, WARN, ERROR, STALE = range(4)


def nothing(rig: Rig) -> None:
    pass


@dataclass(frozen=True)
class Fault:
    """``inject`` brings it about once, ``send`` is done again and again until the sentence is logged, ``mend`` takes
    it away. ``files`` has what the faults need on disk, by name. ``status`` says which one of the diagnostics."""

    name: str
    sentence: str
    send: Callable[[Rig], None] = nothing
    inject: Callable[[Rig, Path], None] = lambda rig, files: None
    mend: Callable[[Rig, Path], None] = lambda rig, files: None
    level: int = ERROR
    status: str = "camera"
    compressed: bool = False


# ---- makers of rows


def bad_image(name: str, sentence: str, **changes: Any) -> Fault:
    """An image of which some fields are wrong."""
    return Fault(f"image: {name}", sentence, send=lambda rig: rig.publish(image(**changes)))


def bad_info(name: str, sentence: str, **changes: Any) -> Fault:
    """A camera_info of which some fields are wrong, followed by a good image."""

    def send(rig: Rig) -> None:
        rig.publish_info(info(**changes))
        rig.publish(image())

    return Fault(f"camera_info: {name}", sentence, send=send)


def bad_stamp(name: str, sentence: str, seconds: Callable[[], float]) -> Fault:
    """A good image with another stamp."""

    def send(rig: Rig) -> None:
        rig.publish(image(header__stamp__sec=int(seconds()), header__stamp__nanosec=0))

    return Fault(f"time: {name}", sentence, send=send, level=WARN)


def bad_setting(name: str, sentence: str, values: dict[str, Any], good: dict[str, Any], **more: Any) -> Fault:
    """Parameters that are taken but do not fit the images. A callable value is a file's."""

    def setter(wanted: dict[str, Any]) -> Callable[[Rig, Path], None]:
        return lambda rig, files: rig.set(**{k: v(files) if callable(v) else v for k, v in wanted.items()})

    more.setdefault("send", lambda rig: rig.publish(image()))
    return Fault(f"parameters: {name}", sentence, inject=setter(values), mend=setter(good), **more)


def bad_compressed(name: str, sentence: str, data: Callable[[], bytes], kind: str = "jpeg") -> Fault:
    def send(rig: Rig) -> None:
        rig.publish(CompressedImage(header=image().header, format=kind, data=data()))

    return Fault(f"compressed: {name}", sentence, send=send, compressed=True)


def encoded(ending: str, pixels: np.ndarray | None = None) -> bytes:
    return cv2.imencode(ending, picture()[..., ::-1] if pixels is None else pixels)[1].tobytes()


def claiming(width: int, height: int) -> bytes:
    """A JPEG whose header claims another size."""
    data = encoded(".jpg")
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 9 :]


def k_with(**values: float) -> list[float]:
    at = {"fx": 0, "cx": 2, "fy": 4, "cy": 5}
    k = list(CAMERA.matrix.ravel())
    for name, value in values.items():
        k[at[name]] = value
    return k


# ---- the camera's QoS and presence


def _best_effort_camera(rig: Rig, files: Path) -> None:
    rig.image_publisher(qos=QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT))
    rig.set(qos__input="reliable")


def _reliable_camera(rig: Rig, files: Path) -> None:
    rig.set(qos__input="auto")
    rig.image_publisher()
    rig.driver.connect()


def _latched_listener(rig: Rig, files: Path) -> None:
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    rig.driver.latched = rig.driver.node.create_subscription(  # type: ignore[attr-defined]
        Image, "/cloudypoints/depth/image_raw", lambda _msg: None, qos
    )


def _no_latched_listener(rig: Rig, files: Path) -> None:
    rig.driver.node.destroy_subscription(rig.driver.latched)  # type: ignore[attr-defined]


def _camera_elsewhere(rig: Rig, files: Path) -> None:
    rig.image_publisher(topic="front/image_raw")
    rig.set(diagnostics__stale_after=0.3)


def _silent_camera(rig: Rig, files: Path) -> None:
    rig.set(diagnostics__stale_after=0.3)


def _camera_back(rig: Rig, files: Path) -> None:
    rig.set(diagnostics__stale_after=600.0)
    rig.image_publisher()
    rig.driver.connect()


def _resubscribed(rig: Rig, files: Path) -> None:
    """A node that subscribes anew forgets what it knew of the camera."""
    rig.set(qos__input="reliable")
    rig.driver.connect()


# ---- models


def contradicting_card(folder: Path) -> Path:
    """Its card speaks of any size, its network takes one."""
    path = write_model(folder, name="contradicting", fixed=(64, 96))
    card = card_path(write_model(folder / "dynamic", name="contradicting")).read_text(encoding="utf-8")
    return _changed_model(path, card=card)


def card_from_the_future(folder: Path) -> Path:
    path = write_model(folder, name="future")
    card = json.loads(card_path(path).read_text(encoding="utf-8"))
    return _changed_model(path, card=json.dumps(card | {"version": 99}))


def no_card(folder: Path) -> Path:
    path = write_model(folder, name="no_card")
    card_path(path).unlink()
    return _changed_model(path, card=None)


def truncated(folder: Path) -> Path:
    path = write_model(folder, name="truncated")
    path.write_bytes(path.read_bytes()[:200])
    return path


def not_a_model(folder: Path) -> Path:
    path = write_model(folder, name="text")
    path.write_text("this is no model", encoding="utf-8")
    return path


def absent(folder: Path) -> Path:
    return folder / "absent.onnx"


def relative(folder: Path) -> Path:
    return write_model(folder, name="relative", unit="relative")


def nan_model(folder: Path) -> Path:
    """Its answer is NaN everywhere: the square root of minus the depth."""
    nodes = [helper.make_node("Neg", ["metres"], ["minus"]), helper.make_node("Sqrt", ["minus"], ["answer"])]
    return _changed_model(write_model(folder, name="nan", sky=False), nodes)


def breaking_model(folder: Path) -> Path:
    """It runs on images of its preferred size, and breaks on any other."""
    nodes = [helper.make_node("Add", ["metres", "plane"], ["answer"])]
    plane = helper.make_tensor("plane", TensorProto.FLOAT, [1, 1, 64, 96], np.zeros(64 * 96))
    return _changed_model(write_model(folder, name="breaking", sky=False), nodes, plane)


def _changed_model(path: Path, nodes: list[Any] | None = None, constant: Any = None, card: str | None = "") -> Path:
    """Other nodes that make the answer; another card inside and beside, or none at all."""
    model = onnx.load(str(path))
    if nodes is not None:
        model.graph.node.remove(next(each for each in model.graph.node if "answer" in each.output))
        model.graph.node.extend(nodes)
    if constant is not None:
        model.graph.initializer.append(constant)
    if card != "":
        del model.metadata_props[:]
    if card:
        helper.set_model_props(model, {METADATA_KEY: card})
        card_path(path).write_text(card, encoding="utf-8")
    onnx.save(model, str(path))
    return path


def good_model(folder: Path) -> Path:
    return write_model(folder)


def loaded(make: Callable[[Path], Path]) -> Callable[[Rig, Path], None]:
    """Work on with this model, from now on."""

    def swap(rig: Rig, files: Path) -> None:
        path, since = make(files), len(rig.node.lines)
        rig.set(model=str(path))
        said = f"Model {path.stem} on"
        rig.driver.spin_until(lambda: any(said in line for line in rig.node.lines[since:]), what=said)

    return swap


def asked_for(make: Callable[[Path], Path]) -> Callable[[Rig, Path], None]:
    return lambda rig, files: rig.set(model=str(make(files)))


# ---- files that a parameter names


def mask_of_a_square(files: Path) -> str:
    path = files / "square.png"
    path.write_bytes(encoded(".png", np.zeros((50, 50, 3), np.uint8)))
    return str(path)


def wide_image(rig: Rig) -> None:
    """A good image of another size with the camera_info that fits it."""
    wide = image_message(np.zeros((64, 192, 3), np.uint8), stamp=now())
    rig.publish_info(info_of(Camera(192, 64, 80.0, 80.0, 95.5, 31.5)))
    rig.publish(wide)


NAN = math.nan
WITHOUT_MAST = {"scale.source": "card", "mount.height": 0.0}

# Of those that share a running node: the mildest first, as a note outlives its fault by seconds and the worst level
# counts; those that share a note apart, as it is logged every five seconds only.
FAULTS: tuple[Fault, ...] = (
    bad_stamp("no stamp", "Images carry no stamp (0), so nothing can be matched to them; stamp them", lambda: 0),
    Fault(
        "qos: a listener asks for a latched topic",
        "Nothing reaches driver (/cloudypoints/depth/image_raw: transient local is asked for and volatile offered; "
        "set its durability to volatile",
        inject=_latched_listener,
        mend=_no_latched_listener,
        level=WARN,
    ),
    bad_stamp("57 years ago", "behind the node's clock; for a bag play it with --clock", lambda: 12),
    Fault(
        "presence: the camera falls silent",
        "No image on /image_raw, though 1 would publish it; look at the camera driver.",
        inject=_silent_camera,
        mend=_camera_back,
        level=STALE,
    ),
    bad_stamp("an hour ahead", "ahead of the node's clock; synchronise the clocks", lambda: time.time() + 3600),
    Fault(
        "presence: the camera publishes another topic",
        "No image: nobody publishes /image_raw; start the camera or remap. Images are published on /front/image_raw.",
        inject=_camera_elsewhere,
        mend=_camera_back,
        level=STALE,
    ),
    Fault(
        "time: use_sim_time without /clock",
        "use_sim_time is true but nobody publishes /clock, so latency is unknown; play the bag with --clock",
        send=lambda rig: rig.publish(image()),
        inject=lambda rig, files: rig.set(use_sim_time=True),
        mend=lambda rig, files: rig.set(use_sim_time=False),
        level=WARN,
    ),
    Fault(
        "model: no number at any pixel",
        "no depth at any pixel",
        send=lambda rig: rig.publish(image()),
        inject=loaded(nan_model),
        mend=loaded(good_model),
        level=WARN,
    ),
    Fault(
        "qos: reliable asked of a best-effort camera",
        "driver publishes /image_raw with a QoS that does not match qos.input reliable, so nothing of it arrives; set "
        "qos.input to auto.",
        inject=_best_effort_camera,
        mend=_reliable_camera,
    ),
    Fault(
        "camera_info: none",
        "Images arrive but no camera_info on /camera_info, so there are no metres; publish it there or remap",
        send=lambda rig: rig.publish(image()),
        inject=_resubscribed,
        mend=lambda rig, files: (rig.set(qos__input="auto"), rig.driver.connect()),
    ),
    bad_image("no encoding", "The image encoding '' ", encoding=""),
    bad_image("an encoding in capitals", "The image encoding 'RGB8' ", encoding="RGB8"),
    bad_image("depth instead of colour", "The image encoding '16UC1' ", encoding="16UC1"),
    bad_image("video", "The image encoding 'h264' ", encoding="h264"),
    bad_image(
        "floats that are all NaN",
        "The image encoding '32FC1' ",
        encoding="32FC1",
        step=4 * WIDTH,
        data=np.full((HEIGHT, WIDTH), NAN, "<f4").tobytes(),
    ),
    bad_image(
        "four channels declared, three sent", "image arrived with step 288; expected at least 384", encoding="rgba8"
    ),
    bad_image(
        "YUV of odd width",
        "A yuv422_yuy2 image is 95 pixels wide; expected an even width",
        encoding="yuv422_yuy2",
        width=95,
    ),
    bad_image("no width", "An image of 0x64 pixels arrived; expected at least 1x1", width=0),
    bad_image("no height", "An image of 96x0 pixels arrived; expected at least 1x1", height=0, data=b""),
    bad_image("step too small", "arrived with step 287; expected at least 288 bytes per row", step=287),
    bad_image("no step", "arrived with step 0; expected at least 288 bytes per row", step=0),
    bad_image("data too short", "arrived with 18431 bytes; expected step x height = 288 x 64", data=bytes(18431)),
    bad_image("data too long", "arrived with 18433 bytes; expected step x height = 288 x 64", data=bytes(18433)),
    bad_image("no data", "arrived with 0 bytes; expected step x height", data=b""),
    bad_image(
        "two thousand million rows", "A 96x2147483648 rgb8 image arrived with 18432 bytes; expected", height=2**31
    ),
    bad_image(
        "another size in mid-stream",
        "camera_info describes a 96x64 image (sensor 96x64, roi (0, 0, 0, 0), binning (1, 1)) but the image is 48x64; "
        "publish the camera_info",
        width=48,
    ),
    bad_info("all zero K", "The camera's intrinsics are fx=0.0 fy=0.0 cx=0.0 cy=0.0; the focal", k=[0.0] * 9),
    bad_info("K not a number", "The camera's intrinsics are fx=nan", k=[NAN] * 9),
    bad_info("negative focal length", "The camera's intrinsics are fx=-80.0", k=k_with(fx=-80.0)),
    bad_info("absurd focal length", "fx=1000000000000.0 fy=82.0 cx=47.0 cy=30.0; expected pixels", k=k_with(fx=1e12)),
    bad_info(
        "a window outside the sensor", "This camera_info cannot be used: camera_info has the roi (90, 0, 96, 64)",
        roi__x_offset=90, roi__width=96, roi__height=64,
    ),
    bad_info("unknown distortion model", "The distortion model 'fisheye' is not known", distortion_model="fisheye"),
    bad_info("too many coefficients", "plumb_bob came with 14 coefficients; expected 0 or 4 or 5", d=[0.0] * 14),
    bad_info("too few coefficients", "plumb_bob came with 1 coefficients; expected 0 or 4 or 5", d=[0.1]),
    bad_info("coefficients not numbers", "The distortion coefficients are (nan, ", d=[NAN] * 5),
    bad_info(
        "a lens that cannot be inverted", "cannot be inverted at any pixel, so there are no rays",
        d=[-1e9, 0.0, 0.0, 0.0, 0.0], k=k_with(cx=47.5, cy=30.5),
    ),
    bad_setting("rectified, but no P", "no projection matrix P; publish P or set", {"rectified": True},
                {"rectified": False}, send=lambda rig: (rig.publish_info(info(p=[0.0] * 12)), rig.publish(image()))),
    bad_setting("a region outside the image", "The region 10x10 at (500, 0) does not lie inside the 96x64 image; set",
                {"roi": [500, 0, 10, 10]}, {"roi": [0, 0, 0, 0]}),
    bad_setting("a mask of other proportions", "The ego mask is 50x50 but the image 96x64; give a mask",
                {"ego_mask": mask_of_a_square}, {"ego_mask": ""}),
    bad_setting("metres from a road that is not there", "scale.source is camera_height but no road has been found for",
                {"mount.height": 1.5, "scale.source": "camera_height", "scale.hold": 0.0}, WITHOUT_MAST),
    Fault(
        "model: the card contradicts the network",
        "takes images of 64x96 (height x width), but its card allows (32, 32) to (512, 1024); correct the size in the "
        "card or export the model again. The model tiny works on",
        inject=asked_for(contradicting_card),
        status="engine",
    ),
    Fault(
        "engine: breaks in mid-stream",
        "cannot run the model on image float32",
        send=wide_image,
        inject=loaded(breaking_model),
        mend=loaded(good_model),
    ),
    # A camera_info of another size does not displace the one that fits, so this goes through the node's forgetting.
    Fault(
        "camera_info: of another size",
        "camera_info describes a 200x100 image (sensor 200x100",
        send=lambda rig: (rig.publish_info(info(width=200, height=100)), rig.publish(image())),
        inject=_resubscribed,
        mend=lambda rig, files: (rig.set(qos__input="auto"), rig.driver.connect()),
    ),
    Fault(
        "camera_info: binned to nothing",
        "camera_info describes a 0x0 image",
        send=lambda rig: (rig.publish_info(info(binning_x=4000, binning_y=4000)), rig.publish(image())),
        inject=_resubscribed,
        mend=lambda rig, files: (rig.set(qos__input="auto"), rig.driver.connect()),
    ),
    bad_compressed("no data", "A compressed image of 0 bytes with format 'jpeg' could not be decoded", lambda: b""),
    bad_compressed("JPEG cut off", "with format 'jpeg' could not be decoded; expected an intact JPEG or PNG",
                   lambda: encoded(".jpg")[:-300]),
    bad_compressed("JPEG without its end", "could not be decoded; expected an intact", lambda: encoded(".jpg")[:-2]),
    bad_compressed("PNG cut off", "with format 'png' could not be decoded", lambda: encoded(".png")[:-300], "png"),
    bad_compressed("video", "with format 'h264' could not be decoded", lambda: b"\0\0\0\1" + bytes(500), "h264"),
    bad_compressed("BMP that says JPEG", "could not be decoded; expected an intact JPEG", lambda: encoded(".bmp")),
    bad_compressed("JPEG that claims gigabytes", "claims 65000x65000 pixels; expected at most",
                   lambda: claiming(65000, 65000)),
    bad_compressed("JPEG that claims what OpenCV would try", "claims 30000x30000 pixels; expected at most",
                   lambda: claiming(30000, 30000)),
    bad_compressed("a good JPEG of another size", "but the image is 48x32; publish the camera_info",
                   lambda: encoded(".jpg", np.zeros((32, 48, 3), np.uint8))),
)  # fmt: skip

# What a node that is not configured says of models: make, sentence.
MODELS: tuple[tuple[Callable[[Path], Path], str], ...] = (
    (absent, "There is no model file"),
    (truncated, "is not a complete ONNX file"),
    (not_a_model, "is not a complete ONNX file"),
    (no_card, "has no card, so its input and its metres are unknown; write"),
    (card_from_the_future, "has version 99, this program reads version 1; upgrade"),
    (contradicting_card, "takes images of 64x96 (height x width), but its card allows"),
    (relative, "predicts relative depth, which is not metres; use a metric model"),
)


@dataclass(frozen=True)
class Refusal:
    """A parameter that a running node does not take; a callable value is a file's. The sentence is the answer's."""

    name: str
    value: Any
    sentence: str


REFUSALS: tuple[Refusal, ...] = (
    Refusal("engine", "magic", "engine is 'magic'; expected one of auto, onnxruntime"),
    Refusal("image_transport", "theora", "image_transport is 'theora'; expected one of raw, compressed"),
    Refusal("depth.encoding", "64FC1", "depth.encoding is '64FC1'; expected one of 32FC1, 16UC1"),
    Refusal("points.min_range", 500.0, "expected min_range below max_range"),
    Refusal("points.max_height", 2.0, "set mount.height to the camera's metres above the road first"),
    Refusal("scale.source", "camera_height", "set mount.height to the camera's metres above the road first"),
    Refusal("roi", [1, 2, 3, 0], "expected x, y, width, height in pixels, or four zeros for the whole image"),
    Refusal("roi", [1, 2, 3], "expected x, y, width, height in pixels, or four zeros for the whole image"),
    Refusal("qos.output", "best_effort", "only while the node is unconfigured; deactivate and clean up first, or give"),
    Refusal("stats_file", "/tmp/x.json", "only while the node is unconfigured; deactivate and clean up first, or give"),
    Refusal("ego_mask", lambda files: str(files / "absent.png"), "cannot be read (No such file or directory); give a"),
    Refusal("ego_mask", lambda files: str(files / "tiny.onnx"), "is not an image that can be read; give a PNG"),
    *(Refusal("model", lambda files, make=make: str(make(files)), sentence)
      for make, sentence in MODELS if make is not contradicting_card),
)  # fmt: skip
