"""Every kind of damage at every severity, on five products, as a PNG to look at.

python scripts/gallery.py --out runs/gallery            # five products
python scripts/gallery.py --out runs/gallery PHOTO ...  # one picture per photo; its folder is
                                                        # taken for the product's category
"""

import argparse
import os
import zlib
from pathlib import Path

import cv2
import numpy as np

from damagenet import images
from damagenet.synth import damage

SAMPLES = Path(__file__).parents[1] / "data" / "samples" / "renders"
PRODUCTS = (  # category, sample, and the real photo that replaces it where there is one
    ("cup", "mug/mug_01_a.jpg", "skimage/cup/*"),
    ("t-shirt", "sock/sock_00_a.jpg", "clothing_dataset/shirt/5ddd23ad*"),
    ("t-shirt", "sock/sock_03_a.jpg", "clothing_dataset/t-shirt/77b3d6bb*"),
    ("phone", "phone/phone_01_a.jpg", "vendure_npm/electronics/oscar*"),
    ("carton", "carton/carton_01_a.jpg", "grocery_store/food_package/*"),
)
SEVERITIES = (1, 2, 3, 4, 5)


def default_photos() -> list[tuple[Path, str]]:
    """A hard, a plain, a printed, a glossy product and a carton: real where there are photos."""
    root = os.environ.get("DAMAGENET_DATA")
    chosen = []
    for category, sample, pattern in PRODUCTS:
        real = sorted((Path(root) / "products").glob(pattern)) if root else []
        chosen.append((real[len(real) // 2] if real else SAMPLES / sample, category))
    return chosen


def sheet(photo: np.ndarray, category: str, tile: int, seed: int, zoom: bool) -> np.ndarray:
    """uint8 `[h, w, 3]`: a row per kind that fits the category, a column per severity."""
    photo = framed(resized(photo, 640), 2 * tile)
    inside = damage.foreground(photo)
    scene = damage.srgb_to_linear(photo)
    light = damage.light_angle(scene, inside)
    rows = []
    for kind in damage.suitable(category, tuple(damage.KINDS)):
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
        plan = damage.plan_damage(rng, inside, kind, 1, light)
        tiles = []
        for severity in SEVERITIES:
            layer = damage.draw(kind, scene, inside, plan | {"severity": severity})
            picture = damage.linear_to_srgb(damage.composite(scene, layer))
            share = layer.mask.sum() / max(float((inside > 0.5).sum()), 1.0)
            tiles.append(
                labelled(view(picture, plan, tile, zoom), f"{kind} {severity} {share:.1%}")
            )
        rows.append(np.hstack(tiles))
    return np.vstack(rows)


def resized(photo: np.ndarray, longest: int) -> np.ndarray:
    """The photo with a longer side of `longest` pixels."""
    scale = longest / max(photo.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.ascontiguousarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=how))


def framed(photo: np.ndarray, longest: int) -> np.ndarray:
    """A square with the product and a margin, or what of it fits into a square of the photo."""
    rows, columns = (np.flatnonzero((damage.foreground(photo) > 0.5).any(axis)) for axis in (1, 0))
    if rows.size:
        edge = 1.15 * max(rows[-1] - rows[0], columns[-1] - columns[0]) + 8
        span = min(round(edge), *photo.shape[:2])
        window = []
        for used, size in zip((rows, columns), photo.shape, strict=False):
            low = int(np.clip(round((used[0] + used[-1] - span) / 2), 0, size - span))
            window.append(slice(low, low + span))
        photo = photo[tuple(window)]
    return resized(photo, longest)


def view(picture: np.ndarray, plan: dict, tile: int, zoom: bool) -> np.ndarray:
    """A square of `tile` pixels: the whole picture, or at full size what is around the damage."""
    height, width = picture.shape[:2]
    if not zoom:
        spare = max(height, width) - height, max(height, width) - width
        sides = (spare[0] // 2, spare[0] - spare[0] // 2, spare[1] // 2, spare[1] - spare[1] // 2)
        square = cv2.copyMakeBorder(picture, *sides, cv2.BORDER_CONSTANT, value=(255,) * 3)
        return cv2.resize(square, (tile, tile), interpolation=cv2.INTER_AREA)
    padded = cv2.copyMakeBorder(picture, *(tile // 2,) * 4, cv2.BORDER_CONSTANT)
    top, left = int(plan["y"] * height), int(plan["x"] * width)
    return padded[top : top + tile, left : left + tile]


def labelled(picture: np.ndarray, text: str) -> np.ndarray:
    """The picture with a caption below."""
    caption = np.full((22, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(caption, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([picture, caption])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO")
    parser.add_argument("--out", type=Path, default=Path("runs/gallery"))
    parser.add_argument("--tile", type=int, default=320, help="edge of a tile in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--zoom", action="store_true", help="only what is around the damage")
    given = parser.parse_args()
    chosen = [(path, path.parent.name) for path in given.photos] or default_photos()
    given.out.mkdir(parents=True, exist_ok=True)
    for path, category in chosen:
        target = given.out / f"{damage.material(category) or 'any'}_{path.stem}.png"
        image = sheet(images.read(path), category, given.tile, given.seed, given.zoom)
        cv2.imwrite(str(target), image[..., ::-1])
        print(target)


if __name__ == "__main__":
    main()
