# %% [markdown]
# # 1 · What photos do I have?
#
# A buyer sends a photo of a broken cup and wants the money back. Is the cup broken, or only the
# photo? These seven notebooks build a detector for that question, from raw photos to a report that
# a person can decide on. They start where every such project should: with a look at the photos.
#
# | | |
# |---|---|
# | **reads** | the photos the config names, else `DAMAGENET_DATA`, else the project's samples |
# | **writes** | `runs/<name>/products.parquet`, one row per photo |
# | **takes** | on 2 CPU cores: smoke under 1 minute, baseline under 1 minute; needs no GPU |

# %% tags=["parameters"]
config = "configs/smoke.yaml"  # one file describes a whole experiment
folder = ""  # a folder of your own photos; empty: those that the config names

# %% [markdown]
# A **config** is a short YAML file; everything it leaves out has a default in
# `src/damagenet/config.py`. `smoke.yaml` is the smallest experiment that exercises every stage. It
# is here to be run, not to be believed: numbers measured on so few products only show that the
# parts fit together. `demo.yaml` learns a little in ten minutes; `baseline.yaml` is the real one.
#
# The first cell of every notebook took you to the project's folder, so paths are as on the command
# line. Nothing is written outside of its `runs/`, and the command `damagenet` finds there what a
# notebook made, and the other way round. Below is what the config says about photos; an empty
# `folders` means "those at hand".

# %%
# %matplotlib inline
from pathlib import Path

from damagenet import plots
from damagenet.config import load
from damagenet.synth import products

own = [f"products.folders={folder}"] if folder else []
settings = load(config, ["products.table=", *own])  # an empty table: register the folders afresh
out = settings.run_dir / "products.parquet"
settings.products

# %% [markdown]
# ## Register them
#
# Registering opens every file and asks: is it a picture, is it large enough to show damage, have we
# seen it before? Refused files are listed with the reason. Nothing is copied and nothing is
# changed.
#
# Repeated pictures matter more than they seem to. A photo that occurs twice, once in training and
# once in the test, is a question whose answer was handed out beforehand.

# %%
chosen = products.resolve(settings.products, out)
table = products.load(out)
print(f"{len(table)} photos registered, of which this config uses {len(chosen)}")
table.drop(columns=["path", "sha256"]).sample(5, random_state=0)

# %% [markdown]
# ## Look at them
#
# No statistic replaces this. Watch for collages, watermarks, price tags, and photos that are not
# what their folder says. The name above each is its **category**. It decides which damage will be
# drawn on it later: cups crack, shirts tear. A wrong one gives cracked shirts. It comes from a
# `sources.csv` beside the photos, else from the name of their folder.

# %%
plots.contact_sheet(table)

# %% [markdown]
# ## Where do they come from?
#
# The **condition** is `intact` or `damaged`. Damaged here means *really* broken, worn or stained,
# photographed as it was. Such photos are rare and precious: they are the honest buyers that a
# detector must not accuse. The project's own samples have none, so the next notebook shows how
# genuine damage is rendered instead.
#
# The **licence** travels with every photo, into the dataset and into the card of the model.

# %%
table.groupby(["source", "condition", "licence"]).size().rename("photos").to_frame()

# %% [markdown]
# ## What belongs together?
#
# A **group** holds all photos of one item: front and back, two crops, near-duplicates. The split
# into training, validation and test goes by group, never by photo (a **group split**). Otherwise
# the detector meets a test item in training and may recognise the item rather than the edit.
#
# Groups come from file names such as `mug_01_a`, from a `sources.csv` beside the photos, and from a
# perceptual hash that notices when two photos look alike. Neighbours below share a group.

# %%
shots = table[table.groupby("group_id").product_id.transform("size") > 1]
plots.contact_sheet(shots.sort_values(["group_id", "product_id"]).head(20))

# %% [markdown]
# ## Can the source be told from the file alone?
#
# The common mistake: intact photos from a shop, damaged ones from phones. The two differ in size,
# compression and light before anyone has edited anything, and a detector learns *that*. If the
# clouds below separate by condition, be warned. The build makes all cells of one product go
# through the same framing and the same codec for exactly this reason, and notebook 3 checks that
# it worked.

# %%
plots.picture_sizes(table)

# %% [markdown]
# ## What to try next
#
# - Look at your own photos: set `folder` above. To build and train on them, copy the config, set
#   `products.folders` in it (and `products.damaged`, if you have really broken goods), and give the
#   copy's path as `config` in every notebook.
# - Beside them write a `sources.csv` with the columns `path`, `group_key`, `licence`, `category`.
# - A hundred photos of different items teach more than a thousand of ten.
#
# The last cell of every notebook checks what the notebook claimed.

# %%
assert len(chosen) and set(chosen.product_id) <= set(table.product_id)
assert table.product_id.is_unique and table.sha256.is_unique
assert set(table.condition) <= {"intact", "damaged"}
assert all(Path(path).is_file() for path in table.path)
assert (table[["width", "height"]].min(axis=1) >= products.MIN_SIDE).all()
