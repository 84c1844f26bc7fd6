"""Well-known public depth networks: what their ONNX files look like, what their numbers mean, where they come from.

Nothing here was run with the publishers' weights: sizes, constants and licences are from the publishers' documentation
and code, named in each entry. ``cloudypoints models add`` therefore asks before it takes an entry's card, runs a frame,
and leaves the judgement of the metres to whoever has a camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import InputSize, Mask, ModelCard, ModelInput, ModelOutput
from cloudypoints_ros.model_library.onnx_file import OnnxFile, Tensor

Triple = tuple[float, float, float]

IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES: tuple[Triple, Triple] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NONE: tuple[Triple, Triple] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
INPUTS = ("pixel_values", "image", "input", "images", "x", "0")
# Stored numbers of an export differ a little from the network's: folded constants, scales of integers.
PARAMETERS_TOLERANCE = 0.15
# Where a graph subtracts a mean from its input by itself, the card must not.
_NORMALISES = frozenset({"Sub", "Div"})


@dataclass(frozen=True)
class Entry:
    """One network.

    ``outputs`` are the names by which its exporters call the depth; ``needs`` are operators that its graph has and
    ``lacks`` those it has not, by which it is told from its siblings. ``size`` is what a graph with free sizes takes;
    ``fixed`` says that it takes the preferred one only, whatever its graph declares.
    """

    title: str
    outputs: tuple[str, ...]
    parameters: int
    size: InputSize
    normalisation: tuple[Triple, Triple]
    quantity: str
    unit: str
    range_m: tuple[float, float]
    licence: str
    sources: tuple[str, ...]
    note: str
    fixed: bool = False
    resize: str = "letterbox"
    canonical_focal_px: float | None = None
    sky: Mask | None = None
    needs: frozenset[str] = field(default_factory=frozenset)
    lacks: frozenset[str] = field(default_factory=frozenset)


def _outdoor(letter: str, name: str, parameters: int, licence: str) -> Entry:
    return Entry(
        title=f"Depth Anything V2 metric outdoor, {name} (ViT-{letter})",
        outputs=("predicted_depth", "depth", "output"),
        parameters=parameters,
        # A short side of 518, as its authors resize; twice as wide is the widest.
        size=InputSize((126, 126), (518, 1036), (518, 1036), 14),
        normalisation=IMAGENET,
        quantity="depth",
        unit="metre",
        range_m=(0.1, 80.0),
        licence=licence,
        sources=(
            f"https://huggingface.co/depth-anything/Depth-Anything-V2-Metric-Outdoor-{name.capitalize()}-hf",
            "https://github.com/fabio-sim/Depth-Anything-ONNX/releases (ONNX exports by a third party)",
        ),
        note="Metres up to 80, trained on Virtual KITTI 2; it takes no focal length, so cameras unlike KITTI's get a "
        "wrong scale. The indoor version looks the same as a file but was trained up to 20 m.",
        resize="stretch",
        needs=frozenset({"Sigmoid"}),
    )


CATALOGUE: dict[str, Entry] = {
    "depth_anything_v2_metric_outdoor_small": _outdoor("S", "small", 24_800_000, "Apache-2.0"),
    "depth_anything_v2_metric_outdoor_base": _outdoor("B", "base", 97_500_000, "CC-BY-NC-4.0"),
    "depth_anything_v2_metric_outdoor_large": _outdoor("L", "large", 335_300_000, "CC-BY-NC-4.0"),
    "da3metric_large": Entry(
        title="Depth Anything 3, DA3METRIC-LARGE with depth and sky",
        outputs=("depth",),
        parameters=350_000_000,
        size=InputSize((280, 504), (280, 504), (280, 504)),
        normalisation=IMAGENET,
        quantity="depth",
        unit="metre",
        range_m=(0.1, 200.0),
        licence="Apache-2.0 by the table of its repository; check the licence of the file",
        sources=(
            "https://huggingface.co/depth-anything/DA3METRIC-LARGE",
            "https://huggingface.co/TillBeemelmanns/Depth-Anything-V3-ONNX (ONNX export of the ika node's author)",
        ),
        note="Metres are f_net / 300 times the output (its README, and the ika node ros2-depth-anything-v3-trt). Sky "
        "is where its output is 0.3 or more, as the ika node computes it; that node's README says the reverse.",
        canonical_focal_px=300.0,
        sky=Mask("sky", "above", 0.3),
    ),
    "midas_v21_small": Entry(
        title="MiDaS v2.1 small",
        outputs=("797", "output", "depth", "predicted_depth", "inv_depth"),
        parameters=16_600_000,
        size=InputSize((256, 256), (256, 256), (256, 256)),
        normalisation=IMAGENET,
        quantity="inverse_depth",
        unit="relative",
        range_m=(1e-5, 1.0),
        licence="MIT",
        sources=("https://github.com/isl-org/MiDaS/releases/download/v2_1/model-small.onnx",),
        note="Relative inverse depth with an unknown scale and an unknown shift; a scale source mends the scale only. "
        "Files whose graph subtracts the mean by itself are given pixels from 0 to 1.",
        fixed=True,
        resize="stretch",
        lacks=frozenset({"Softmax"}),
    ),
    "dpt_hybrid": Entry(
        title="MiDaS v3 DPT-Hybrid",
        outputs=("predicted_depth", "output", "depth"),
        parameters=122_400_000,
        size=InputSize((384, 384), (384, 384), (384, 384)),
        normalisation=HALVES,
        quantity="inverse_depth",
        unit="relative",
        range_m=(1e-5, 1.0),
        licence="Apache-2.0 at huggingface.co/Intel, MIT at github.com/isl-org/MiDaS; check the licence of the file",
        sources=(
            "https://huggingface.co/Intel/dpt-hybrid-midas",
            "https://huggingface.co/Xenova/dpt-hybrid-midas (ONNX export by a third party)",
        ),
        note="Relative inverse depth with an unknown scale and an unknown shift; a scale source mends the scale only. "
        "Its exports declare free sizes but take 384x384 alone.",
        fixed=True,
        resize="stretch",
        needs=frozenset({"Softmax"}),
    ),
}


def fits(entry: Entry, onnx: OnnxFile) -> str:
    """Why the tensors of a file are not those of an entry; "" when they are."""
    image = _image(onnx)
    if image is None:
        found = ", ".join(map(str, onnx.inputs)) or "none"
        return f"its inputs are {found}, expected one image (1, 3, height, width) called {' or '.join(INPUTS)}"
    names = [output.name for output in onnx.outputs]
    wanted = [next((name for name in entry.outputs if name in names), None), entry.sky.tensor if entry.sky else ""]
    if wanted[0] is None or (wanted[1] and wanted[1] not in names):
        sky = f" and {entry.sky.tensor}" if entry.sky else ""
        return f"its outputs are {', '.join(names)}, expected {' or '.join(entry.outputs)}{sky}"
    for length, preferred, axis in zip(image.shape[2:], entry.size.opt, ("height", "width"), strict=True):
        if isinstance(length, int) and length % entry.size.multiple:
            return f"its {axis} is {length}, expected a multiple of {entry.size.multiple}"
        if isinstance(length, int) and entry.fixed and length != preferred:
            return f"its {axis} is {length}, expected {preferred}"
    return ""


def looks_like(onnx: OnnxFile) -> list[str]:
    """The entries that a file may be: tensors, operators and the number of parameters agree."""
    operators = set(onnx.operators)
    return [
        name
        for name, entry in CATALOGUE.items()
        if not fits(entry, onnx)
        and entry.needs <= operators
        and not entry.lacks & operators
        and abs(onnx.parameters / entry.parameters - 1) <= PARAMETERS_TOLERANCE
    ]


def card_of(name: str, onnx: OnnxFile) -> ModelCard:
    """The card of an entry for the tensors and the size of this file; CloudyPointsError when it is another network."""
    if name not in CATALOGUE:
        raise CloudyPointsError(f"The catalogue has no '{name}'; expected one of {', '.join(CATALOGUE)}.")
    entry = CATALOGUE[name]
    reason, image = fits(entry, onnx), _image(onnx)
    if reason or image is None:
        raise CloudyPointsError(
            f"The file is not {entry.title}: {reason}; give another name with --as, or a card with --card."
        )
    normalised_inside = entry.normalisation == IMAGENET and bool(onnx.readers & _NORMALISES)
    mean, std = NONE if normalised_inside else entry.normalisation
    names = [output.name for output in onnx.outputs]
    return ModelCard(
        name=name,
        input=ModelInput(
            tensor=image.name,
            size=_size(entry, image),
            # A shape that the graph fixes may be far from the camera's; one that is free is only rounded.
            resize="letterbox" if entry.resize == "stretch" and _is_fixed(image) and not entry.fixed else entry.resize,
            colour="rgb",
            scale=1 / 255,
            mean=mean,
            std=std,
        ),
        output=ModelOutput(
            tensor=next(each for each in entry.outputs if each in names),
            quantity=entry.quantity,
            unit=entry.unit,
            range_m=entry.range_m,
            canonical_focal_px=entry.canonical_focal_px,
            sky=entry.sky,
        ),
        licence=entry.licence,
        provenance={
            "source": entry.sources[0],
            "note": entry.note,
            "card": "from the catalogue of cloudypoints_ros, after the publisher's documentation; not tested with "
            "these weights",
        },
    )


def _image(onnx: OnnxFile) -> Tensor | None:
    if len(onnx.inputs) != 1:
        return None
    tensor = onnx.inputs[0]
    three = len(tensor.shape) == 4 and (tensor.shape[1] == 3 or isinstance(tensor.shape[1], str))
    return tensor if three and tensor.name in INPUTS else None


def _is_fixed(image: Tensor) -> bool:
    return any(isinstance(length, int) for length in image.shape[2:])


def _size(entry: Entry, image: Tensor) -> InputSize:
    """The entry's size, where the graph fixes an axis that of the graph."""
    low, middle, high = list(entry.size.min), list(entry.size.opt), list(entry.size.max)
    for axis, length in enumerate(image.shape[2:]):
        if isinstance(length, int):
            low[axis] = middle[axis] = high[axis] = length
    return InputSize((low[0], low[1]), (middle[0], middle[1]), (high[0], high[1]), entry.size.multiple)
