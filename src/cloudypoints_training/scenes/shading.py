"""What light comes back from where each ray ended."""

from __future__ import annotations

import math

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.ground import ground_colour
from cloudypoints_training.scenes.intersect import FAST, hit, to_local
from cloudypoints_training.scenes.kernel import kernel
from cloudypoints_training.scenes.render import KERB, SKY
from cloudypoints_training.scenes.shadows import sunlight
from cloudypoints_training.scenes.surfaces import look_up, surface_at

_SHAPE, _C, _R, _H, _S = p.SHAPE, p.CENTRE, p.ROTATION, p.HALF, p.SLOPE
_FOLIAGE = p.FOLIAGE


@kernel(fastmath=True)
def _sky(light, dx, dy, dz, maps):
    """Radiance of the sky in a unit direction."""
    up = max(0.0, dz)
    blend = 1 - math.exp(-up * 4.5)
    r = light[9] * (1 - blend) + light[6] * blend
    g = light[10] * (1 - blend) + light[7] * blend
    b = light[11] * (1 - blend) + light[8] * blend
    if light[12] > 0 and dz > 0.0:
        reach = 1 / (dz + 0.12)
        u, v = dx * reach * 38 + light[15] * 256, dy * reach * 38 + light[15] * 99
        cloud = 0.72 * look_up(maps, 0, u, v) + 0.28 * look_up(maps, 0, u * 3.1, v * 3.1)
        cover = max(0.0, min(1.0, (cloud - 1 + light[12]) * light[14])) * min(1.0, dz * 12)
        tone = light[13] * (0.65 + 0.5 * cloud)
        r, g, b = r + (tone - r) * cover, g + (tone - g) * cover, b + (tone * 1.02 - b) * cover
    glow = dx * light[0] + dy * light[1] + dz * light[2]
    if glow > 0:
        halo = 0.6 * glow**32 + 12 * glow**1500
        r, g, b = r + halo * light[3], g + halo * light[4], b + halo * light[5]
    return r, g, b


@kernel(fastmath=FAST)
def shade(
    rows,
    ground,
    eye,
    axes,
    lens,
    depth,
    owner,
    light,
    shadow_frame,
    near_map,
    far_map,
    soil,
    lamps,
    maps,
    window,
    out,
):
    """Fills linear colour (H, W, 3) float32 within a window (see render) wherever depth is not negative.

    `light`: 0-2 sun direction, 3-5 sun colour, 6-8 zenith, 9-11 horizon, 12 cloud cover, 13 cloud
    brightness, 14 cloud edge, 15 seed, 16 fog per metre, 17-19 fog colour, 20 ambient level, 21 lit windows,
    22 head lamps. `shadow_frame` (5, 3): near centre, far centre, across, up; spans in the last row.
    `soil` (N, N) float32: how open the sky is near the ground around vehicles, 0.25 m cells around the eye.
    `lamps` (L, 6): place, colour.
    """
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    first_u, stop_u, first_v, stop_v = window
    sun, across, up = light[0:3], shadow_frame[2], shadow_frame[3]
    near_span, far_span = shadow_frame[4, 0], shadow_frame[4, 1]
    sun_strength = light[3] + light[4] + light[5]
    soil_size = soil.shape[0]
    for v in range(first_v, stop_v):
        b = (v - cy) / fy
        for u in range(first_u, stop_u):
            if depth[v, u] < 0:
                continue
            a = (u - cx) / fx
            dx = axes[0, 0] * a + axes[0, 1] * b + axes[0, 2]
            dy = axes[1, 0] * a + axes[1, 1] * b + axes[1, 2]
            dz = axes[2, 0] * a + axes[2, 1] * b + axes[2, 2]
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            ux, uy, uz = dx / length, dy / length, dz / length
            who = owner[v, u]
            if who == SKY:
                r, g, bl = _sky(light, ux, uy, uz, maps)
                haze = min(1.0, light[16] * 120) * math.exp(-max(0.0, uz) * 6)
                out[v, u, 0] = r + (light[17] - r) * haze
                out[v, u, 1] = g + (light[18] - g) * haze
                out[v, u, 2] = bl + (light[19] - bl) * haze
                continue
            t = depth[v, u]
            x, y, z = eye[0] + t * dx, eye[1] + t * dy, eye[2] + t * dz
            foot = t / fx
            emission, opening = 0.0, 1.0
            if who < 0:
                nx, ny, nz = 0.0, 0.0, 1.0
                slant = min(12.0, 1 / max(1e-3, -uz))
                r, g, bl, gloss = ground_colour(ground, x, y, 1 if who == KERB else 0, foot * math.sqrt(slant), maps)
                if who == KERB:
                    nx, ny, nz = -ux, -uy, 0.3
                su, sv = (x - eye[0]) * 4 + soil_size / 2, (y - eye[1]) * 4 + soil_size / 2
                if 0 <= su < soil_size - 1 and 0 <= sv < soil_size - 1:
                    iu, iv = int(su), int(sv)
                    fu, fv = su - iu, sv - iv
                    opening = (soil[iv, iu] * (1 - fu) + soil[iv, iu + 1] * fu) * (1 - fv) + (
                        soil[iv + 1, iu] * (1 - fu) + soil[iv + 1, iu + 1] * fu
                    ) * fv
            else:
                row = rows[who]
                lx, ly, lz = to_local(row, x - row[_C], y - row[_C + 1], z - row[_C + 2])
                hx, hy, hz = row[_H], row[_H + 1], row[_H + 2]
                shape = int(row[_SHAPE])
                mx, my, mz = 0.0, 0.0, 0.0
                if shape == 1:
                    mx, my, mz = lx / (hx * hx), ly / (hy * hy), lz / (hz * hz)
                else:
                    qx, qy, qz = to_local(row, dx, dy, dz)
                    _, _, face = hit(row, lx - t * qx, ly - t * qy, lz - t * qz, qx, qy, qz)
                    if face == 0:
                        mx, mz = 1.0, row[_S]
                    elif face == 1:
                        mx, mz = -1.0, row[_S + 1]
                    elif face == 2:
                        my, mz = 1.0, row[_S + 2]
                    elif face == 3:
                        my, mz = -1.0, row[_S + 3]
                    elif face == 4:
                        mz = 1.0
                    elif face == 5:
                        mz = -1.0
                    else:
                        mx, my = lx / (hx * hx), ly / (hy * hy)
                        if shape == 3:
                            mz = (hz - lz) / (4 * hz * hz)
                size = math.sqrt(mx * mx + my * my + mz * mz) + 1e-12
                mx, my, mz = mx / size, my / size, mz / size
                if row[p.KIND] == _FOLIAGE:
                    # Leaves face everywhere: rough normals keep a crown from looking like a ball.
                    mx += 2.6 * (look_up(maps, 1, ly * 45, lz * 45) - 0.5)
                    my += 2.6 * (look_up(maps, 1, lz * 45 + 60, lx * 45) - 0.5)
                    mz += 2.6 * (look_up(maps, 1, lx * 45, ly * 45 + 60) - 0.5) + 0.2
                    size = math.sqrt(mx * mx + my * my + mz * mz) + 1e-12
                    mx, my, mz = mx / size, my / size, mz / size
                nx = row[_R] * mx + row[_R + 1] * my + row[_R + 2] * mz
                ny = row[_R + 3] * mx + row[_R + 4] * my + row[_R + 5] * mz
                nz = row[_R + 6] * mx + row[_R + 7] * my + row[_R + 8] * mz
                r, g, bl, gloss, emission = surface_at(row, lx, ly, lz, mx, my, mz, foot, maps, light[21])
                opening = 0.55 + 0.45 * min(1.0, max(0.0, z) * 0.7 + 0.1)
            facing = nx * sun[0] + ny * sun[1] + nz * sun[2]
            lit = 0.0
            if facing > 0 and sun_strength > 0:
                lift = 0.03 + 0.0015 * t
                lit = sunlight(
                    x + nx * lift, y + ny * lift, z + nz * lift, shadow_frame[0], near_span, sun, across, up,
                    near_map, 0.05,
                )  # fmt: skip
                if lit < 0:
                    lit = sunlight(
                        x + nx * 0.2, y + ny * 0.2, z + nz * 0.2, shadow_frame[1], far_span, sun, across, up,
                        far_map, 0.25,
                    )  # fmt: skip
                    lit = abs(lit)
                lit *= facing
            dome = (0.55 + 0.45 * nz) * light[20] * opening
            bounce = (0.5 - 0.5 * nz) * 0.10 * opening
            er = light[3] * (lit + bounce) + dome * (0.6 * light[6] + 0.4 * light[9])
            eg = light[4] * (lit + bounce) + dome * (0.6 * light[7] + 0.4 * light[10])
            eb = light[5] * (lit + bounce) + dome * (0.6 * light[8] + 0.4 * light[11])
            if light[22] > 0:
                beam = math.exp(-((a / 0.35) ** 2)) * math.exp(-(((dz + 0.06) / 0.09) ** 2))
                power = light[22] * beam * 14 / (t * t * 0.15 + 12) * max(0.15, -(nx * ux + ny * uy + nz * uz))
                er, eg, eb = er + power, eg + power, eb + power * 0.9
            for k in range(lamps.shape[0]):
                qx, qy, qz = lamps[k, 0] - x, lamps[k, 1] - y, lamps[k, 2] - z
                square = qx * qx + qy * qy + qz * qz
                if square < 900:
                    cosine = (nx * qx + ny * qy + nz * qz) / math.sqrt(square + 1e-6)
                    if cosine > 0:
                        power = cosine * opening / (square + 2) * (1 - square / 900)
                        er, eg, eb = (
                            er + power * lamps[k, 3],
                            eg + power * lamps[k, 4],
                            eb + power * lamps[k, 5],
                        )
            cr, cg, cb = r * er + r * emission, g * eg + g * emission, bl * eb + bl * emission
            if gloss > 0:
                cosine = -(nx * ux + ny * uy + nz * uz)
                fresnel = gloss * (0.05 + 0.95 * (1 - max(0.0, min(1.0, cosine))) ** 4)
                rx, ry, rz = ux + 2 * cosine * nx, uy + 2 * cosine * ny, uz + 2 * cosine * nz
                # What stands around hides the low sky from reflections.
                block = look_up(maps, 0, math.atan2(ry, rx) * 60, 40.0) * 0.35 + 0.02
                if rz > block:
                    sr, sg, sb = _sky(light, rx, ry, rz, maps)
                    seen = min(1.0, (rz - block) * 12) * (1.0 if lit > 0.05 or facing <= 0 else 0.7)
                    cr += fresnel * min(sr, 4.0) * seen
                    cg += fresnel * min(sg, 4.0) * seen
                    cb += fresnel * min(sb, 4.0) * seen
                else:
                    cr += fresnel * 0.10 * light[9]
                    cg += fresnel * 0.10 * light[10]
                    cb += fresnel * 0.10 * light[11]
            keep = math.exp(-light[16] * t * length)
            out[v, u, 0] = light[17] + (cr - light[17]) * keep
            out[v, u, 1] = light[18] + (cg - light[18]) * keep
            out[v, u, 2] = light[19] + (cb - light[19]) * keep
