# %% [markdown]
# # 7 · Would I decide this claim?
#
# A score is one witness, and not the best one. This notebook joins it with two others, the seller's
# own photo and the labels inside the file, and hands the result to a person: an evidence report
# for a fraud, for an honest buyer, and for a claim of your own.
#
# | | |
# |---|---|
# | **reads** | `runs/<name>/detector.onnx` and the dataset (run notebooks 4 to 6 first) |
# | **writes** | `runs/<name>/claims/`: photos, one report each as HTML and JSON |
# | **takes** | on 2 CPU cores: under 1 minute with either config |

# %% tags=["parameters"]
config = "configs/reproduce.yaml"
claim = ""  # a photo of your own; empty: the fraud below
listing = ""  # the seller's photo of the same product; empty: the one of the fraud below

# %%
# %matplotlib inline
import json
import os
from html import escape
from pathlib import Path

import pandas as pd
from IPython.display import HTML

from damagenet import aigc, images, plots, runs
from damagenet.claims import Detector, read_labels
from damagenet.claims.compare import compare
from damagenet.claims.review import review
from damagenet.config import load
from damagenet.synth import channel, dataset, doctor, products

os.chdir(".." if Path.cwd().name == "notebooks" else ".")  # paths as on the command line
settings = load(config)
data, folder = settings.dataset_dir, settings.run_dir / "claims"
detector = Detector(settings.run_dir / "detector.onnx")
manifest = dataset.read_manifest(data)

# %% [markdown]
# ## A fraud
#
# The laziest fraud, and a common one: take the photo from the **listing**, the seller's own offer,
# let an editor draw damage on it, and send it back. We take the boldest damage of the test split,
# chosen without a look at its score, and render its recipe at the size of the original.
#
# Editors sold in China must write a label into such files (GB 45438-2025), and others follow with
# standards of their own. This file still carries it. Most do not: a screenshot removes it.

# %%
table = products.load(settings.products.table or data / "products.parquet")
shop = table.set_index("product_id").path
frauds = manifest.query("split == 'test' and cell == 'doctored_damage'").nlargest(1, "severity")
row, recipe = frauds.iloc[0], json.loads(frauds.recipe.iloc[0])
recipe["edit"]["topology"] = "exchange"  # the rest stays the seller's photo
straight = channel.plan(runs.rng_for(settings.seed, "claims"), ("camera",))  # not by way of an app
large = recipe | {"frame": recipe["frame"] | {"long_side": 640}, "channel": straight}
fraud = doctor.render(doctor.Shot(images.read(shop[row.product_id]), large["frame"]), large)
images.write_bytes(folder / "fraud.jpg", aigc.label_bytes(fraud.file))
pd.DataFrame(read_labels(folder / "fraud.jpg"))[["standard", "status", "ai", "finding"]]

# %% [markdown]
# ## An honest buyer
#
# Genuine damage, in the scene before the camera looked. The claim is one view of the product and
# the listing (`other.path`) another, as it is in life: nobody can photograph their own cup and get
# the seller's picture.

# %%
views = manifest[manifest.cell == "authentic_damaged"].merge(table, on="group_id")
views = views[views.product_id_x != views.product_id_y]  # needs an item photographed twice
other = views.sort_values(["split", "severity"], ascending=[True, False]).iloc[0]
large = json.loads(other.recipe) | {"frame": large["frame"], "channel": straight}
honest = doctor.render(doctor.Shot(images.read(shop[other.product_id_x]), large["frame"]), large)
images.write_bytes(folder / "honest.jpg", honest.file)

# %%
listings = {"fraud": shop[row.product_id], "honest": other.path}
files = [listings["fraud"], folder / "fraud.jpg", listings["honest"], folder / "honest.jpg"]
plots.tiles([images.read(path) for path in files], ["listing", "fraud", "listing", "honest"])

# %% [markdown]
# ## The listing as a witness
#
# This comparison needs no neural network. Details are matched between the two photos. If one
# geometry and one change of brightness explain the whole picture, both are the **same exposure**:
# one press of the shutter. An honest buyer cannot have taken the seller's photo, so this is much
# stronger evidence than any score, and it shows at once which part was changed.
#
# Two different photos of one product give `same_object`. Plain goods offer too few details to
# compare; then the answer is `unsure` or `different`, which is no evidence of anything.

# %%
pairs = {"fraud": files[1::-1], "honest": files[:1:-1]}
found = {name: compare(*map(images.read, pair)) for name, pair in pairs.items()}
pd.DataFrame(found.values(), found.keys())[["finding", "strength", "inliers", "residual"]]

# %% [markdown]
# ## All signals together
#
# The rule that joins them is simple on purpose: the verdict is the highest concern among the
# signals, so that more evidence never lowers it. Three verdicts: `pass`, `review` (a person should
# look), `flag` (look closely). None of them is "reject".
#
# With the smoke detector the line `pixels` is close to a coin toss, for fraud and honest alike.
# Imagine deciding on that line alone.

# %%
reports = {
    name: review([folder / f"{name}.jpg"], listings[name], detector, folder / f"{name}.html")
    for name in listings
}
signals = {name: pd.DataFrame(report["signals"]) for name, report in reports.items()}
pd.concat(signals).style.hide(axis="index", level=1)

# %% [markdown]
# ## The report, and yours
#
# One page that stands on its own: it loads nothing and can be mailed or filed. Give `claim` and
# `listing` at the top to see your own case; until then it is the fraud.

# %%
page = folder / "report.html"
report = review([claim or folder / "fraud.jpg"], listing or listings["fraud"], detector, page)
frame = f'<div><iframe srcdoc="{escape(page.read_text("utf-8"))}" width="100%" height="900"'
HTML(f'{frame} style="border:1px solid #ccc"></iframe></div>')

# %% [markdown]
# ## Before you decide
#
# A false alarm is not a statistic to the person it hits. The report therefore says what to ask for,
# and asking costs little: a second photo from another angle is easy to take of a real crack, and
# hard to fake in the same way twice.

# %%
report["advice"]

# %% [markdown]
# ## What to try next
#
# - Your own broken cup: photograph it twice, and let an editor break an unbroken one.
# - Take a screenshot of the fraud and use that as `claim`. The label is gone. What remains?
# - The JSON beside each report holds the same, for other programs.

# %%
assert reports["fraud"]["verdict"] == "flag"  # its label alone suffices, whatever the network says
assert {s["name"] for s in reports["honest"]["signals"]} == {"pixels", "listing", "labels"}
assert not reports["honest"]["labels"] and fraud.label == 1 and honest.label == 0
assert found["honest"].finding != "same_exposure"
assert all((folder / f"{name}{end}").is_file() for name in listings for end in (".html", ".json"))
assert page.read_text("utf-8").startswith("<!") and report["verdict"] in ("pass", "review", "flag")
