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
# | **writes** | `runs/<name>/claims/`: reports as HTML and JSON, a queue, decisions |
# | **takes** | on 2 CPU cores: under 2 minutes with either config; needs no GPU |

# %% tags=["parameters"]
config = "configs/reproduce.yaml"  # the one that notebook 6 exported
claim = ""  # a photo of your own; empty: the fraud below
listing = ""  # the seller's photo of the same product; empty: the one of the fraud below

# %% [markdown]
# The detector is the file of notebook 6; nothing else of the training is needed. The claims come
# from the dataset, since there, for once, we know who is lying.

# %%
# %matplotlib inline
import json

import pandas as pd
from IPython.display import HTML

from damagenet import aigc, images, plots, runs, widgets_board
from damagenet.claims import Detector, decisions, queue, read_labels
from damagenet.claims.review import review
from damagenet.config import load
from damagenet.synth import channel, dataset, doctor, products

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

# %% [markdown]
# Both claims beside their listings. Cover the captions and decide: which of the two would you pay?

# %%
listings = {"fraud": shop[row.product_id], "honest": other.path}
files = [path for k, shown in listings.items() for path in (shown, folder / f"{k}.jpg")]
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

# %% [markdown]
# ## All signals together
#
# The rule that joins them is simple on purpose: the verdict is the highest concern among the
# signals, so that more evidence never lowers it. Three verdicts: `pass`, `review` (a person should
# look), `flag` (look closely). None of them is "reject".
#
# With this small detector the line `pixels` is close to a coin toss, for fraud and honest alike.
# Imagine deciding on that line alone.

# %%
sent = {name: folder / f"{name}.jpg" for name in listings}
reports = {k: review([v], listings[k], detector, v.with_suffix(".html")) for k, v in sent.items()}
signals = pd.concat({name: pd.DataFrame(one["signals"]) for name, one in reports.items()})
signals[["name", "finding", "strength", "verdict", "explanation"]]

# %% [markdown]
# ## The report, and yours
#
# One page that stands on its own: it loads nothing, can be mailed, filed or printed, and speaks
# English and Chinese (the switch is at its top). Give `claim` and `listing` at the top of this
# notebook to see your own case; until then it is the fraud.

# %%
page = folder / "report.html"
report = review([claim or folder / "fraud.jpg"], listing or listings["fraud"], detector, page)
HTML(widgets_board.framed(page, height=900))

# %% [markdown]
# ## Before you decide
#
# A false alarm is not a statistic to the person it hits. The report therefore says what to ask for,
# and asking costs little: a second photo from another angle is easy to take of a real crack, and
# hard to fake in the same way twice. The same steps stand in the JSON, under `advice`.

# %% [markdown]
# ## A queue
#
# A shop has thousands of claims, not one. `damagenet review --claims claims.csv --out reports/`
# takes a table: a bad row is named and stops nothing, a finished report is left alone, and the
# summary says it all in one line per claim.
#
# Here the test pictures are the claims, half of them doctored. The listing photo is left out: all
# are `same_exposure` with the photo they were made from, the honest ones too, since in a dataset of
# twins nobody walks around the product. So this is what the **pixels alone** are worth.

# %%
test = manifest[manifest.split == "test"].head(48)
names = [f"claim {n:02}" for n in range(len(test))]  # a file's own name tells the truth
rows = test.assign(claim_id=names, photos=[(data / p).absolute() for p in test.image])
rows[["claim_id", "photos", "label"]].to_csv(folder / "claims.csv", index=False)
summary = queue.review_all(queue.read_claims(folder / "claims.csv"), detector, folder / "queue")
pd.read_csv(folder / "queue" / "summary.csv")[["claim_id", "verdict", "score", "labels"]].head()

# %% [markdown]
# ## A reviewer's desk
#
# The board below shows one claim after another with its report, and appends what you decide to a
# file. Close the notebook and come back: it goes on where you were. To show the curves, this cell
# lets the manifest decide all claims but every tenth, since here we know the truth. Those are
# yours: look, choose *accept*, *refuse* or *ask*, and the next one comes. (Tab and Space do, too.)
#
# **Look first:** how far apart are "refused among passed" and the top of its band? With so few
# claims settled the band is wide, and it is the band that counts: it says what you may promise.

# %%
truth = rows.set_index("claim_id").label.map({0: "accept", 1: "refuse"})
known = [one for n, one in enumerate(summary) if n % 10]
[decisions.record(folder / "decisions.csv", one, truth[one["claim_id"]]) for one in known]
(board := widgets_board.board(folder / "queue", folder / "decisions.csv"))

# %% [markdown]
# ## What may pass without a look?
#
# Pick the risk you accept (a share of wrongly paid claims among those that pass by themselves). The
# widest threshold that keeps it, with 95 % confidence and counting that you picked it among many,
# is given below, beside what it saves; often there is **none**, and then people look at everything.
#
# Two traps. Rates from claims that people chose to look at say nothing about those they skipped:
# put the board's order to *shuffled* and settle some of everything. And a reviewer who sees the
# verdict first will agree with it.

# %%
best = decisions.widest(board.claims, risk=0.2)
money = decisions.saved(board.chosen if best is None else best, minutes=4, hourly=30, loss=25)
pd.Series({"may pass at 20 % risk": 0.0 if best is None else best.passed, **money}).to_frame("")

# %% [markdown]
# ## What to try next
#
# - Your own broken cup: photograph it twice, and let an editor break an unbroken one.
# - Take a screenshot of the fraud and use that as `claim`. The label is gone. What remains?
# - Give the queue a `listing` column. What does the desk say then, and why is that no measurement?
# - The JSON beside each report holds the same, with stable codes, for other programs.

# %%
assert reports["fraud"]["verdict"] == "flag"  # its label alone suffices, whatever the network says
assert (fraud.label, honest.label, reports["honest"]["labels"]) == (1, 0, [])
assert page.with_suffix(".json").is_file() and "证据报告" in page.read_text("utf-8")
assert len(board.decided) >= len(known) and not queue.errors(summary)
