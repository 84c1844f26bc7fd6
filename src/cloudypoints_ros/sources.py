"""Where images come from: a folder, one image, a video or a camera device, each with the camera that took it.

No ROS here. Images are uint8 BGR (H, W, 3), as OpenCV reads them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Calibration, Camera, camera_from_hfov, load_calibration
from cloudypoints_ros.errors import CloudyPointsError

Array = npt.NDArray[Any]

# The synthetic street that comes along, with its camera and true depth.
CLIP = Path(__file__).with_name("clip")

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"))
VIDEO_SUFFIXES = frozenset((".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv"))
CAMERA_FILES = ("camera.json", "camera_info.yaml", "camera_info.yml")

# Names beside the images that hold depth or disparity, never a picture to estimate from.
NOT_IMAGES = re.compile(r"^depth$|_disparity$|_depth|_color$", re.IGNORECASE)
NOT_IMAGE_FOLDERS = frozenset(("depth", "disparity"))

FOLDER_RATE_HZ = 10.0
DEVICE_RATE_HZ = 30.0
KITTI_DEPTH_SCALE = 256.0


@dataclass(frozen=True)
class SourceFrame:
    """An image, uint8 BGR (H, W, 3), its calibration, and where it and its measured depth lie (if on disk)."""

    image: Array
    calibration: Calibration
    path: Path | None = None
    truth: Path | None = None


class Source(Protocol):
    """A stream of frames. ``count`` is frames per pass, None where nobody knows; ``live`` paces itself."""

    name: str
    rate_hz: float
    count: int | None
    live: bool

    def frames(self) -> Iterator[SourceFrame]:
        """One pass over the source, from its start."""
        ...


@dataclass(frozen=True)
class CameraChoice:
    """What the user said about the camera: a file, or intrinsics in pixels, or a field of view, or nothing."""

    file: Path | None = None
    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None
    hfov_deg: float | None = None

    @staticmethod
    def from_arguments(args: argparse.Namespace) -> CameraChoice:
        choice = CameraChoice(args.camera, args.fx, args.fy, args.cx, args.cy, args.hfov)
        ways = [
            name
            for name, given in (
                ("--camera", choice.file is not None),
                ("--fx/--fy/--cx/--cy", any(v is not None for v in (choice.fx, choice.fy, choice.cx, choice.cy))),
                ("--hfov", choice.hfov_deg is not None),
            )
            if given
        ]
        if len(ways) > 1:
            raise CloudyPointsError(f"The camera was given as {' and as '.join(ways)}; give it one way.")
        return choice

    def calibration(self, image: Path | None, root: Path | None, width: int, height: int) -> Calibration:
        """The calibration of an image of this size: the user's choice, else the file found for ``image``."""
        if self.file is not None:
            calibration = load_calibration(self.file)
        elif self.hfov_deg is not None:
            calibration = Calibration.of(camera_from_hfov(width, height, self.hfov_deg))
        elif any(v is not None for v in (self.fx, self.fy, self.cx, self.cy)):
            calibration = Calibration.of(self._pinhole(width, height))
        elif image is not None:
            calibration = load_calibration(find_camera(image, root))
        else:
            raise CloudyPointsError(
                "A camera device carries no calibration; give --camera FILE, or --fx --fy --cx --cy in pixels, or "
                "--hfov DEGREES."
            )
        try:
            calibration.require_image(width, height)
        except CloudyPointsError as error:
            where = self.file or (find_camera(image, root) if image is not None and not self._given else "--camera")
            raise CloudyPointsError(f"{where} does not fit {image or 'the device'}: {error}") from error
        return calibration

    @property
    def _given(self) -> bool:
        return any(v is not None for v in (self.file, self.fx, self.fy, self.cx, self.cy, self.hfov_deg))

    def _pinhole(self, width: int, height: int) -> Camera:
        if self.fx is None:
            raise CloudyPointsError("Intrinsics were given without --fx; give --fx in pixels (the rest has defaults).")
        return Camera(
            width,
            height,
            self.fx,
            self.fx if self.fy is None else self.fy,
            (width - 1) / 2 if self.cx is None else self.cx,
            (height - 1) / 2 if self.cy is None else self.cy,
        )


def add_camera_arguments(parser: argparse.ArgumentParser) -> None:
    """The options :meth:`CameraChoice.from_arguments` reads."""
    group = parser.add_argument_group("camera (by default the camera file beside the images)")
    group.add_argument("--camera", type=Path, metavar="FILE", help="camera.json or a camera_calibration YAML")
    group.add_argument("--fx", type=float, metavar="PX", help="focal length in pixels")
    group.add_argument("--fy", type=float, metavar="PX", help="vertical focal length (default: fx)")
    group.add_argument("--cx", type=float, metavar="PX", help="principal point (default: the image's middle)")
    group.add_argument("--cy", type=float, metavar="PX", help="principal point (default: the image's middle)")
    group.add_argument("--hfov", type=float, metavar="DEG", help="horizontal field of view instead of intrinsics")


def find_images(path: Path) -> list[Path]:
    """The images under a folder in natural order (2 before 10), or the one image that ``path`` is.

    Depth and disparity files (``depth.*``, ``*_disparity.*``, ``*_depth*.*``, a folder called depth or disparity)
    and hidden files are not images.
    """
    if path.is_file():
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise CloudyPointsError(
                f"{path} is not an image file; expected one of {', '.join(sorted(IMAGE_SUFFIXES))}."
            )
        return [path]
    if not path.is_dir():
        raise CloudyPointsError(f"{path} does not exist; give an existing image or folder.")
    images = [p for p in path.rglob("*") if _is_image(p.relative_to(path)) and p.is_file()]
    if not images:
        raise CloudyPointsError(
            f"The folder {path} holds no images; give one with {', '.join(sorted(IMAGE_SUFFIXES))} files (depth.*, "
            "*_disparity.* and *_depth*.* do not count)."
        )
    return sorted(images, key=lambda p: _natural(p.relative_to(path)))


def find_camera(image: Path, root: Path | None = None) -> Path:
    """The camera file of an image or video.

    In its folder and each parent up to ``root``, at least one level up: Cityscapes' ``*_camera.json``, then
    ``camera.json``, then ``camera_info.yaml``; also Cityscapes' parallel tree ``camera/...`` beside
    ``leftImg8bit/...``.
    """
    own = f"{re.sub(r'_(leftImg8bit|rightImg8bit)$', '', image.stem)}_camera.json"
    folders = _folders_up(image, root)
    for folder in folders:
        for name in (own, *CAMERA_FILES):
            if (folder / name).is_file():
                return folder / name
    parts = list(image.absolute().parent.parts)
    for tree in ("leftImg8bit", "rightImg8bit"):
        if tree in parts:
            at = len(parts) - 1 - parts[::-1].index(tree)
            parallel = Path(*parts[:at], "camera", *parts[at + 1 :], own)
            if parallel.is_file():
                return parallel
    raise CloudyPointsError(
        f"No camera file was found for {image}: looked for {own}, {', '.join(CAMERA_FILES)} in "
        f"{', '.join(str(f) for f in folders)}. Put one there, or give --camera FILE, or --fx --fy --cx --cy in "
        "pixels, or --hfov DEGREES."
    )


def truth_for(image: Path) -> Path | None:
    """The measured depth of an image: ``depth/NAME.png`` beside its folder, or ``depth.png`` beside ``image.*``."""
    candidates = [image.parent.parent / "depth" / f"{image.stem}.png"]
    if image.stem == "image":
        candidates.insert(0, image.with_name("depth.png"))
    return next((p for p in candidates if p != image and p.is_file()), None)


def read_truth(path: Path) -> Array:
    """Metres along Z, float32 (H, W), NaN where nothing was measured, from a KITTI PNG (uint16, metres x 256)."""
    raw = _decoded(path, cv2.IMREAD_UNCHANGED)
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
        found = "unreadable" if raw is None else f"{raw.dtype} with shape {raw.shape}"
        raise CloudyPointsError(
            f"The depth file {path} is {found}; expected a 16-bit one-channel PNG of metres x 256, 0 = unknown."
        )
    depth = raw.astype(np.float32) / np.float32(KITTI_DEPTH_SCALE)
    depth[raw == 0] = np.nan
    return np.asarray(depth)


def read_image(path: Path) -> Array:
    """uint8 BGR (H, W, 3), the stored pixels: not turned by EXIF, because camera files describe these."""
    image = _decoded(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise CloudyPointsError(f"The image {path} cannot be read; it is damaged or of an unknown format, replace it.")
    return image


def _decoded(path: Path, flags: int) -> Array | None:
    """What OpenCV makes of an image file; None when it cannot read it."""
    try:
        image = cv2.imread(str(path), flags)
    except cv2.error:  # such as a header that promises 60000 x 60000 pixels
        return None
    return None if image is None else np.asarray(image)


def open_source(spec: str, cameras: CameraChoice, rate_hz: float | None = None) -> Source:
    """The source a user named: a folder, an image, a video, ``/dev/videoN`` or N; ``rate_hz`` overrides its own.

    The first frame is read here, so that a source that cannot work says so before anything starts.
    """
    if rate_hz is not None and not 0 < rate_hz <= 1000:
        raise CloudyPointsError(f"The rate is {rate_hz} Hz; expected more than 0 and at most 1000.")
    path = Path(spec)
    if path.is_dir() or (path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES):
        return ImageSource(path, cameras, rate_hz)
    if re.fullmatch(r"/dev/video\d+|\d+", spec):
        return DeviceSource(spec, cameras, rate_hz)
    if path.is_file():
        return VideoSource(path, cameras, rate_hz)
    raise CloudyPointsError(
        f"The source {spec} does not exist; give a folder of images, an image, a video, or a camera (/dev/video0 or 0)."
    )


class ImageSource:
    """The images of a folder in natural order, or a single image."""

    live = False

    def __init__(self, path: Path, cameras: CameraChoice, rate_hz: float | None = None) -> None:
        self.name = str(path)
        self._paths = find_images(path)
        self._root = path if path.is_dir() else None
        self._cameras = cameras
        self._last: SourceFrame | None = None
        self.count: int | None = len(self._paths)
        first = self._frame(self._paths[0])
        del first
        self.rate_hz = rate_hz or self._recorded_rate() or FOLDER_RATE_HZ

    def frames(self) -> Iterator[SourceFrame]:
        for path in self._paths:
            yield self._frame(path)

    def _frame(self, path: Path) -> SourceFrame:
        # A repeated still is decoded once.
        if self._last is None or self._last.path != path:
            image = read_image(path)
            calibration = self._cameras.calibration(path, self._root, image.shape[1], image.shape[0])
            self._last = SourceFrame(image, calibration, path, truth_for(path))
        return self._last

    def _recorded_rate(self) -> float | None:
        """``rate_hz`` of the camera.json found for the images, if it states one."""
        try:
            record = json.loads(find_camera(self._paths[0], self._root).read_text(encoding="utf-8"))
            rate = float(record["rate_hz"])
        except (CloudyPointsError, OSError, ValueError, TypeError, KeyError):
            return None
        return rate if rate > 0 else None


class VideoSource:
    """A video file; the camera file lies beside it."""

    live = False

    def __init__(self, path: Path, cameras: CameraChoice, rate_hz: float | None = None) -> None:
        self.name = str(path)
        self._path = path
        capture = _opened(cv2.VideoCapture(str(path)), path)
        ok, image = capture.read()
        fps, count = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        if not ok:
            raise CloudyPointsError(f"The video {path} holds no readable frame; give another or re-encode it (H.264).")
        self._calibration = cameras.calibration(path, None, image.shape[1], image.shape[0])
        self.rate_hz = rate_hz or (fps if np.isfinite(fps) and 0 < fps <= 1000 else FOLDER_RATE_HZ)
        self.count: int | None = count if count > 0 else None

    def frames(self) -> Iterator[SourceFrame]:
        capture = _opened(cv2.VideoCapture(str(self._path)), self._path)
        try:
            while True:
                ok, image = capture.read()
                if not ok:
                    return
                yield SourceFrame(image, self._calibration)
        finally:
            capture.release()


class DeviceSource:
    """A camera attached to this machine: endless, paced by the device."""

    live = True
    count: int | None = None

    def __init__(self, spec: str, cameras: CameraChoice, rate_hz: float | None = None) -> None:
        self.name = spec if spec.startswith("/") else f"/dev/video{spec}"
        self._number = int(re.sub(r"\D", "", spec))
        self._cameras = cameras
        self._wanted = rate_hz
        capture = self._open()
        ok, image = capture.read()
        fps = capture.get(cv2.CAP_PROP_FPS)
        capture.release()  # the process that streams opens it again
        if not ok:
            raise CloudyPointsError(f"The camera {self.name} gives no image; close other programs that use it.")
        cameras.calibration(None, None, image.shape[1], image.shape[0])
        self.rate_hz = rate_hz or (fps if np.isfinite(fps) and fps > 0 else DEVICE_RATE_HZ)

    def frames(self) -> Iterator[SourceFrame]:
        capture = self._open()
        try:
            while True:
                ok, image = capture.read()
                if not ok:
                    return
                yield SourceFrame(image, self._cameras.calibration(None, None, image.shape[1], image.shape[0]))
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self._number)
        if not capture.isOpened():
            raise CloudyPointsError(
                f"The camera {self.name} cannot be opened; check that it is plugged in, that nobody else uses it and "
                "that you may read it (group video)."
            )
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest image, not a queue of old ones
        if self._wanted is not None:
            capture.set(cv2.CAP_PROP_FPS, self._wanted)
        return capture


def _opened(capture: cv2.VideoCapture, path: Path) -> cv2.VideoCapture:
    if not capture.isOpened():
        raise CloudyPointsError(
            f"The video {path} cannot be read; give a video that OpenCV plays ({', '.join(sorted(VIDEO_SUFFIXES))}), "
            "a folder of images or an image."
        )
    return capture


def _is_image(relative: Path) -> bool:
    return (
        relative.suffix.lower() in IMAGE_SUFFIXES
        and not NOT_IMAGES.search(relative.stem)
        and not any(part.startswith(".") or part.lower() in NOT_IMAGE_FOLDERS for part in relative.parts[:-1])
        and not relative.name.startswith(".")
    )


def _natural(path: Path) -> list[list[tuple[int, int, str]]]:
    """Sort key of a relative path: numbers inside names compare as numbers."""
    return [
        [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece.lower()) for piece in re.split(r"(\d+)", part)]
        for part in path.parts
    ]


def _folders_up(image: Path, root: Path | None) -> list[Path]:
    """The image's folder, then its parents up to ``root``, at least one."""
    folder = image.absolute().parent
    last = folder.parent if root is None or root.absolute() == folder else root.absolute()
    folders = [folder]
    while folder != last and last in folder.parents:
        folder = folder.parent
        folders.append(folder)
    return folders
