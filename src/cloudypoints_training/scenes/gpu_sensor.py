"""sensor.expose on a GPU: the same steps as OpenCV takes on the CPU, as operations on tensors.

Development and noise are the CPU's own code (gpu_kernels). OpenCV's resizing and blurring work on rows and columns
apart, so a step along one axis is a product with a matrix, and that matrix is what OpenCV makes of the identity.
A JPEG is only quantised, never written: no other step of it loses anything.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cloudypoints_training.scenes import gpu_kernels as kernels
from cloudypoints_training.scenes.gpu_arrays import array, upload
from cloudypoints_training.scenes.sensor import BLOOM_SIGMA, SHARPEN, Exposure, bloom_size


def expose(linear: Tensor, how: Exposure) -> Tensor:
    """Turns linear radiance (H, W, 3) float32 into an RGB image (H, W, 3) uint8, on its device."""
    height, width = linear.shape[:2]
    device = linear.device
    luminance = linear[height // 3 :: 4, ::4].mean(dim=2)
    level = (luminance.clamp(min=0) + 0.003).log().mean().exp().double()
    gains = how.gain(level) * upload(how.balance, device)
    image = torch.empty_like(linear)
    kernels.develop[kernels.over(width, height)](
        array(linear), array(gains), how.vignette, how.stray, how.shoulder, array(upload(how.curve, device)),
        how.saturation, array(image),
    )  # fmt: skip
    if how.bloom:
        small = resize(image, *bloom_size(width, height), cv2.INTER_AREA)
        image += 2.0 * resize(blur((small - 0.9).clamp(min=0), BLOOM_SIGMA), width, height, cv2.INTER_LINEAR)
    if how.blur > 0:
        image = blur(image, how.blur)
    image8 = torch.empty(linear.shape, dtype=torch.uint8, device=device)
    kernels.quantise[kernels.over(width, height)](
        array(image.contiguous()), array(upload(how.field, device)), how.noise, array(image8)
    )
    if how.sharpen:
        image8 = _rounded(convolve(image8.float(), SHARPEN))
    if how.quality is not None:
        image8 = compress(image8, how.quality)
    return image8.contiguous()


def resize(image: Tensor, width: int, height: int, interpolation: int) -> Tensor:
    """cv2.resize of (H, W, C) float32."""
    # In float64, as matrix products in float32 may be set to TF32.
    down = _resizer(image.shape[0], height, interpolation, image.device)
    across = _resizer(image.shape[1], width, interpolation, image.device)
    return torch.einsum("vh,hwc,uw->vuc", down, image.double(), across).float()


def blur(image: Tensor, sigma: float) -> Tensor:
    """cv2.GaussianBlur of (H, W, C) float32."""
    size = round(sigma * 8 + 1) | 1  # OpenCV's choice for float32
    line = cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
    return convolve(convolve(image, line), line.T)


def convolve(image: Tensor, kernel: np.ndarray) -> Tensor:
    """cv2.filter2D of (H, W, C) float32 with a kernel of odd sides; the border is mirrored."""
    high, wide = kernel.shape
    height, width = image.shape[:2]
    mirrored = image[_mirrored(height, high // 2, image.device)][:, _mirrored(width, wide // 2, image.device)]
    # Not conv2d: by default it works with the ten bits of TF32 on a GPU.
    out = torch.zeros_like(image)
    for v, u in np.argwhere(kernel):
        out += float(kernel[v, u]) * mirrored[v : v + height, u : u + width]
    return out


def compress(image: Tensor, quality: int) -> Tensor:
    """What cv2.imdecode gives back of cv2.imencode(".jpg") for (H, W, 3) uint8."""
    height, width = image.shape[:2]
    device = image.device
    light, tint = (torch.from_numpy(t).to(device) for t in _quantisation(quality))
    # OpenCV takes the channels for blue, green and red, whatever they are.
    b, g, r = image.double().unbind(dim=2)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    y, cb, cr = (torch.round(p) for p in (luma, 128 + (b - luma) / 1.772, 128 + (r - luma) / 1.402))
    y = _through_cosines(_filled(y, _ceil(height, 8), _ceil(width, 8)), light)[:height, :width]
    cb, cr = (_doubled(_through_cosines(_halved(p), tint), height, width) - 128 for p in (cb, cr))
    green = y - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587
    return _rounded(torch.stack([y + 1.772 * cb, green, y + 1.402 * cr], dim=2))


def _halved(plane: Tensor) -> Tensor:
    """A plane (H, W) at half its size, filled up to whole blocks, as libjpeg does."""
    height, width = plane.shape
    # Columns are filled up before, rows afterwards; halves are rounded down in even columns and up in odd ones.
    means = F.avg_pool2d(_filled(plane, _ceil(height, 2), _ceil(width, 16))[None], 2)[0]
    up = 0.25 + 0.25 * (torch.arange(means.shape[1], device=plane.device) % 2)
    return _filled(torch.floor(means + up), _ceil(height, 16) // 2, means.shape[1])


def _doubled(plane: Tensor, height: int, width: int) -> Tensor:
    """The (height, width) of which `plane` is the filled up half, interpolated as libjpeg does."""
    half = plane[: (height + 1) // 2, : (width + 1) // 2]
    return F.interpolate(half[None, None], scale_factor=2, mode="bilinear")[0, 0, :height, :width].round()


def _filled(plane: Tensor, height: int, width: int) -> Tensor:
    """A plane with its last row and column repeated up to a size."""
    rows, columns = (torch.arange(size, device=plane.device) for size in (height, width))
    return plane[rows.clamp(max=plane.shape[0] - 1)][:, columns.clamp(max=plane.shape[1] - 1)]


def _ceil(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _through_cosines(plane: Tensor, steps: Tensor) -> Tensor:
    """A plane (H, W) whose 8 x 8 blocks lost what their quantised cosine transforms lose."""
    basis = _cosines(plane.device)
    blocks = plane.reshape(plane.shape[0] // 8, 8, plane.shape[1] // 8, 8) - 128
    waves = torch.einsum("ip,apbq,jq->aibj", basis, blocks, basis)
    times = waves / steps[:, None, :]
    # Halves, which are frequent, away from zero.
    waves = torch.sign(times) * torch.floor(times.abs() + 0.5 + 1e-9) * steps[:, None, :]
    return (torch.einsum("ip,aibj,jq->apbq", basis, waves, basis).reshape(plane.shape) + 128).round().clamp(0, 255)


def _rounded(image: Tensor) -> Tensor:
    return image.round().clamp(0, 255).to(torch.uint8)


@cache
def _resizer(size: int, wanted: int, interpolation: int, device: torch.device) -> Tensor:
    """The matrix (wanted, size) of OpenCV's resizing along one axis."""
    columns = cv2.resize(np.eye(size, dtype=np.float32), (size, wanted), interpolation=interpolation)
    return torch.from_numpy(columns).double().to(device)


@cache
def _mirrored(size: int, border: int, device: torch.device) -> Tensor:
    """Which rows a picture mirrored beyond its edges consists of."""
    rows = [cv2.borderInterpolate(i, size, cv2.BORDER_REFLECT_101) for i in range(-border, size + border)]
    return torch.tensor(rows, device=device)


@cache
def _cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform of 8 values, (frequency, place)."""
    return torch.from_numpy(cv2.dct(np.eye(8), flags=cv2.DCT_ROWS).T.copy()).to(device)


@cache
def _quantisation(quality: int) -> tuple[np.ndarray, np.ndarray]:
    """OpenCV's steps for brightness and colour, (8, 8) each, as the head of one of its files names them."""
    _, coded = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    head = coded.tobytes()
    zigzag = sorted(range(64), key=lambda k: (k // 8 + k % 8, (k // 8 if (k // 8 + k % 8) % 2 else k % 8)))
    tables = np.empty((2, 64))
    at = 0
    for table in tables:
        at = head.index(b"\xff\xdb", at) + 5  # marker, length, number
        table[zigzag] = np.frombuffer(head, np.uint8, 64, at)
        at += 64
    return tables[0].reshape(8, 8), tables[1].reshape(8, 8)
