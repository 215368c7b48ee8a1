"""Lay out a small inbox and three claims from a run's test split, as a reviewer would meet them.

    python scripts/demo_claim.py runs/demo

Writes RUN/inbox (the test pictures of four products), RUN/claim (one claim and its listing photo)
and RUN/claims: claims.csv with three claims, each with the seller's photo.

- pasted: damage put into the seller's photo, the rest pasted back. The file carries no label.
- regenerated: the seller's photo went through a decoder whole, damage included, and the file
  carries the AI label that this project writes into synthetic files it hands out.
- broken: damage that was there before the lens, on another view of the product than the seller's.

Each is the boldest damage of its sort: what a person sees. None is chosen for its score.
"""

import argparse
import csv
import io
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
    table = products.load(run / "products.parquet")
    shop = table.set_index("product_id").path

    shutil.rmtree(run / "inbox", ignore_errors=True)
    for image in test[test.product_id.isin(test.product_id.unique()[:4])].image:
        data = (folder / image).read_bytes()
        labelled = aigc.label_bytes(data) if "_doctored_" in image else data
        images.write_bytes(run / "inbox" / Path(image).name, labelled)

    doctored = test[test.cell == "doctored_damage"].sort_values(["severity", "image"])
    pasted = doctored[doctored.topology != "full"].iloc[-1]
    regenerated = doctored[doctored.topology == "full"].iloc[-1]
    # An honest buyer cannot take the seller's picture, so theirs is another view of the item.
    views = manifest[manifest.cell == "authentic_damaged"].merge(table, on="group_id")
    views = views[views.product_id_x != views.product_id_y]
    views["tested"] = views.split == "test"  # the split may hold no item seen twice
    broken = views.sort_values(["tested", "severity", "image"]).iloc[-1]

    data = (folder / pasted.image).read_bytes()
    images.write_bytes(run / "claim" / "claim.jpg", aigc.label_bytes(data))
    listing = images.read(shop[pasted.product_id])
    images.write(run / "claim" / "listing.jpg", listing, quality=90)

    sent = {
        "pasted": (data, shop[pasted.product_id]),
        "regenerated": (
            aigc.label_bytes((folder / regenerated.image).read_bytes()),
            shop[regenerated.product_id],
        ),
        "broken": ((folder / broken.image).read_bytes(), broken.path),
    }
    rows = io.StringIO(newline="")
    writer = csv.writer(rows)
    writer.writerow(["claim_id", "photos", "listing", "what it is"])
    for name, (photo, seller) in sent.items():
        images.write_bytes(run / "claims" / f"{name}.jpg", photo)
        images.write(run / "claims" / f"{name}-listing.jpg", images.read(seller), quality=90)
        truth = "a really broken product" if name == "broken" else f"doctored, {name}"
        writer.writerow([name, f"{name}.jpg", f"{name}-listing.jpg", truth])
    images.write_bytes(run / "claims" / "claims.csv", rows.getvalue().encode())
    for name, row in (("pasted", pasted), ("regenerated", regenerated), ("broken", broken)):
        print(f"{run / 'claims'} {name}: {row.kind}, {row.method}, {row.topology}, {row.family}")
