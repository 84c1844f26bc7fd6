"""A second ray along edges, for their colour only."""

from __future__ import annotations

from cloudypoints_training.scenes.kernel import kernel


@kernel()
def rough_corners(owner, colour, window, depth):
    """Marks in depth (H + 1, W + 1), within a window of it, the pixel corners that deserve a second ray: 0, else -1."""
    height, width = owner.shape
    first_u, stop_u, first_v, stop_v = window
    for v in range(first_v, stop_v):
        for u in range(first_u, stop_u):
            v0, v1, u0, u1 = max(0, v - 1), min(height - 1, v), max(0, u - 1), min(width - 1, u)
            who = owner[v0, u0]
            rough = owner[v0, u1] != who or owner[v1, u0] != who or owner[v1, u1] != who
            if not rough:
                one, two = colour[v0, u0, 1] - colour[v1, u1, 1], colour[v0, u1, 1] - colour[v1, u0, 1]
                bright = colour[v0, u0, 1] + colour[v1, u1, 1] + 0.01
                rough = abs(one) > 0.12 * bright or abs(two) > 0.12 * bright
            depth[v, u] = 0.0 if rough else -1.0


@kernel()
def blend_corners(colour, corner, depth, window):
    """Mixes each pixel's colour (H, W, 3), in place, with the colours of its corners that were looked at."""
    first_u, stop_u, first_v, stop_v = window
    for v in range(first_v, stop_v):
        for u in range(first_u, stop_u):
            weight = 4.0
            r, g, b = (
                4 * min(colour[v, u, 0], 6.0), 4 * min(colour[v, u, 1], 6.0), 4 * min(colour[v, u, 2], 6.0),
            )  # fmt: skip
            for dv in range(2):
                for du in range(2):
                    if depth[v + dv, u + du] >= 0:
                        weight += 1.0
                        r += min(corner[v + dv, u + du, 0], 6.0)
                        g += min(corner[v + dv, u + du, 1], 6.0)
                        b += min(corner[v + dv, u + du, 2], 6.0)
            colour[v, u, 0], colour[v, u, 1], colour[v, u, 2] = r / weight, g / weight, b / weight
