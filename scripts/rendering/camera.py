"""Camera: framing, rays, lens and film."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from rendering.maths import Array, Rng, unit
from rendering.scene import Scene
from rendering.tracer import radiance

BAND = 24_000  # rays worked on at a time: the temporaries stay in cache


def photograph(
    s: Scene, rng: Rng, size: tuple[int, int], azimuth: float, elevation: float
) -> Image.Image:
    """Point a camera at the product, trace 2 x 2 rays a pixel, then lens, film curve and grain."""
    w, h = size
    focal = rng.uniform(45, 95) / 36 * max(w, h)  # in pixels, from a 35 mm equivalent
    az, el, roll = np.radians(azimuth), np.radians(elevation), np.radians(rng.uniform(-1.2, 1.2))
    back = np.array([[np.sin(az) * np.cos(el)], [np.sin(el)], [np.cos(az) * np.cos(el)]])
    right = np.array([[np.cos(az)], [0], [-np.sin(az)]])
    up = np.cross(back[:, 0], right[:, 0])[:, None]
    right, up = right * np.cos(roll) + up * np.sin(roll), up * np.cos(roll) - right * np.sin(roll)
    aim = (s.lo + s.hi) / 2
    far, fill, rel = 1.0, rng.uniform(0.66, 0.84), s.cloud - aim
    while True:  # step back until the box fits the frame
        z = far - (back * rel).sum(0)
        x, y = (focal * (axis * rel).sum(0) / z for axis in (right, up))
        if z.min() > 0.3 and np.ptp(x) < fill * w and np.ptp(y) < fill * h:
            break
        far *= 1.02
    cx = w / 2 - (x.max() + x.min()) / 2 + rng.uniform(-0.04, 0.04) * w
    cy = h / 2 + (y.max() + y.min()) / 2 + rng.uniform(-0.01, 0.05) * h
    eye = (aim + back * far).astype("f4")
    rows = max(1, BAND // (4 * w))
    light, ground = np.zeros((h, w, 3), "f4"), np.zeros((h, w, 3), "f4")
    mask, depth = np.zeros((h, w), "f4"), np.zeros((h, w), "f4")
    for top in range(0, h, rows):
        n = min(rows, h - top)
        band = slice(top, top + n)
        jy, jx = np.mgrid[0 : 2 * n, 0 : 2 * w]
        px, py = (jx + 0.5) / 2 - cx, top + (jy + 0.5) / 2 - cy
        d = right[..., None] * px + up[..., None] * -py - back[..., None] * focal
        d = unit(d.reshape(3, -1)).astype("f4")
        rgb, hit, t = radiance(s, eye + 0 * d, d)
        rgb = np.minimum(rgb, 4)  # keeps highlights from ringing in the average
        mask[band], depth[band] = pixels(hit.astype("f4"), w), pixels(t, w)
        for i in range(3):
            ground[band, :, i] = pixels(rgb[i] * ~hit, w)
            light[band, :, i] = pixels(rgb[i] * hit, w)
    # Depth of field for the backdrop alone: the product stays in focus.
    blur = np.abs(1 / far - 1 / np.maximum(depth, 0.2)) * rng.uniform(4, 26) * max(w, h) / 600 * far
    return film(light + defocus(ground, (1 - mask)[..., None], blur), rng)


def pixels(rays: Array, w: int) -> Array:
    """Average 2 x 2 rays."""
    return rays.reshape(-1, 2, w, 2).mean((1, 3))


def defocus(ground: Array, share: Array, blur: Array) -> Array:
    """Blur the backdrop by `blur` pixels, without the product bleeding into it."""
    levels = [ground / np.maximum(share, 1e-3)]
    for g in (1.5, 3.0, 6.0):
        around = np.maximum(gaussian_filter(share, (g, g, 0)), 1e-3)
        levels.append(gaussian_filter(ground, (g, g, 0)) / around)
    stop = np.clip(np.interp(blur, (0.4, 1.5, 3, 6), (0, 1, 2, 3)), 0, 3)[..., None]
    return sum(a * np.clip(1 - np.abs(stop - i), 0, 1) for i, a in enumerate(levels)) * share


def film(image: Array, rng: Rng) -> Image.Image:
    """Vignette, exposure, film curve (Narkowicz 2015), sRGB and grain."""
    h, w, _ = image.shape
    yy, xx = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
    image *= (1 - rng.uniform(0.02, 0.16) * (xx**2 + yy**2) ** 1.3 / 2)[..., None]
    image *= rng.uniform(0.82, 1.02)
    image = image * (2.51 * image + 0.03) / (image * (2.43 * image + 0.59) + 0.14)
    gamma = 1.055 * np.maximum(image, 1e-6) ** (1 / 2.4) - 0.055
    image = np.where(image < 0.0031308, 12.92 * image, gamma)
    grain = gaussian_filter(rng.standard_normal((h, w, 3)), (0.6, 0.6, 0))
    image += rng.uniform(0.002, 0.008) * (grain @ (np.eye(3) * 0.4 + 0.35))
    return Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
