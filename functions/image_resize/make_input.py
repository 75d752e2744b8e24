"""Draw the test picture: three mirror balls on a chequered sea under a graded sky, with fine lines and lettering.

Ray-traced here and so free of rights: CC0. Run it with NumPy and Pillow installed:

    python functions/image_resize/make_input.py functions/image_resize/input.jpg
"""

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1024, 768
SPHERES = (  # centre (x, y, z), radius, colour; the ground is y = 0, the eye looks along +z
    ((-1.55, 1.0, 5.6), 1.0, (0.95, 0.35, 0.25)),
    ((0.55, 0.8, 4.4), 0.8, (0.25, 0.55, 0.95)),
    ((2.15, 1.25, 7.0), 1.25, (0.95, 0.80, 0.30)),
)
SUN = np.array([-0.55, 0.75, -0.38]) / np.linalg.norm([-0.55, 0.75, -0.38])
BOUNCES = 3


def sky(direction):
    """Grade from a warm horizon to a deep zenith, with a soft sun; direction n x 3 -> colour n x 3."""
    height = np.clip(direction[:, 1:2], 0, 1) ** 0.6
    warm, deep = np.array([1.0, 0.83, 0.64]), np.array([0.18, 0.36, 0.72])
    glow = np.clip(direction @ SUN, 0, 1)[:, None] ** 60
    return warm * (1 - height) + deep * height + 0.8 * glow


def nearest(origin, direction):
    """Find the first hit of each ray: distance (inf for none) and index of what is hit (len(SPHERES): ground)."""
    best = np.full(len(origin), np.inf)
    index = np.full(len(origin), -1)
    for number, (centre, radius, _) in enumerate(SPHERES):
        offset = origin - np.array(centre)
        half = np.einsum("ij,ij->i", offset, direction)
        root = half**2 - np.einsum("ij,ij->i", offset, offset) + radius**2
        distance = -half - np.sqrt(np.maximum(root, 0))
        hit = (root > 0) & (distance > 1e-3) & (distance < best)
        best[hit], index[hit] = distance[hit], number
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(direction[:, 1] < -1e-6, -origin[:, 1] / direction[:, 1], np.inf)
    hit = (distance > 1e-3) & (distance < best)
    best[hit], index[hit] = distance[hit], len(SPHERES)
    return best, index


def surface(point, index):
    """Give normal, colour and mirror share of each hit point."""
    normal = np.tile([0.0, 1.0, 0.0], (len(point), 1))
    square = (np.floor(point[:, 0]) + np.floor(point[:, 2])).astype(int) % 2
    colour = np.where(square[:, None] == 0, [0.90, 0.90, 0.86], [0.10, 0.22, 0.30])
    mirror = np.full(len(point), 0.18)
    for number, (centre, radius, tint) in enumerate(SPHERES):
        on = index == number
        normal[on] = (point[on] - np.array(centre)) / radius
        colour[on], mirror[on] = tint, 0.45
    return normal, colour, mirror


def trace(origin, direction, bounces):
    """Follow rays to their colours, n x 3."""
    colour = sky(direction)
    distance, index = nearest(origin, direction)
    hit = np.isfinite(distance) & (distance < 60)
    if not hit.any():
        return colour
    point = origin[hit] + direction[hit] * distance[hit, None]
    normal, paint, mirror = surface(point, index[hit])
    lifted = point + normal * 1e-3
    shaded = np.isfinite(nearest(lifted, np.tile(SUN, (len(point), 1)))[0])
    light = 0.25 + 0.75 * np.clip(normal @ SUN, 0, 1) * ~shaded
    found = paint * light[:, None]
    if bounces:
        bent = direction[hit] - 2 * np.einsum("ij,ij->i", direction[hit], normal)[:, None] * normal
        found = found * (1 - mirror[:, None]) + trace(lifted, bent, bounces - 1) * mirror[:, None]
    fog = np.exp(-distance[hit] / 30)[:, None]
    colour[hit] = found * fog + colour[hit] * (1 - fog)
    return colour


def render():
    """Render the scene with 2 x 2 rays per pixel, as an RGB picture."""
    across, down = np.meshgrid(np.arange(2 * WIDTH) + 0.5, np.arange(2 * HEIGHT) + 0.5)
    rays = np.stack([(across / WIDTH - 1), (HEIGHT - down) / WIDTH - 0.08, np.full(across.shape, 1.4)], axis=-1)
    rays = rays.reshape(-1, 3) / np.linalg.norm(rays.reshape(-1, 3), axis=1, keepdims=True)
    colour = trace(np.tile([0.2, 1.5, -0.5], (len(rays), 1)), rays, BOUNCES)
    pixels = colour.reshape(HEIGHT, 2, WIDTH, 2, 3).mean(axis=(1, 3))
    return Image.fromarray((255 * np.clip(pixels, 0, 1) ** (1 / 1.6)).round().astype(np.uint8), "RGB")


def letter(picture):
    """Add what scaling ruins first: a fan of thin lines and small print."""
    pen = ImageDraw.Draw(picture)
    for step in range(41):
        pen.line([(WIDTH - 20, 20), (WIDTH - 320 + 6 * step, 20 + 4 * step)], fill=(255, 255, 255), width=1)
    for size in (10, 14, 20, 28):
        font = ImageFont.load_default(size)
        pen.text((24, 4 * size - 20), f"y = f(x) at {size} pixels", fill=(40, 30, 60), font=font)
    return picture


if __name__ == "__main__":
    letter(render()).save(sys.argv[1], quality=86, optimize=True)
