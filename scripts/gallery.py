"""Every kind of damage at every severity, on one product of each material, as a PNG to look at.

python scripts/gallery.py --out runs/gallery            # four products
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
PRODUCTS = {  # category -> sample, and the real photo that replaces it where there is one
    "cup": ("mug/mug_01_a.jpg", "skimage/cup/*"),
    "t-shirt": ("sock/sock_01_a.jpg", "clothing_dataset/t-shirt/*.jpg"),
    "phone": ("phone/phone_01_a.jpg", "vendure_npm/electronics/*.jpg"),
    "carton": ("carton/carton_01_a.jpg", "grocery_store/food_package/*.jpg"),
}
SEVERITIES = (1, 2, 3, 4, 5)


def default_photos() -> list[tuple[Path, str]]:
    """One photo and category per material: a real one where `DAMAGENET_DATA` has it."""
    root = os.environ.get("DAMAGENET_DATA")
    chosen = []
    for category, (sample, pattern) in PRODUCTS.items():
        real = sorted((Path(root) / "products").glob(pattern)) if root else []
        chosen.append((real[len(real) // 2] if real else SAMPLES / sample, category))
    return chosen


def sheet(photo: np.ndarray, category: str, tile: int, seed: int, zoom: bool) -> np.ndarray:
    """uint8 `[h, w, 3]`: a row per kind that fits the category, a column per severity."""
    scale = 2 * tile / max(photo.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    photo = np.ascontiguousarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=how))
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


def view(picture: np.ndarray, plan: dict, tile: int, zoom: bool) -> np.ndarray:
    """A square of `tile` pixels: the whole picture, or at full size what is around the damage."""
    height, width = picture.shape[:2]
    if not zoom:
        square = np.full((max(height, width),) * 2 + (3,), 255, np.uint8)
        square[:height, :width] = picture
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
