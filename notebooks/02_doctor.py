# %% [markdown]
# # 2 · What would a fraudster make of it?
#
# A fraudster's photo and an honest photo of a broken cup both show a broken cup. So a detector of
# *damage* is worthless: it accuses honest buyers. What differs is **how the damage got into the
# pixels**: before the lens, or after it. This notebook takes one product and shows both ways, side
# by side, with every choice that the dataset later draws at random. Near the end are sliders, to
# try your own.
#
# | | |
# |---|---|
# | **reads** | the photos of notebook 1 (registers them itself where that is still to do) |
# | **writes** | `runs/<name>/products.parquet` |
# | **takes** | on 2 CPU cores: smoke half a minute, baseline 1 minute; needs no GPU |

# %% tags=["parameters"]
config = "configs/smoke.yaml"
photo = ""  # the path of a photo of your own; empty: one of the config's
product = 8  # which of the config's photos
seed = 5  # another seed: another camera, place, damage and edit

# %% [markdown]
# The cell below picks one intact product from notebook 1, or your `photo`, and asks which decoders
# are installed. Pictures are made a little larger than the smoke config would, to look at, and
# everything that would blur the comparison (chat apps, drawn arrows) is put off until later.

# %%
# %matplotlib inline
from dataclasses import replace

from damagenet import images, plots, runs, widgets
from damagenet.config import load
from damagenet.synth import channel, damage, doctor, markup, products, regenerate
from damagenet.synth.shot import Shot, plan_frame

larger = "build.long_side=480 build.native=0 build.overlay=0 build.chains=camera".split()
settings = load(config, larger)
table = products.resolve(settings.products, settings.run_dir / "products.parquet")
row = table[table.condition == "intact"].iloc[product % sum(table.condition == "intact")]
image, category = images.read(photo or row.path), "unknown" if photo else row.category
families = tuple(sorted(regenerate.available()))  # the project's own, ae_…, come first
build = replace(settings.build, families=families)

# %% [markdown]
# ## Plan, then render
#
# A `Shot` is one product, framed and ready: where it is in the picture, and how much light came
# from each spot of the scene. `doctor.plan` makes every random choice and writes it down as a
# **recipe**, a small dictionary that goes into the dataset beside the picture. `doctor.render` has
# no randomness left: the same photo and recipe give the same bytes, today and on another machine.
#
# To ask what one choice does, change it in the recipe and render again. The rest of this notebook
# does nothing else.

# %%
rng = runs.rng_for(seed, row.product_id)
shot = Shot(image, plan_frame(rng, build.long_side))
plan = doctor.plan(rng, shot, "intact", category, build)
broken, doctored = plan[1], plan[2]
doctored["edit"]

# %% [markdown]
# ## Four cells, never two
#
# Every dataset of this project holds four kinds of picture, its **cells**. What was changed is
# outlined in red.
#
# - `authentic_intact`: the product as it was.
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
cells = [doctor.render(shot, recipe) for recipe in plan]
plots.samples(cells, [sample.recipe["cell"] for sample in cells])

# %% [markdown]
# ## Before the lens, after the lens
#
# The same spot, enlarged: intact, damaged before the lens, damaged after it. Below each is its
# finest detail, eight times amplified around grey: the noise of the sensor, sharpened edges, the
# little squares of JPEG. On the left and in the middle one grain covers everything, damage
# included. On the right, look for a patch whose grain is thinner, or smoother, or too regular.
#
# The upper row alone may fool you. In a claim you get one picture, at its own size, with no twin
# beside it and nothing amplified. So the trace lies in the finest detail, and that is where the
# detector will look.

# %%
bare = {"colour": False, "mix": 0.0, "cut": 0, "grain": 0.0, "seed": 0, "jpeg": None}  # see below
pasted = {"topology": "exchange", "family": families[0], "variant": 0, "align": bare}
edit = doctored["edit"] | pasted
spot = doctor.render(shot, doctored | {"edit": edit})
plots.noise([*cells[:2], spot], ["intact", "before the lens", "after it"], 8, 3, spot.intended)

# %% [markdown]
# ## Kinds of damage
#
# One function draws each **kind**. What a claim shows depends on the goods: ceramics crack and
# chip, cloth tears and stains, metal dents and rusts. `damage.suitable` picks by the category of
# the product, which comes from `sources.csv` or the folder's name. Nobody believes a torn cup, and
# a detector would learn to disbelieve it too. All of these were drawn into the scene, hence they
# are authentic. Rims and corners break first, so chips and crushed corners find their own place.

# %%
kinds = damage.suitable(category, tuple(damage.KINDS))
drawn = [damage.plan_damage(runs.rng_for(1), shot.inside, k, 4) | {"kind": k} for k in kinds]
plots.samples([doctor.render(shot, broken | {"damage": one}) for one in drawn], kinds, 4)

# %% [markdown]
# ## Severity
#
# From 1, which a buyer might overlook, to 5, which nobody would. Fraudsters tend to exaggerate;
# a dataset that does so too teaches the detector to miss the modest ones.

# %%
levels = [broken["damage"] | {"severity": level} for level in range(1, 6)]
worse = [doctor.render(shot, broken | {"damage": one}) for one in levels]
plots.samples(worse, list("12345"), 5, around=shot.layer(levels[-1]).mask)

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
# there is the trace and nothing else. The damage itself shows too: it never passed the lens, so it
# is a little sharper than its twin. Blue is the **intended** mask, what the editor meant to
# change. Red is the **stored** mask, what changed: it decides the label. The two differ more than
# one would think: a decoder leaves plain white as it was, and `full` repaints what nobody asked
# for.
#
# The common mistake: training on the intended mask, or on `full` alone. Published detectors that do
# well on `full` have fallen close to chance on `exchange`: they had learnt to recognise a picture
# that went through a decoder, not an edit. So the three are always reported apart.

# %%
ways = [edit | {"topology": name} for name in doctor.TOPOLOGIES]
touched = [doctor.render(shot, doctored | {"edit": way}) for way in ways]
plots.differences([cells[1], *touched], doctor.TOPOLOGIES, columns=3)

# %% [markdown]
# ## Family: which decoder?
#
# A **family** is one neural decoder with its own handwriting. Next month there will be a new one,
# so one family is always held out: the detector never sees it in training and is tested on it.
# Here the whole picture went through each decoder that is installed, seen close around the damage.
# The families `ae_…` are small decoders of the project's own, trained to differ in one thing: how
# they enlarge. The others are published ones; `regenerate.missing()` says how to get more of them.

# %%
each = [doctor.render(shot, doctored | {"edit": ways[0] | {"family": f}}) for f in families]
plots.differences([cells[1], *each], families, columns=5, around=spot.intended)

# %% [markdown]
# ## Alignment: taking away the easy giveaways
#
# A decoder also shifts colours, wipes noise and never saw a JPEG. A detector that learns *that*
# fails on the next decoder. So a share of the edits is **aligned** with the original before it is
# pasted, as `align.plan_align` draws it. From left to right: the authentic twin; the bare decoder;
# the missing **grain** put back; the **fine detail** of the original kept, by mixing in the high
# frequencies of its DCT (the waves that JPEG, too, takes a picture apart into). Edits may also get
# the mean colour of the original, a share of its pixels, or another pass through the camera's JPEG.
# The label stays what it was: what is left is the decoder's handwriting and little else.

# %%
means = [bare, bare | {"grain": 1.0}, bare | {"cut": 6}]
done = [doctor.render(shot, doctored | {"edit": edit | {"align": one}}) for one in means]
names = ["authentic twin", "bare decoder", "grain put back", "fine detail kept"]
plots.noise([cells[1], *done], names, 8, 4, spot.intended)

# %% [markdown]
# ## The channel: what happens on the way
#
# Nobody sends the original file. The **channel** is what chat apps, upload forms, screenshots and
# a photo of a screen do to a photo: shrink it, crop it, turn it, compress it again. All of this
# wears the trace away, and all twins of one product get the very same treatment, so that
# compression cannot tell them apart. The last, `twice`, is kept for the test: no training sees it.

# %%
routes = [channel.plan(rng, (name,)) for name in channel.CHAINS]
sent = [doctor.render(shot, doctored | {"edit": edit, "channel": route}) for route in routes]
plots.samples(sent, channel.CHAINS, 4)

# %% [markdown]
# Honest buyers draw on their photos, too: a circle, an arrow, "broken here", a hidden address, a
# date. That is **markup**, and no doctoring: these five are authentic, label 0, and their doctored
# twins carry the very same ink. Forget it, and the detector flags every red circle.

# %%
place = (broken["damage"]["x"], broken["damage"]["y"], 0.12)
steps = [[markup.plan(runs.rng_for(n), place), *broken["channel"]["steps"]] for n in range(8, 13)]
marked = [doctor.render(shot, broken | {"channel": {"steps": one}}) for one in steps]
plots.samples(marked, ["authentic"] * 5, 5)

# %% [markdown]
# ## Now you
#
# Change anything; both twins are rendered anew, at once. Left: broken before the lens. Middle:
# after it. Right: what differs. Equal seeds keep everything that you did not change. Begin with
# `full` and a zoom; then `exchange`; then send it through `chat` and ask yourself what is left.
# (All controls work with the keyboard: Tab, arrows, Space. On a page that cannot run Python you
# see one picture, and the controls rest.)

# %%
(bench := widgets.doctoring(image, category, build, seed))

# %% [markdown]
# ## What to try next
#
# - Another `product`, another `seed`, or the path of a `photo` of your own.
# - In the bench: which decoder leaves least behind at `exchange` after `screenshot`?
# - Draw a new kind of damage: one function in `src/damagenet/synth/`, one line in `damage.KINDS`.
#
# The label is never a promise. It is computed from the stored mask: doctored means that some pixel
# was.

# %%
assert [sample.label for sample in cells] == [0, 0, 1, 1]
assert doctor.render(shot, doctored).file == cells[2].file  # the same recipe, the same bytes
assert touched[0].mask.sum() > 2 * touched[1].mask.sum() and not any(s.label for s in marked)
assert [sample.label for sample in bench.samples] == [0, 1], bench.status.value
