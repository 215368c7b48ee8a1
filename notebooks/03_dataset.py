# %% [markdown]
# # 3 · Can a model cheat on it?
#
# Notebook 2 doctored one product by hand. Now all of them, at random, and then the question that
# decides whether the dataset is worth training on: could anything *but* the edit give the answer
# away?
#
# | | |
# |---|---|
# | **reads** | the photos that the config names |
# | **writes** | `runs/<name>/dataset/`: images, masks, manifest, `dataset.json`, `audit.json` |
# | **takes** | on 2 CPU cores: smoke under 1 minute, baseline about 20 minutes |

# %% tags=["parameters"]
config = "configs/smoke.yaml"
workers = 2  # processes; any number of them gives the same bytes

# %%
# %matplotlib inline
import json
import os
from pathlib import Path

import pandas as pd

from damagenet import images, plots, runs
from damagenet.config import load
from damagenet.detect import metrics
from damagenet.synth import audit, dataset, doctor, products

os.chdir(".." if Path.cwd().name == "notebooks" else ".")  # paths as on the command line
settings = load(config)
settings.build

# %% [markdown]
# ## Build
#
# One product gives up to four pictures, one per cell. An interrupted build goes on where it
# stopped, and a complete one is left alone, so running this cell twice costs nothing. To build with
# other settings, use another `name` in the config, or delete the folder.

# %%
data = dataset.build(settings, workers=workers)
manifest = dataset.read_manifest(data)
manifest.loc[:3, "label":"area"].drop(columns=["product_id", "group_id"])

# %% [markdown]
# ## Count before you train
#
# Each split needs every cell. Photos of really damaged goods have no intact twin, and a quarter of
# the intact ones skip the camera model, so the cells are close in number but not equal.
#
# The **validation** split is for decisions (when to stop, which threshold); the **test** split is
# for the final figures. Tuning on the test split is the oldest way to publish a number that nobody
# can reproduce.

# %%
manifest.groupby(["cell", "split"]).size().unstack(fill_value=0)

# %%
manifest[manifest.label == 1].groupby(["topology", "family", "split"]).size().unstack(fill_value=0)

# %% [markdown]
# The held-out family, if the config names one, appears under `test` only. The family `none` is
# damage that was painted, without any neural decoder: old-fashioned retouching, kept because
# fraudsters own paint programs too.
#
# ## Look at twins
#
# Each row is one product in its four cells. Some doctored ones you may notice even at this size:
# a decoder wiped the camera's grain off the whole picture. Those are the easy part. If you can tell
# by the *damage*, though, it is drawn badly; the detector will take the same short way, and learn
# about our brush instead of their decoder.

# %%
plots.twins(manifest, data)

# %% [markdown]
# ## Audit: the probes
#
# A **probe** is a small classifier that may see one kind of side information only, such as the file
# size or the JPEG quality, never a pixel. If it predicts the label on products that it has not
# seen, so will your detector, and it will do so first, because that is easier than forensics.
#
# The yardstick is the **AUC**: the chance that a doctored picture is ranked above an authentic one.
# 0.5 is a coin. Everything must stay left of the dashed line. A small dataset makes weak probes: on
# the few dozen pictures of the smoke config they would miss all but a blatant leak.

# %%
result = audit.audit(data, settings.audit)
plots.probes(result)

# %% [markdown]
# ## What the audit would have caught
#
# Suppose we had built the obvious dataset: clean photos against faked damage, two cells. Now rank
# the pictures by nothing but "does it show damage?". On two cells that is a perfect score, without
# any forensics. On four it is a coin. These two numbers are the reason for the second and the
# fourth cell.

# %%
two = manifest[manifest.cell.isin(["authentic_intact", "doctored_damage"])]
sets = {"two cells": two, "four cells": manifest}
aucs = {name: metrics.auc(s.label, s.cell.isin(doctor.DAMAGED)) for name, s in sets.items()}
pd.Series(aucs, name="AUC of 'does it show damage?'").to_frame()

# %% [markdown]
# ## Any picture can be made again
#
# The manifest keeps the recipe of each row. Take one, render it afresh from the product's photo,
# and compare with the file on disk, byte by byte.

# %%
row = manifest[manifest.label == 0].iloc[-1]
origin = products.load(settings.products.table or data / "products.parquet").set_index("product_id")
again = doctor.render(images.read(origin.path[row.product_id]), json.loads(row.recipe))
json.loads(row.recipe)

# %% [markdown]
# ## What to try next
#
# - More variety before more pictures: other products, `build.variants`, other decoder families.
# - Break it on purpose: `build.label_files: true` writes the AI label that the law asks for into
#   every doctored file. The `exif` probe then jumps to 1, and the audit fails. Right for files that
#   you hand out, wrong for a training set.

# %%
assert result["passed"], [probe["name"] for probe in result["probes"] if not probe["passed"]]
assert (manifest.groupby("group_id").split.nunique() == 1).all()
assert set(manifest.cell) == set(doctor.CELLS)
assert (manifest.label == (manifest.area > 0)).all()
assert again.file == (data / row.image).read_bytes() and runs.sha256(data / row.image) == row.sha256
assert aucs["two cells"] > 0.99 and abs(aucs["four cells"] - 0.5) < 0.1
