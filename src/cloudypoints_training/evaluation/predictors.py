"""What is scored: an ONNX file as users run it, a checkpoint through the same pipeline, or a folder of depth maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.preprocess import Placement, place
from cloudypoints_training.sample import Sample

Array = npt.NDArray[Any]

Output = Callable[[dict[str, Array]], Array]

MILLIMETRES = 1000.0


@dataclass(frozen=True)
class Prediction:
    """float32 (H, W) of the image's size: metres (NaN none, +inf sky) and, where the model says it, log variance."""

    depth: Array
    log_variance: Array | None = None


class Predictor(Protocol):
    """`reads_images` is false where the answers lie on disk and another image would change nothing."""

    reads_images: bool

    def __call__(self, sample: Sample) -> Prediction: ...


class Engine(Protocol):
    """What `Pipeline` runs: float32 tensors by name in and out."""

    name: str
    precision: str

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]: ...


def open_predictor(path: Path, threads: int = 1) -> Predictor:
    """A `.onnx`, a `.safetensors` checkpoint of `fit`, or a folder that `cloudypoints predict` wrote."""
    if path.is_dir():
        return FolderPredictor(path)
    if path.suffix == ".safetensors":
        return _checkpoint(path, threads)
    if path.suffix == ".onnx":
        pipeline = Pipeline.open(path, threads=threads)
        variance = pipeline.card.output.log_variance
        return PipelinePredictor(pipeline.card, pipeline.engine, variance and _onnx_output(path, variance, threads))
    found = "cannot be scored" if path.exists() else "does not exist"
    raise CloudyPointsError(
        f"{path} {found}; expected a .onnx model, a .safetensors checkpoint or a folder of predictions."
    )


class PipelinePredictor:
    """The runtime's own pipeline, and beside it the variance, of which that makes nothing.

    `variance` gives the tensor of log variance for the inputs that the engine got.
    """

    reads_images = True

    def __init__(self, card: ModelCard, engine: Engine, variance: Output | None = None) -> None:
        self._engine, self._variance = engine, variance
        self.name, self.precision = engine.name, engine.precision
        self._pipeline = Pipeline(card, self)

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        self._inputs = inputs
        return self._engine.infer(inputs)

    def __call__(self, sample: Sample) -> Prediction:
        depth = self._pipeline.depth(sample.image, sample.camera).depth
        if self._variance is None:
            return Prediction(depth)
        height, width = depth.shape
        card = self._pipeline.card.input
        placement = place(width, height, card.size, card.resize)
        return Prediction(depth, _resized(self._variance(self._inputs), placement, width, height))


def _onnx_output(path: Path, name: str, threads: int) -> Output:
    """One output of an ONNX file; the runtime's engine computes only those that it needs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run([name], inputs)[0]


def _resized(tensor: Array, placement: Placement, width: int, height: int) -> Array:
    """A network output at the image's size, bilinear, without the letterbox."""
    plane = np.ascontiguousarray(tensor.reshape(tensor.shape[-2:]), np.float32)
    rows = _positions(height, placement.top, placement.image_height, placement.height, plane.shape[0])
    columns = _positions(width, placement.left, placement.image_width, placement.width, plane.shape[1])
    grid = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    return np.asarray(cv2.remap(plane, *grid, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _positions(length: int, start: int, image_length: int, net_length: int, map_length: int) -> Array:
    """Where the centres of `length` pixels lie in the network's map, kept inside the image's part of it."""
    ratio = map_length / net_length
    position = ((np.arange(length) + 0.5) * (image_length / length) + start) * ratio - 0.5
    return np.clip(position, (start + 0.5) * ratio - 0.5, (start + image_length - 0.5) * ratio - 0.5)


class FolderPredictor:
    """Depth maps on disk: `.npy` float32 metres, or `.png` uint16 millimetres in which 0 is no answer.

    A sample called a/b is looked for as a/b.*, a/b/image.* and, of Cityscapes, a/b_leftImg8bit.*, below any folder.
    """

    reads_images = False

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, list[Path]] = {}
        files = [f for f in sorted(root.rglob("*")) if f.suffix in (".npy", ".png") and not f.stem.endswith("_color")]
        numbers = {f.with_suffix("") for f in files if f.suffix == ".npy"}
        for file in files:
            if file.suffix == ".png" and file.with_suffix("") in numbers:
                continue  # the same depth, with fewer digits
            for name in _names(file.relative_to(root)):
                self._files.setdefault(name, []).append(file)
        if not self._files:
            raise CloudyPointsError(
                f"{root} holds no .npy or .png; give a folder that cloudypoints predict TREE -o OUT --format npy wrote."
            )

    def __call__(self, sample: Sample) -> Prediction:
        files = self._files.get(sample.name, [])
        if len(files) != 1:
            found = "no depth" if not files else f"{len(files)} depths ({', '.join(str(f) for f in files[:3])})"
            raise CloudyPointsError(
                f"{self._root} holds {found} for {sample.name}; expected one {sample.name}.npy or "
                f"{sample.name}/image.npy (or .png): predict the very tree that is scored."
            )
        depth = read_depth(files[0])
        if depth.shape != sample.depth.shape:
            height, width = sample.depth.shape
            raise CloudyPointsError(
                f"{files[0]} is {depth.shape[1]}x{depth.shape[0]} but the truth of {sample.name} is {width}x{height}; "
                "predict at the size of the images."
            )
        return Prediction(depth)


def read_depth(path: Path) -> Array:
    """float32 (H, W) metres, NaN none, +inf sky, as `cloudypoints predict` writes them."""
    try:
        depth = np.load(path) if path.suffix == ".npy" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except (OSError, ValueError, EOFError) as error:
        raise CloudyPointsError(f"{path} cannot be read ({error}); predict it again.") from error
    wanted = "a float array of metres" if path.suffix == ".npy" else "a 16-bit one-channel PNG of millimetres"
    kind = "f" if path.suffix == ".npy" else "u"
    if depth is None or depth.ndim != 2 or depth.dtype.kind != kind or depth.dtype.itemsize == 1:
        found = "damaged" if depth is None else f"{depth.dtype} of shape {depth.shape}"
        raise CloudyPointsError(f"{path} is {found}; expected {wanted}, as cloudypoints predict writes.")
    if kind == "f":
        return np.asarray(depth, np.float32)
    return np.where(depth > 0, depth / np.float32(MILLIMETRES), np.float32(np.nan))


def _names(path: Path) -> list[str]:
    """What a sample may be called whose prediction this is: every tail of its path."""
    parts = list(path.with_suffix("").parts)
    if parts[-1] == "image" and len(parts) > 1:
        parts = parts[:-1]
    parts[-1] = parts[-1].removesuffix("_leftImg8bit")
    return ["/".join(parts[i:]) for i in range(len(parts))]


def _checkpoint(path: Path, threads: int) -> Predictor:
    if not path.is_file():
        raise CloudyPointsError(f"There is no checkpoint {path}; train one with fit.")
    from cloudypoints_training.evaluation.torch_engine import open_checkpoint

    card, engine = open_checkpoint(path, threads)
    return PipelinePredictor(card, engine, engine.variance if card.output.log_variance else None)
