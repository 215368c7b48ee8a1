"""Which products there are, and how each of their pictures is taken."""

from __future__ import annotations

from pathlib import Path

from rendering.camera import photograph
from rendering.gadgets import lamp, phone
from rendering.maths import rng_for
from rendering.paper import book, carton
from rendering.scene import studio
from rendering.tableware import bottle, bowl, mug, plate, vase
from rendering.textiles import bag, shoe, sock
from rendering.toys import toy

MAKERS = (mug, bowl, plate, carton, sock, toy, bottle, vase, shoe, lamp, book, phone, bag)
SHAPES = {maker.__name__: maker for maker in MAKERS}
COUNTS = {"toy": 6, "plate": 4, "lamp": 4, "book": 4, "bag": 4}
SIZES = ((640, 480), (480, 640), (600, 400), (512, 512), (560, 420), (420, 560), (540, 480))


def plan() -> list[tuple[str, int, int]]:
    """Shape, product and view of every picture; every third product is seen twice."""
    return [
        (s, k, v) for s in SHAPES for k in range(COUNTS.get(s, 5)) for v in range(1 + (k % 3 == 1))
    ]


def shoot(path: Path, seed: int, shape: str, k: int, view: int) -> None:
    """Render one view of one product and save it; the file appears only when complete."""
    product = SHAPES[shape](rng_for(seed, shape, k, "product"), k)
    angle = rng_for(seed, shape, k, "angle")
    first = angle.uniform(*product.azimuth)
    turned = first + angle.choice([-1, 1]) * angle.uniform(24, 40)
    azimuth, elevation = (first, turned)[view], angle.uniform(*product.elevation, 2)[view]
    camera = rng_for(seed, shape, k, "camera", view)
    size = SIZES[int(camera.integers(len(SIZES)))]
    scene = studio(rng_for(seed, shape, k, "studio"), product, azimuth)
    image = photograph(scene, camera, size, azimuth, elevation)
    finish = rng_for(seed, shape, k, "finish", view)
    quality, subsampling = int(finish.integers(80, 94)), int(finish.choice([0, 2]))
    part = path.with_suffix(".tmp")
    image.save(part, "JPEG", quality=quality, subsampling=subsampling, optimize=True)
    part.replace(path)
