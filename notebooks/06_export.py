# %% [markdown]
# # 6 · Does it say the same elsewhere?
#
# A trained network is of use when another program can run it: without this project, without
# PyTorch, on pictures of any size, and with the same result. This notebook exports one file and
# then tries to catch it saying something else.
#
# | | |
# |---|---|
# | **reads** | `runs/<name>/`, evaluated (run notebooks 4 and 5 first) |
# | **writes** | `detector.onnx`, `detector.json`, `heatmaps/` |
# | **takes** | on 2 CPU cores: about 1 minute with either config; needs no GPU |

# %% tags=["parameters"]
config = "configs/reproduce.yaml"  # your own: the one that notebook 5 evaluated
inbox = ""  # a folder of your own photos to score; empty: test pictures, and a file that is none
vectors = "clients/testvectors"

# %% [markdown]
# Nothing here trains. `detect` (PyTorch) is needed to write the file and to compare with it;
# whoever scores claims needs only `damagenet.claims` with ONNX Runtime, or no Python at all.

# %%
# %matplotlib inline
from pathlib import Path

import numpy as np
import pandas as pd

from damagenet import images, plots, runs
from damagenet.claims import Detector, inspect, predict
from damagenet.config import load
from damagenet.detect import model, parity
from damagenet.detect.export import Deployed, export
from damagenet.synth import channel

settings = load(config)
data, run = settings.dataset_dir, settings.run_dir

# %% [markdown]
# ## Export
#
# **ONNX** is a file format for networks that nearly every runtime reads. All preprocessing is
# inside: pixels go in as they were decoded, and a calibrated score and a heatmap come out. The
# common mistake is to leave scaling and normalisation to whoever writes the next program; they
# will do it a little differently, and the detector will be a little wrong, without an error.
#
# The export compares both runtimes at sizes and batches that it was not traced with, and writes
# nothing when they differ.

# %%
card = export(run)
pd.Series(card["parity"], name="parity").astype(str).to_frame()

# %% [markdown]
# ## The file knows what it is
#
# Threshold, false-alarm rate, training data, licence and intended use travel inside. A model file
# without its threshold invites everybody to choose 0.5. `damagenet inspect FILE` prints this.

# %%
detector = Detector(run / "detector.onnx")
print(inspect.text(*inspect.inspect(run / "detector.onnx")))

# %% [markdown]
# ## Same pictures, same scores
#
# Left to right: what PyTorch said during the evaluation. Bottom to top: what the exported file says
# to the same files from disk. Every point belongs on the diagonal.

# %%
scored = pd.read_parquet(run / "predictions.parquet")
test = scored[scored.split == settings.evaluate.split].reset_index(drop=True)
again = [detector(data / image).score for image in test.image]
plots.agreement(test.score, again, ("PyTorch", "ONNX Runtime"), test.cell)

# %% [markdown]
# ## Batches and threads
#
# A server batches pictures, a laptop has more threads than a container: no score may move with it.
# Largest differences between PyTorch and the file, over odd sizes from `clients/testvectors`. The
# common mistake is to test the one shape that the network was traced with. The same table for the
# packaged model is `docs/parity.md`.

# %%
expected = runs.read_json(Path(vectors) / "vectors.json", "see clients/README.md")["vectors"]
rows = pd.DataFrame(expected).query("width * height < 1e6")[["file", "score"]]
pictures = [images.read(Path(vectors) / file) for file in rows.file]
deployed = Deployed(model.load(run / "best.safetensors")[0], card["calibration"]).eval()
file = (run / "detector.onnx").read_bytes()
gaps = parity.compared(deployed, file, [one[None] for one in pictures[:8]])
gaps.groupby(["threads", "batch"])[["score", "heatmap"]].max()

# %% [markdown]
# ## A client of your own
#
# `clients/README.md` says in one page what a client in any language must do: decode (rotation,
# transparency, 16 bits), run, compare with two thresholds. Whether yours does it right is decided
# by 20 pictures and what the **packaged** model says of them. Here they go through this package's
# own client; the one of 24 megapixels is left to the tests. A difference is a decoding error.

# %%
packaged = Detector(threads=1, recheck=False)
said = np.array([packaged(one).score for one in pictures])
rows.assign(found=said, difference=(rows.score - said).abs())

# %% [markdown]
# ## Where to look
#
# A score says how much, a region says where: box, outline, share of the picture and mean heat.
# Reviewers should see the region, never the number alone. Below is the picture with most regions
# among a dozen, with the heatmap they are cut from at 0.5; `found[most].regions[0]` holds the
# numbers of the first.

# %%
found = {image: detector(data / image) for image in test.image.head(12)}
most = max(found, key=lambda image: len(found[image].regions))
heat = found[most].heatmap
plots.tiles([plots.outlined(images.read(data / most), heat >= 0.5), heat], ["regions", "heatmap"])

# %% [markdown]
# ## A folder of strangers' files
#
# `predict` takes files one by one, as they come. A file that is no picture gives a record with the
# reason and stops nothing; the config file plays that part here. Put a folder of yours into `inbox`
# at the top. The same is available as `damagenet predict`, one JSON object a line.

# %%
mixed = [*map(data.joinpath, test.image[:7]), Path(config)]
files = sorted(Path(inbox).iterdir()) if inbox else mixed
records = pd.DataFrame(predict(files, detector, run / "heatmaps"))
records.assign(file=[path.name for path in files])[["file", "score", "verdict", "error"]]

# %% [markdown]
# A heatmap laid over the photo: grey where calm, warm where the pixels look edited.

# %%
good = records[records.heatmap.notna()]
plots.tiles(list(map(images.read, good.heatmap)), good.verdict + good.score.map(" {:.2f}".format))

# %% [markdown]
# ## Odd sizes
#
# Claims come in all shapes: a panorama, a thumbnail, a crop of a few pixels. Each is scored at its
# own size, never resized, and its heatmap fits it to the pixel; a loop inside the file walks over
# tiles of large ones. Below 64 pixels and above 2 megapixels no false-alarm rate was measured, so
# the verdict stops at `review` and says why.

# %%
photo = np.tile(images.read(data / test.image[0]), (3, 3, 1))  # large enough for every cut
sizes = [(photo.shape[0], photo.shape[1]), (97, 131), (64, 64), (120, 31), (7, 5), (1, 1)]
results = [detector(np.ascontiguousarray(photo[:height, :width])) for height, width in sizes]
table = [(r.score, r.heatmap.shape, r.note[:45]) for r in results]
pd.DataFrame(table, index=sizes, columns=["score", "map", "note"])

# %% [markdown]
# ## The same photo, forwarded
#
# Agreement between runtimes is the easy half. Now each picture goes through a chat app, smaller and
# compressed harder. The file on the desk is rarely the file that left the phone, so the scatter
# around the diagonal is what a score is really worth. Points that fall far below it are traces that
# were wiped out; no detector can bring them back, and a low score must never be read as proof of
# honesty.

# %%
chats = {one: channel.plan(runs.rng_for(settings.seed, one), ("chat",)) for one in test.image}
sent = [channel.apply(images.read(data / one), [], chat)[0] for one, chat in chats.items()]
after = [result.score for result in detector.batch(sent)]
plots.agreement(test.score, after, ("as built", "after a chat app"), test.cell)

# %% [markdown]
# ## What to try next
#
# - Load `detector.onnx` in your own program and run the test vectors through it.
# - Score a folder, a table or a list with `damagenet predict`: `docs/scoring.md`, with what ten
#   million photos would take.
# - Put it behind a server: `docs/serving.md` (30 lines of FastAPI) or `clients/triton`.
# - Open `clients/web` and drop a photo: the same file in a browser, and nothing leaves the machine.

# %%
assert card["parity"]["max_difference"] <= settings.export.tolerance
assert np.abs(test.score - again).max() < 1e-3
assert gaps.score.max() <= parity.SCORE and gaps.heatmap.max() <= parity.HEATMAP
assert (rows.score - said).abs().max() <= parity.SCORE
assert [r.heatmap.shape for r in results] == sizes
assert all(r.note and r.verdict != "flag" for r in results[3:])
assert inbox or list(records.error.notna()) == [False] * 7 + [True]
assert all(Path(path).is_file() for path in good.heatmap)
