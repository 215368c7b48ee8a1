# %% [markdown]
# # 4 · Does it learn?
#
# Training is one loop over matched pairs. This notebook shows what goes in, runs the loop, and
# looks at whether anything useful comes out, before the next one measures it properly.
#
# | | |
# |---|---|
# | **reads** | `runs/<name>/dataset/` (run notebook 3 first) |
# | **writes** | `runs/<name>/`: the config used, `train.csv`, `best.safetensors` |
# | **takes** | on 2 CPU cores: smoke under 1 minute, baseline about 40 minutes |

# %% tags=["parameters"]
config = "configs/smoke.yaml"

# %%
# %matplotlib inline
import os
from pathlib import Path

import numpy as np
import pandas as pd

from damagenet import plots
from damagenet.config import load
from damagenet.detect import model
from damagenet.detect.loader import Twins
from damagenet.detect.train import infer, train
from damagenet.synth import dataset

os.chdir(".." if Path.cwd().name == "notebooks" else ".")  # paths as on the command line
settings = load(config)
data, run = settings.dataset_dir, settings.run_dir
manifest = dataset.read_manifest(data)
settings.train

# %% [markdown]
# ## What goes in
#
# Each training item is a pair of crops: an authentic picture and its doctored twin, cut at the same
# place, turned and re-compressed by the same draw. Because the pair shares everything else, the
# only way to lower the loss is to find the trace.
#
# Crops are cut at **native resolution**. The common mistake is to shrink the photo to 224 x 224
# first, as one does to recognise cats: shrinking averages neighbouring pixels, and the trace *is*
# the relation between neighbouring pixels.
#
# In a share of the `full` items the loader pastes the original back outside a region. That turns
# one picture into many `exchange` edits at no cost, and stops the network from judging by the
# picture as a whole. With `train.decoys` above 0 a share of **authentic** crops is softened alone:
# decoders smooth, phones do too, and a detector of smoothness would accuse their owners.

# %%
twins = Twins(data, manifest[manifest.split == "train"], settings.train, settings.seed, 7)
plots.crops([twins[i] for i in range(7)])

# %% [markdown]
# ## The network
#
# A small convolutional network that sees, besides the colours, fixed **high-pass residuals**: what
# is left of a pixel after its neighbours have predicted it. They take away the cup and keep the
# noise. It gives two answers: one number for the picture, and a **heatmap**, a number for each
# pixel that says where. A number without a place cannot be checked by a person, so the map is not
# decoration.

# %%
network = model.Network(settings.train)
weights = sum(part.numel() for part in network.parameters())
print(f"{settings.train.encoder}: {weights:,} weights, crops of {settings.train.crop} pixels")

# %% [markdown]
# ## Train
#
# Interrupt whenever you like and run the cell again: it resumes from the last evaluation. A
# finished run is left alone. The best weights by validation AUC are kept, not the last ones.

# %%
train(settings)

# %%
log = pd.read_csv(run / "train.csv")
plots.training_curve(log)

# %% [markdown]
# ## How to read the curves
#
# The loss should fall and the validation AUC should rise from 0.5. If only the loss falls, the
# network is memorising: more products will help, more steps will not. **TPR at 5 %** is the share
# of doctored pictures found when at most 5 % of the authentic ones are reported; it is harsher than
# AUC, and nearer to the use. **Pixel F1** compares the heatmap with the mask.
#
# On smoke, expect next to nothing: forty steps of a toy network on a dozen products. The curve may
# stay at a coin's level, and that is fine. It shows that the loop runs, logs, and saves.

# %%
log

# %% [markdown]
# ## Look at the maps, not only at the number
#
# Four doctored validation pictures, the region outlined, above what the network says about them.
# Bright should mean outlined. A trained network draws a patch there; an untrained one traces the
# object's edges, since that is where any filter responds.

# %%
network, facts = model.load(run / "best.safetensors")
rows = manifest[(manifest.split == "val") & (manifest.topology == "exchange")].head(4)
pairs = [dataset.read_pair(data, row) for row in rows.to_dict("records")]
maps = [infer(network, image, model.device_for("cpu"))[1] for image, _ in pairs]
plots.tiles([*(plots.outlined(*pair) for pair in pairs), *maps], list(rows.kind), len(pairs) or 1)

# %% [markdown]
# The weights are stored with the config, the seed, the commit and the hash of the dataset inside
# the same file. A weight file that cannot say where it came from is a liability.

# %%
facts

# %% [markdown]
# ## What to try next
#
# - `baseline.yaml`, and then its `train.steps`.
# - Another `train.encoder`: any name of the timm library that offers feature maps.
# - Train three times with different `seed`s before you believe that a change helped. The spread
#   between seeds is often wider than the improvement.

# %%
assert (run / "best.safetensors").is_file() and (run / "config.yaml").is_file()
assert np.isfinite(log.loss).all() and log.step.is_monotonic_increasing
assert log.auc.between(0, 1).all() and facts["val"]["auc"] == log.auc.max()
assert facts["dataset"] == dataset.read_card(data)["manifest_sha256"]
assert all(heat.shape == mask.shape for heat, (_, mask) in zip(maps, pairs, strict=True))
