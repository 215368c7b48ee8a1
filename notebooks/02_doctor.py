# %% [markdown]
# # 2 · What would a fraudster make of it?
#
# A fraudster's photo and an honest photo of a broken cup both show a broken cup. So a detector of
# *damage* is worthless: it accuses honest buyers. What differs is **how the damage got into the
# pixels**: before the lens, or after it. This notebook takes one product and shows both ways, side
# by side, with every choice that the dataset later draws at random.
#
# | | |
# |---|---|
# | **reads** | the photos of notebook 1 (registers them itself where that is still to do) |
# | **writes** | `runs/<name>/products.parquet` |
# | **takes** | on 2 CPU cores: about 1 minute with either config |

# %% tags=["parameters"]
config = "configs/smoke.yaml"
product = 11  # which photo to doctor
seed = 2  # another seed: another camera, place, damage and edit

# %%
# %matplotlib inline
import os
from pathlib import Path

from damagenet import images, plots, runs
from damagenet.config import load
from damagenet.synth import channel, damage, doctor, products, regenerate

os.chdir(".." if Path.cwd().name == "notebooks" else ".")  # paths as on the command line
larger = ["build.long_side=480", "build.native=0", "build.overlay=0"]  # so that we see something
settings = load(config, larger)
table = products.resolve(settings.products, settings.run_dir / "products.parquet")
intact = table[table.condition == "intact"]
row = intact.iloc[product % len(intact)]
photo = images.read(row.path)
families = tuple(regenerate.available())
print(f"{row.product_id}, {photo.shape[1]} x {photo.shape[0]} pixels; decoders: {families}")

# %% [markdown]
# ## Plan, then render
#
# `doctor.plan` makes every random choice and writes it down as a **recipe**, a small dictionary
# that goes into the dataset beside the picture. `doctor.render` has no randomness left: the same
# photo and recipe give the same bytes, today and on another machine. To ask what one choice does,
# change it in the recipe and render again. The rest of this notebook does nothing else.

# %%
rng = runs.rng_for(seed, row.product_id)
plan = doctor.plan(rng, photo, "intact", settings.build, families)
broken, doctored = plan[1], plan[2]
doctored

# %% [markdown]
# ## Four cells, never two
#
# Every dataset of this project holds four kinds of picture, its **cells**. The doctored region is
# outlined; where nothing is outlined, either nothing was doctored or everything was.
#
# - `authentic_intact`: the clean photo.
# - `authentic_damaged`: the damage was put into the *scene*, and then photographed with the lens,
#   noise and colour interpolation of a modelled camera. An honest buyer's photo.
# - `doctored_damage`: the same damage, put into the finished photo. The fraud.
# - `doctored_other`: an AI edit that is not damage, such as a recoloured patch or a repair.
#
# Train on the first and third alone, as is often done, and the detector learns that damage means
# fraud. The second cell forbids it. The fourth forbids the reverse, "no damage, so no fraud".
# These pictures are **twins**: same framing, same camera, same damage, same compression. Only the
# trace of the edit separates them.

# %%
cells = [doctor.render(photo, recipe) for recipe in plan]
plots.samples(cells, [sample.recipe["cell"] for sample in cells])

# %% [markdown]
# ## Could you tell?
#
# The same spot, enlarged: intact, damaged before the lens, damaged after it. Side by side and this
# large, you may see that the grain of the photo changes around the doctored damage. In a claim you
# get one picture, at its own size, and no twin beside it. In a published test, people judged about
# two in three such photos rightly, where guessing gives one in two.
#
# So the trace lies in the finest detail: in noise that is too smooth, or too regular, or merely
# different from the noise next to it. That is where the detector will look.

# %%
pasted = doctored | {"edit": doctored["edit"] | {"topology": "exchange"}}
spot = doctor.render(photo, pasted)
plots.samples(
    [*cells[:2], spot], ["intact", "damaged, authentic", "damaged, doctored"], 3, around=spot.mask
)

# %% [markdown]
# ## Kinds of damage
#
# One function draws each **kind**. What a claim shows depends on the goods: ceramics crack and
# chip, cloth tears and stains, metal dents. Here all of them sit in the same place, drawn into the
# scene, hence authentic.

# %%
drawn = [broken["damage"] | {"kind": kind, "severity": 4} for kind in damage.KINDS]
kinds = [doctor.render(photo, broken | {"damage": one}) for one in drawn]
plots.samples(kinds, list(damage.KINDS), 5)

# %% [markdown]
# ## Severity
#
# From 1, which a buyer might overlook, to 5, which nobody would. Fraudsters tend to exaggerate;
# a dataset that does so too teaches the detector to miss the modest ones.

# %%
drawn = [broken["damage"] | {"severity": severity} for severity in range(1, 6)]
steps = [doctor.render(photo, broken | {"damage": one}) for one in drawn]
plots.samples(steps, [f"severity {severity}" for severity in range(1, 6)], 5)

# %% [markdown]
# ## Topology: how much of the picture was touched?
#
# Generative editors end in a **decoder**, a neural network that turns numbers into pixels. The
# **topology** says which pixels of the final photo came out of it:
#
# - `full`: all of them. Chat assistants return a whole new picture.
# - `exchange`: only the edited region; the original pixels were pasted back around it.
# - `blend`: as exchange, with a soft border.
#
# Below each picture is its difference from the authentic twin with the same damage, so what you see
# there is the trace and nothing else. Published detectors that do well on `full` have fallen close
# to chance on `exchange`: they had learnt to recognise a picture that went through a decoder, not
# an edit. So the three are always reported apart.

# %%
names = ("full", "exchange", "blend")
ways = [doctored | {"edit": doctored["edit"] | {"topology": name}} for name in names]
plots.differences([cells[1], *(doctor.render(photo, recipe) for recipe in ways)], names)

# %% [markdown]
# ## Family: which decoder?
#
# A **family** is one neural decoder with its own handwriting. Next month there will be a new one,
# so one family is always held out: the detector never sees it in training and is tested on it.
# Here the whole picture went through each decoder that is installed.

# %%
through = doctored | {"edit": doctored["edit"] | {"topology": "full"}}
each = [through | {"edit": through["edit"] | {"family": name}} for name in families]
plots.differences([cells[1], *(doctor.render(photo, recipe) for recipe in each)], families)

# %% [markdown]
# ## The channel: what happens on the way
#
# Nobody sends the original file. The **channel** is what chat apps, upload forms and screenshots do
# to a photo: shrink it, crop it, compress it again. All of this wears the trace away, and all
# twins of one product get the very same treatment, so that compression cannot tell them apart.

# %%
routes = [doctored | {"channel": channel.plan(rng, (name,))} for name in channel.CHAINS]
sent = [doctor.render(photo, recipe) for recipe in routes]
sizes = [f"{n}: {len(s.file) / 1000:.0f} kB" for n, s in zip(channel.CHAINS, sent, strict=True)]
plots.samples(sent, sizes)

# %% [markdown]
# ## What to try next
#
# - Another `product`, another `seed`.
# - `regenerate.missing()` says which decoder families are not installed and how to get them.
# - Draw a new kind of damage: one function in `src/damagenet/synth/`, one line in `damage.KINDS`.
#
# The label is never a promise. It is computed from the mask: doctored means that some pixel was.

# %%
assert [sample.label for sample in cells] == [0, 0, 1, 1]
assert all(sample.label == int(sample.mask.any()) for sample in [*cells, *sent])
assert doctor.render(photo, doctored).file == cells[2].file
assert (doctor.render(photo, ways[0]).mask > 0).all() and 0 < (spot.mask > 0).mean() < 1
