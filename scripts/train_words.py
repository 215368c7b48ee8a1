"""Learn the visual words of `damagenet.claims.describe` -> src/damagenet/claims/weights/words.npy.

    python scripts/train_words.py FOLDER...

Typical upper and lower halves of local details, 256 each, by k-means over pictures that may be
used for anything; 33 KB. The packaged words come from the 536 photos of clothing_dataset (CC0) and
the project's own renderings. A catalogue belongs to the words it was
made with: build it again after.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from tqdm import tqdm

from damagenet import images
from damagenet.claims.align import keypoints, shrunk
from damagenet.claims.describe import DETAILS, SIDE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("src/damagenet/claims/weights/words.npy"))
    args = parser.parse_args()
    found = [
        keypoints(shrunk(images.read(path), SIDE), DETAILS)[1]
        for path in tqdm(images.files_in(args.folders), unit="photo")
    ]
    halves = np.concatenate(found).reshape(-1, 2, 64)
    print(f"{len(halves)} details of {len(found)} pictures")
    centres = [
        MiniBatchKMeans(256, batch_size=8192, n_init=1, random_state=0).fit(halves[:, i])
        for i in (0, 1)
    ]
    words = np.stack([c.cluster_centers_ for c in centres])
    np.save(args.out, np.clip(np.rint(words * 512), 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
