# %% [markdown]
# # 4 · Does it learn?
#
# Training is one loop over matched pairs. This notebook shows what goes in, runs the loop, and
# looks at whether anything useful comes out, before the next one measures it properly.
#
# | | |
# |---|---|
# | **reads** | the photos that the config names; its dataset, which is built where it is missing |
# | **writes** | `runs/<name>/`: `dataset/`, the config used, `train.csv`, `best.safetensors` |
# | **takes** | on 2 quiet CPU cores: reproduce 2 minutes, baseline about an hour |
# | | on a GPU: `gpu.yaml` is made for one; not measured (`docs/gpu.md`) |
#
# The smoke config of the notebooks before has forty steps, enough to see that the loop turns and
# too few to learn anything. From here on we use `reproduce.yaml`, the **easy end** of the task:
# whole frames through a decoder, straight from the camera. There a toy learns in a minute.

# %% tags=["parameters"]
config = "configs/reproduce.yaml"  # your own photos: a copy of it with `products.folders` set

# %% [markdown]
# The dataset is built first, as in notebook 3; that takes most of a minute and happens once. Below
# is the config's section `train`. If you asked for a GPU (`device: cuda`) and there is none, the
# training says so and stops, as an hour of work should not silently become a day.

# %%
# %matplotlib inline

import numpy as np
import pandas as pd
import torch

from damagenet import plots
from damagenet.config import load
from damagenet.detect import model
from damagenet.detect.loader import Twins
from damagenet.detect.train import infer, train
from damagenet.synth import dataset

settings = load(config)
data, run = dataset.build(settings), settings.run_dir
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
# With `train.exchange` above 0 (here: 0) the loader pastes the original back outside a region in
# a share of the `full` items. That turns one picture into many `exchange` edits at no cost, and
# stops the network from judging by the picture as a whole. With `train.decoys` a share of
# **authentic** crops is softened alone: decoders smooth, phones do too, and a detector of
# smoothness would accuse their owners.

# %%
twins = Twins(data, manifest[manifest.split == "train"], settings.train, settings.seed, 7)
plots.crops([twins[i] for i in range(7)])

# %% [markdown]
# ## What the network sees
#
# Above is what *you* see: nothing. The network sees, besides the colours, fixed **high-pass
# residuals**: what is left of a pixel after its neighbours have predicted it, along a line, in a
# square of 3 x 3, in one of 5 x 5. They take away the cup and keep the noise. Here they are for
# green, grey where the neighbours were right. Compare the first two rows: the same cup, another
# grain. The last row is their difference, and the only thing that tells the twins apart.
#
# The common mistake is to let a network find this out for itself: its first layers learn edges and
# colours, which are far louder, and the trace drowns before anything has looked for it.

# %%
torch.manual_seed(settings.seed)
network = model.Network(settings.train).eval()
pair = twins[0]["image"]
seen = network.residuals(pair.permute(0, 3, 1, 2).float())
plots.planes(pair.numpy(), seen.numpy())

# %% [markdown]
# The network itself is a small convolutional one, with two answers: one number for the picture, and
# a **heatmap**, a number for each pixel that says where. A number without a place cannot be checked
# by a person, so the map is not decoration.

# %%
weights = sum(part.numel() for part in network.parameters())
print(f"{settings.train.encoder}: {weights:,} weights, crops of {settings.train.crop} pixels")

# %% [markdown]
# ## Train
#
# Interrupt whenever you like, or lose the machine, and run the cell again: it goes on from the last
# state in `runs/` to the same weights, bit for bit on a CPU. A finished run is left alone. The best
# weights by validation AUC are kept, not the last ones.

# %%
train(settings)

# %% [markdown]
# ## How to read the curves
#
# The loss should fall and the validation AUC should rise from 0.5. If only the loss falls, the
# network is memorising: more products will help, more steps will not. **TPR at 5 %** is the share
# of doctored pictures found when at most 5 % of the authentic ones are reported; it is harsher than
# AUC, and nearer to the use. **Pixel F1** compares the heatmap with the mask.
#
# The AUC stops rising well below 1, and more steps will not help: in a quarter of the edits the
# fine detail of the original was put back (`align.cut`, see notebook 2), which leaves no trace that
# anyone could find. They are left out of training and stay in validation, as such edits exist. A
# validation curve close to 1 would be a reason to look for a leak, not to celebrate.

# %%
log = pd.read_csv(run / "train.csv")
plots.training_curve(log)

# %% [markdown]
# The same as numbers, one row an evaluation. `wait` is the share of time that the network waited
# for pictures: near 0 the processor is the bottleneck, near 1 it is the disk or `train.workers`.

# %%
log

# %% [markdown]
# ## The first evidence
#
# Take twins of products that training never saw, and ask one thing only: which of the two was
# doctored? A point is a pair of crops, green where the doctored twin got the higher number. The
# untrained network says nearly the same of both, so its points lie along the line, on whichever
# side chance has put them. The trained one lifts them off it.
#
# This is an easier question than the one of a claims desk, where no twin lies beside the photo and
# one threshold must do for all products. Along the horizontal axis you see why that is harder: the
# numbers of authentic crops differ more among themselves than many of them do from their twins.

# %%
trained, facts = model.load(run / "best.safetensors")
unseen = Twins(data, manifest[manifest.split == "val"], settings.train, settings.seed, 96)
new = torch.cat([unseen[i]["image"] for i in range(96)])
logits = [net(new)[0].detach().reshape(-1, 2).numpy() for net in (network, trained)]
plots.ranked_twins(dict(zip(("untrained", "trained"), logits, strict=True)))

# %% [markdown]
# ## Look at the maps, not only at the number
#
# Validation pictures above what the network says about them: doctored ones with what was changed
# outlined, then authentic ones. Bright means "decoded". The doctored half should be bright
# where outlined, the authentic half dark. It is not: these raw maps light up two fifths of the
# pixels of honest photos (the evaluation sets their level, notebook 5). Look at what lies there,
# often a surface as smooth as a decoder's.

# %%
val = manifest[manifest.split == "val"].drop_duplicates(["product_id", "label"])
rows = pd.concat([val[val.label == 1].head(3), val[val.label == 0].tail(3)])
pairs = [dataset.read_pair(data, row) for row in rows.to_dict("records")]
maps = [infer(trained, image, model.device_for("cpu"))[1] for image, _ in pairs]
plots.tiles([*(plots.outlined(*one) for one in pairs), *maps], list(rows.cell), len(pairs), 2)

# %% [markdown]
# The weights are stored with the config, the seed, the commit and the hash of the dataset inside
# the same file. A weight file that cannot say where it came from is a liability.

# %%
facts

# %% [markdown]
# ## What to try next
#
# - `build.topologies="[full, exchange]"` with another `name`: the easy end is left behind, and the
#   curve will show it. Then `build.chains="[camera, chat]"`.
# - `make reproduce` trains this config anew and says whether your machine finds the same numbers.
# - `baseline.yaml` on real photos, and then its `train.steps`.
# - Another `train.encoder`: any name of the timm library that offers feature maps.
# - Train three times with different `seed`s before you believe that a change helped. The spread
#   between seeds is often wider than the improvement.

# %%
assert (run / "best.safetensors").is_file() and (run / "config.yaml").is_file()
assert np.isfinite(log.loss).all() and log.step.is_monotonic_increasing
assert log.auc.between(0, 1).all() and facts["val"]["auc"] == log.auc.max()
assert facts["dataset"] == dataset.read_card(data)["manifest_sha256"]
assert all(heat.shape == mask.shape for heat, (_, mask) in zip(maps, pairs, strict=True))
right = [(pair[:, 1] > pair[:, 0]).mean() for pair in logits]
assert settings.name != "reproduce" or (log.auc.max() > 0.65 and right[1] > 0.75)
