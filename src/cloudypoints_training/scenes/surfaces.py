"""Procedural textures, evaluated per pixel at a point of a primitive's surface."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from cloudypoints_training.scenes import primitives as p

_SHAPE, _HALF, _KIND, _A, _B, _PARAM, _SEED = p.SHAPE, p.HALF, p.KIND, p.COLOUR_A, p.COLOUR_B, p.PARAM, p.SEED
_BOX, _CYLINDER, _CONE, _ELLIPSOID = p.BOX, p.CYLINDER, p.CONE, p.ELLIPSOID
_PLAIN, _NOISE, _BRICK, _WINDOWS, _STRIPES, _CHECKER = (
    p.PLAIN,
    p.NOISE,
    p.BRICK,
    p.WINDOWS,
    p.STRIPES,
    p.CHECKER,
)
_GLASS, _WHEEL, _LIGHT, _PLATE, _PANELS, _FOLIAGE = p.GLASS, p.WHEEL, p.LIGHT, p.PLATE, p.PANELS, p.FOLIAGE
_CELLS, _GRADIENT, _TEXT = p.CELLS, p.GRADIENT, p.TEXT

_SIZE = 256


def _noise_maps() -> np.ndarray:
    """Three tileable (256, 256) maps in 0..1: 1/f, fine, and blobs."""
    rng = np.random.default_rng(7)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(_SIZE) * _SIZE, np.fft.fftfreq(_SIZE) * _SIZE))
    frequency[0, 0] = 1.0
    maps = []
    for spectrum in (
        frequency**-1.2,
        frequency**-0.3,
        np.exp(-(((frequency - 14.0) / 6.0) ** 2)),
    ):
        phase = np.fft.fft2(rng.standard_normal((_SIZE, _SIZE)))
        wave = np.real(np.fft.ifft2(phase * spectrum))
        rank = np.empty(wave.size)
        rank[np.argsort(wave.ravel())] = np.linspace(0.0, 1.0, wave.size)
        gauss = (wave - wave.mean()) / wave.std() * 0.2 + 0.5
        maps.append(np.clip(0.5 * rank.reshape(wave.shape) + 0.5 * gauss, 0.0, 1.0))
    return np.ascontiguousarray(np.stack(maps).astype(np.float32))


NOISE_MAPS = _noise_maps()


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def look_up(maps, layer, u, v):
    """Bilinear value of a tiled map; u and v in texels."""
    iu = math.floor(u)
    iv = math.floor(v)
    fu = u - iu
    fv = v - iv
    x0 = int(iu) & 255
    y0 = int(iv) & 255
    x1 = (x0 + 1) & 255
    y1 = (y0 + 1) & 255
    top = maps[layer, y0, x0] * (1 - fu) + maps[layer, y0, x1] * fu
    low = maps[layer, y1, x0] * (1 - fu) + maps[layer, y1, x1] * fu
    return top * (1 - fv) + low * fv


@njit(cache=True, nogil=True, inline="always")
def hash2(i, j, seed):
    """A number in 0..1 for a cell."""
    value = math.sin(i * 127.1 + j * 311.7 + seed * 74.7) * 43758.5453
    return value - math.floor(value)


@njit(cache=True, nogil=True, inline="always")
def fade(period, footprint):
    """How much of a pattern survives when a pixel covers `footprint` metres of it."""
    return max(0.0, min(1.0, 1.6 - 2.4 * footprint / period))


@njit(cache=True, nogil=True, fastmath=True)
def leaves_solid(maps, x, y, z, grazing, seed):
    """Whether foliage stops the ray at a point of its hull; crumbles towards the silhouette."""
    # Three planes, so that no direction is drawn out into streaks.
    value = look_up(maps, 2, x * 15 + seed * 300, y * 15 + seed * 77)
    value += look_up(maps, 2, y * 15 + seed * 210, z * 15 + seed * 31)
    value += look_up(maps, 1, z * 60 + seed * 91, x * 60 + seed * 12)
    return value > 3.0 - 2.2 * grazing


@njit(cache=True, nogil=True, fastmath=True)
def surface_at(row, lx, ly, lz, nx, ny, nz, footprint, maps, lit_windows):
    """Reflectance r, g, b, gloss and emission at a local point with a local normal.

    `footprint` is the width of a pixel on the surface in metres; patterns fade as it grows.
    """
    kind = int(row[_KIND])
    shape = int(row[_SHAPE])
    hx, hy, hz = row[_HALF], row[_HALF + 1], row[_HALF + 2]
    seed = row[_SEED]
    p0, p1, p2 = row[_PARAM], row[_PARAM + 1], row[_PARAM + 2]
    p3, p4, p5 = row[_PARAM + 3], row[_PARAM + 4], row[_PARAM + 5]
    face = 2
    if (shape == _CYLINDER and abs(nz) < 0.7) or shape == _CONE:
        u = math.atan2(ly, lx) * 0.5 * (hx + hy)
        v = lz + hz
        face = 0
    elif abs(nx) > abs(ny) and abs(nx) > 0.6 * abs(nz):
        u, v, face = ly + hy, lz + hz, 0
    elif abs(ny) > 0.6 * abs(nz):
        u, v, face = lx + hx, lz + hz, 1
    else:
        u, v = lx + hx, ly + hy
    emission = 0.0
    gloss = row[p.GLOSS]
    mix = 0.0
    shade = 1.0
    if kind == _PLAIN:
        shade = 1.0 - p0 * look_up(maps, 0, u * 40 + seed * 200, v * 40 + seed * 97)
    elif kind == _NOISE:
        # p0: metres per texel; p1: stretch along v; p2: contrast.
        scale = max(p0, 1e-4)
        stretch = max(p1, 0.02) if p1 > 0 else 1.0
        value = look_up(maps, 0, u / scale + seed * 256, v / scale / stretch + seed * 191)
        fine = look_up(maps, 1, u / scale * 2.7 + seed * 31, v / scale / stretch * 2.7)
        value = 0.7 * value + 0.3 * (0.5 + (fine - 0.5) * fade(scale * 2, footprint))
        mix = max(0.0, min(1.0, 0.5 + (value - 0.5) * (1.5 + p2)))
    elif kind == _BRICK:
        # p0, p1: length and height of a brick; p2: mortar share.
        keep = fade(p1, footprint)
        course = math.floor(v / p1)
        along = u / p0 + 0.5 * (course % 2)
        column = math.floor(along)
        gap_u = along - column
        gap_v = v / p1 - course
        mortar = gap_u < p2 * p1 / p0 or gap_v < p2
        mix = keep * (1.0 if mortar else 0.0) + (1 - keep) * p2
        shade = 1 + keep * 0.5 * (hash2(column, course, seed) - 0.5)
        shade *= 0.75 + 0.5 * look_up(maps, 0, u * 12 + seed * 200, v * 12)
    elif kind == _WINDOWS and face != 2:
        # p0, p1: window pitch and storey height; p2, p3: window share; p4: ground floor height; p5: bricks.
        wall_noise = look_up(maps, 0, u * 9 + seed * 256, v * 9 + seed * 131)
        shade = 0.78 + 0.44 * wall_noise - 0.12 * max(0.0, 1 - v * 0.7)
        if p5 > 0.5:
            keep = fade(0.075, footprint)
            shade *= 1 - 0.3 * keep * (1.0 if (v / 0.075) % 1.0 < 0.2 else 0.0)
        if v < p4:
            # A shop front: wide panes, dark, with a sign band and a door now and then.
            pane = p0 * 1.6
            column = math.floor(u / pane)
            fu = u / pane - column
            rate = hash2(column, 3.0, seed)
            if v > p4 - 0.65 and v < p4 - 0.1:
                shade *= 0.35 + 1.2 * rate
                letters = hash2(math.floor(u * 5), 9.0, seed)
                if letters > 0.5 and v > p4 - 0.5 and v < p4 - 0.25:
                    shade *= 2.2 if rate < 0.5 else 0.2
            elif fu > 0.07 and fu < 0.93 and v > 0.25 * (1 if rate > 0.3 else 0) and v < p4 - 0.7:
                mix = 1.0
                gloss = 0.75
                goods = look_up(maps, 0, u * 70 + seed * 50, v * 70)
                shade = 0.4 + 1.6 * goods * goods
                emission = lit_windows * (0.5 if rate > 0.35 else 0.0)
        else:
            storey = math.floor((v - p4) / p1)
            column = math.floor(u / p0)
            fu = (u / p0 - column - 0.5) / p2
            fv = ((v - p4) / p1 - storey - 0.52) / p3
            keep = fade(p0 * 0.6, footprint)
            if abs(fu) < 0.5 and abs(fv) < 0.5:
                rate = hash2(column, storey, seed)
                frame = 0.5 - 0.05 / (p0 * p2)
                if abs(fu) > frame or abs(fv) > 0.5 - 0.05 / (p1 * p3) or abs(fu) < 0.02 * (1 if rate > 0.2 else 0):
                    shade = 1.45 * keep + (1 - keep)
                    mix = 0.0
                elif rate > 0.8 and fv > (rate - 0.9) * 6:
                    shade, mix = 1.25, 0.25  # a blind
                else:
                    mix = 0.35 + 0.65 * keep
                    gloss = 0.8 * keep
                    shade = 0.5 + rate
                    if rate * 7 % 1.0 < lit_windows:
                        emission = 0.35 + 0.5 * rate
            elif abs(fu) < 0.62 and fv < -0.5 and fv > -0.58:
                shade *= 1.3
            elif abs(fv + 0.95 / p3 * 0.5) < 0.03 / p3:
                shade *= 0.8
    elif kind == _STRIPES:
        # p0: period; p1: share of b; p2: 0 across u, 1 across v, 2 diagonal.
        place = u if p2 < 0.5 else (v if p2 < 1.5 else u + v)
        keep = fade(p0, footprint)
        mix = keep * (1.0 if (place / p0 + seed) % 1.0 < p1 else 0.0) + (1 - keep) * p1
    elif kind == _CHECKER:
        keep = fade(p0, footprint)
        odd = (math.floor(u / p0) + math.floor(v / p0)) % 2
        mix = keep * odd + (1 - keep) * 0.5
    elif kind == _GLASS:
        value = look_up(maps, 0, u * 30 + seed * 100, v * 30 + seed * 60)
        shade = 0.5 + value
        # Seats and dashboard: darker low down.
        if v < 0.45 * hz:
            shade *= 0.6
        if p0 > 0:
            # p0: how much is seen through the panes behind; p1: metres between seats; p2: where they begin.
            away = abs((u / p1 + p2) % 1.0 - 0.5) * p1
            high = v / max(2 * hz, 0.01)
            if high > 0.14 and (away > 0.25 or high > 0.5) and (away > 0.12 or high > 0.78):
                mix = p0 * (0.4 + 0.6 * look_up(maps, 0, u * 55 + seed * 180, v * 20 + seed * 44))
    elif kind == _WHEEL:
        radius = math.sqrt(lx * lx + ly * ly) / hx
        if abs(nz) > 0.7 and radius < 0.68:
            spoke = math.cos(math.atan2(ly, lx) * (5 + math.floor(seed * 4)) + seed * 6)
            mix = 1.0 if (spoke > p0 or radius < 0.2 or radius > 0.6) else 0.0
            shade = 0.8 + 0.4 * radius if mix > 0.5 else 0.4
            gloss = 0.3 * mix
        else:
            shade = 0.8 + 0.2 * (radius > 0.7)
    elif kind == _LIGHT:
        emission = p0
        shade = 0.75 + 0.5 * (1.0 if (u * 30) % 1.0 < 0.5 else 0.0)
    elif kind == _PLATE:
        cell = math.floor(u / 0.065)
        if (
            v > 0.025
            and v < 2 * hz - 0.025
            and u > 0.03
            and u < 2 * hy - 0.03
            and hash2(cell, 1.0, seed) > 0.25
            and (u / 0.065) % 1.0 > 0.25
        ):
            mix = 0.85 * fade(0.065, footprint)
    elif kind == _PANELS:
        # p0: panel width; p1: logo share of the side; a truck's box or a container.
        keep = fade(p0, footprint)
        groove = (u / p0) % 1.0
        if p2 > 0.5:
            shade = 1 + 0.35 * keep * math.sin(groove * 6.283)
        elif groove < 0.03:
            shade = 1 - 0.5 * keep
        length = 2 * (hy if face == 0 else hx)
        fu = u / length
        fv = v / (2 * hz)
        if face != 2 and p1 > 0:
            if abs(fu - 0.5) < p1 and abs(fv - 0.55) < 0.22:
                cell = hash2(math.floor(u * 2.2), math.floor(v * (1.2 + seed)), seed)
                mix = 1.0 if cell > 0.4 else 0.0
            elif abs(fv - 0.2) < 0.05 * p1 * 4:
                mix = 1.0
        if v < 0.1 or v > 2 * hz - 0.08:
            shade *= 0.6
        shade *= 0.8 + 0.4 * look_up(maps, 0, u * 14 + seed * 200, v * 30)
    elif kind == _FOLIAGE:
        if p0 > 0:
            # p0: how fine; patterned in the plane that is seen, so that flat sides show no streaks.
            value = 2 * look_up(maps, 2, u * 12 * p0 + seed * 300, v * 12 * p0 + seed * 77)
            leaf = 3 * look_up(maps, 1, u * 60 * p0 + seed * 77, v * 60 * p0)
        else:
            value = look_up(maps, 2, lx * 15 + seed * 300, ly * 15 + seed * 77)
            value += look_up(maps, 2, ly * 15 + seed * 210, lz * 15 + seed * 31)
            leaf = look_up(maps, 1, lx * 80 + seed * 77, ly * 80) + look_up(maps, 1, ly * 80, lz * 80 + seed * 9)
            leaf += look_up(maps, 1, lz * 80, lx * 80)
        mix = 0.5 + 1.1 * (value / 2 - 0.5) + 3.5 * (leaf / 3 - 0.5) * fade(0.06, footprint)
        mix = max(0.0, min(1.0, mix))
        shade = 0.25 + 1.2 * mix
        shade *= 0.65 + 0.35 * max(-0.6, lz / hz)
    elif kind == _CELLS:
        cu = math.floor(u / p0)
        cv = math.floor(v / p0)
        best = 9.0
        for j in range(-1, 2):
            for i in range(-1, 2):
                du = cu + i + hash2(cu + i, cv + j, seed) - u / p0
                dv = cv + j + hash2(cu + i, cv + j, seed + 0.37) - v / p0
                distance = du * du + dv * dv
                if distance < best:
                    best = distance
                    mix = hash2(cu + i, cv + j, seed + 0.71)
    elif kind == _GRADIENT:
        mix = min(1.0, max(0.0, v / max(2 * hz, 0.01)))
    elif kind == _TEXT:
        keep = fade(p0, footprint)
        line = math.floor(v / p0)
        letter = hash2(math.floor(u / p0 * 2.2), line, seed)
        inked = letter > 0.35 and (v / p0) % 1.0 > 0.35 and hash2(line, 5.0, seed) > 0.3
        mix = keep * (1.0 if inked else 0.0) + (1 - keep) * 0.35
    red = (row[_A] * (1 - mix) + row[_B] * mix) * shade
    green = (row[_A + 1] * (1 - mix) + row[_B + 1] * mix) * shade
    blue = (row[_A + 2] * (1 - mix) + row[_B + 2] * mix) * shade
    return red, green, blue, gloss, emission
