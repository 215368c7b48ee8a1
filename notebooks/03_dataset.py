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
# | **writes** | `runs/<name>/dataset/`: pictures, masks, manifest, audit, dataset card |
# | **takes** | on 2 CPU cores: smoke under 1 minute, baseline about 20 minutes; needs no GPU |

# %% tags=["parameters"]
config = "configs/smoke.yaml"  # your own photos: a copy of it with `products.folders` set
workers = 2  # processes; any number of them gives the same bytes

# %% [markdown]
# What a build draws is decided by the config's section `build`, shown below: which decoders, how
# much of the picture they touch, what happens on the way to the claims desk, and which part of the
# products is put aside for validation and test.

# %%
# %matplotlib inline
import json
import shutil
from pathlib import Path

import pandas as pd
from IPython.display import FileLink

from damagenet import images, plots, runs
from damagenet.config import load
from damagenet.detect import metrics
from damagenet.synth import audit, card, dataset, doctor, products
from damagenet.synth.shot import Shot

pd.options.display.max_colwidth = None
settings = load(config)
settings.build

# %% [markdown]
# ## Build
#
# One product gives up to four pictures, one per cell. An interrupted build goes on where it
# stopped, and a complete one is left alone, so running this cell twice costs nothing. To build with
# other settings, use another `name` in the config, or delete the folder.
#
# `images/` holds JPEG files as a reviewer would get them. `masks/` says what was changed in each,
# pixel by pixel; the label is computed from it. `intended/` says what was *meant* to change: useful
# to understand a picture, wrong to train on.

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

# %% [markdown]
# What was drawn? Look for bars that are missing or much too long: a kind of damage that hardly
# occurs will hardly be learnt. A kind that was drawn, and every severity, should hold both colours
# in equal measure, or damage predicts the label. Four kinds are edits without damage: `recolour`,
# `repair`, `roundtrip` (only through a decoder) and `upscale`; `real` is a really broken product.
# Topology and family belong to edits, so they are all doctored.

# %%
plots.counts(manifest)

# %% [markdown]
# The held-out family, if the config names one, appears under `test` only. The family `none` is
# damage that was painted, without any neural decoder: old-fashioned retouching, kept because
# fraudsters own paint programs too.

# %%
manifest[manifest.label == 1].groupby(["family", "split"]).size().unstack(fill_value=0)

# %% [markdown]
# ## Look at twins
#
# Each row is one product in its four cells; red outlines what was changed. Some doctored ones you
# may notice even at this size: a decoder wiped the camera's grain off the whole picture. Those are
# the easy part. If you can tell by the *damage*, though, it is drawn badly; the detector will take
# the same short way, and learn about our brush instead of their decoder.

# %%
plots.twins(manifest, data)

# %% [markdown]
# ## Audit: the probes
#
# A **probe** is a small classifier that may see one kind of side information only, such as the file
# size or the JPEG quality, never the scene. If it predicts the label on products that it has not
# seen, so will your detector, and it will do so first, because that is easier than forensics.
#
# The yardstick is the **AUC**: the chance that a doctored picture is ranked above an authentic one.
# 0.5 is a coin, 1 is certainty. The **limit** is 0.6, or 0.65 for probes of pixel statistics, which
# may see a little of the decoder's trace itself. On few pictures chance alone goes further, and the
# limit moves with it: a small dataset makes weak probes. On the few dozen of the smoke config they
# would miss all but a blatant leak. The last three rows are not classifiers but checks, which must
# find nothing at all.

# %%
result = audit.audit(data, settings.audit)
pd.DataFrame(result["probes"]).set_index("name")[["meaning", "auc", "limit", "passed"]]

# %% [markdown]
# ## A leak, planted and caught
#
# Suppose that the editing program saved its pictures by itself, all of them at quality 92. That is
# how most such datasets are made, and nothing in the *pixels* looks wrong. Below, a copy of the
# dataset is spoilt so, audited, and thrown away. Circles: as built. Diamonds: the spoilt copy.

# %%
spoilt = Path(shutil.copytree(data, settings.run_dir / "spoilt", dirs_exist_ok=True))
edited = [spoilt / name for name in manifest.image[manifest.label == 1]]
saved = [images.write(path, images.read(path), quality=92) for path in edited]
caught = audit.audit(spoilt, settings.audit)
shutil.rmtree(spoilt)
plots.probes(result, caught)

# %% [markdown]
# A failed probe also says what told, and what to do about it.

# %%
failed = {record["name"]: record for record in caught["probes"] if not record["passed"]}
told = {name: (audit.telling(record), record["remedy"]) for name, record in failed.items()}
pd.DataFrame(told, ["what told", "what to do"]).T

# %% [markdown]
# ## Why four cells
#
# Suppose we had built the obvious dataset: clean photos against faked damage, two cells. Now rank
# the pictures by nothing but "does it show damage?". On two cells that is a perfect score, without
# any forensics. On four it is a coin. These two numbers are the reason for the second and the
# fourth cell. (Only products with all four cells are counted here. The probe `damage` above asked
# the same of the whole dataset, really broken goods included.)

# %%
four = manifest[manifest.groupby(dataset.draws(manifest)).cell.transform("nunique") == 4]
two = four[four.cell.isin(["authentic_intact", "doctored_damage"])]
sets = {"two cells": two, "four cells": four}
aucs = {name: metrics.auc(s.label, s.cell.isin(doctor.DAMAGED)) for name, s in sets.items()}
pd.Series(aucs, name="AUC of 'does it show damage?'").to_frame()

# %% [markdown]
# ## Any picture can be made again
#
# The manifest keeps the recipe of each row. Take a doctored one, render it afresh from the
# product's photo, and compare with the file on disk, pixel by pixel.

# %%
row = manifest[manifest.cell == "doctored_damage"].iloc[-1]
origin = products.load(settings.products.table or data / "products.parquet").set_index("product_id")
recipe = json.loads(row.recipe)
again = doctor.render(Shot(images.read(origin.path[row.product_id]), recipe["frame"]), recipe)
plots.tiles([images.read(data / row.image), images.read(again.file)], ["stored", "made again"])

# %% [markdown]
# ## The dataset card
#
# Whoever gets a dataset wants to know what it holds, how it was made and what it must not be used
# for. The **dataset card** says so on one page, with twins, counts, probes, licences and the
# command that builds it again. Send it along.

# %%
FileLink(card.write(data), url_prefix="../")

# %% [markdown]
# ## What to try next
#
# - More variety before more pictures: other products, `build.variants`, other decoder families.
# - Break it on purpose: `build.label_files: true` writes the AI label that the law asks for into
#   every doctored file. The `exif` probe then jumps to 1, and the audit fails. Right for files that
#   you hand out, wrong for a training set.
# - Spoil something else in the copy, such as the size or the brightness of doctored pictures. How
#   little of it is still caught?

# %%
assert result["passed"], [probe["name"] for probe in result["probes"] if not probe["passed"]]
assert {"jpeg_quality", "twins"} <= set(failed) and not caught["passed"]
assert (manifest.groupby("group_id").split.nunique() == 1).all()
assert set(manifest.cell) == set(doctor.CELLS)
assert (manifest.label == (manifest.area > 0)).all()
assert (images.read(again.file) == images.read(data / row.image)).all()
assert runs.sha256(data / row.image) == row.sha256 and (data / "dataset_card.html").is_file()
assert aucs["two cells"] > 0.99 and abs(aucs["four cells"] - 0.5) < 0.1
