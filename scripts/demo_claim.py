"""Lay out a small inbox and one claim from a run's test split, as a reviewer would meet them.

    python scripts/demo_claim.py runs/demo

Writes RUN/inbox (the test pictures of four products) and RUN/claim: claim.jpg, a doctored damage
picture that carries the AI label this project writes into synthetic files it hands out, and
listing.jpg, the seller's photo it was made from. The claim is the first one by name: not chosen
for its score.
"""

import argparse
import shutil
from pathlib import Path

from damagenet import aigc, images
from damagenet.synth import dataset, products

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="such as runs/demo")
    run = parser.parse_args().run
    folder = run / "dataset"
    manifest = dataset.read_manifest(folder)
    test = manifest[manifest.split == "test"].sort_values("image")

    shutil.rmtree(run / "inbox", ignore_errors=True)
    for image in test[test.product_id.isin(test.product_id.unique()[:4])].image:
        data = (folder / image).read_bytes()
        labelled = aigc.label_bytes(data) if "_doctored_" in image else data
        images.write_bytes(run / "inbox" / Path(image).name, labelled)

    pasted = test[(test.cell == "doctored_damage") & (test.topology != "full")]
    claim = pasted.sort_values(["severity", "image"]).iloc[-1]  # damage that a person sees
    table = products.load(run / "products.parquet").set_index("product_id")
    listing = images.read(table.loc[claim.product_id, "path"])
    images.write_bytes(
        run / "claim" / "claim.jpg", aigc.label_bytes((folder / claim.image).read_bytes())
    )
    images.write(run / "claim" / "listing.jpg", listing, quality=90)
    print(f"{run / 'claim'}: {claim.kind} by {claim.method}, {claim.topology}, {claim.family}")
