# %% [markdown]
# # 5 · Whom does it accuse, and what does it miss?
#
# A detector makes two mistakes, and they do not weigh the same. A missed fraud costs the price of a
# cup. A **false alarm** accuses an honest person of lying, on the word of a machine, with the
# broken cup in their hands. So this notebook asks about the accused first.
#
# | | |
# |---|---|
# | **reads** | `runs/<name>/` with its dataset (run notebooks 3 and 4 first) |
# | **writes** | `predictions.parquet`, `figures/`, `metrics.json`, `grid.json`, `baselines.json` |
# | **takes** | on 2 CPU cores: smoke about 3 minutes |

# %% tags=["parameters"]
config = "configs/smoke.yaml"

# %%
# %matplotlib inline
import os
from pathlib import Path

import pandas as pd
from IPython.display import Image

from damagenet import plots
from damagenet.config import load
from damagenet.detect import metrics
from damagenet.detect.baselines import compare
from damagenet.detect.evaluate import evaluate
from damagenet.detect.grid import grid

os.chdir(".." if Path.cwd().name == "notebooks" else ".")  # paths as on the command line
settings = load(config)
run = settings.run_dir

# %% [markdown]
# ## Measure
#
# Whole pictures are scored, not crops. Calibration and thresholds are chosen on the validation
# split and then frozen; every figure below is from the test split.
#
# Each number comes with a **95 % interval**, found by drawing product groups again and again with
# replacement. Groups, not pictures: four twins of one cup are one piece of evidence, not four. With
# the few products of the smoke config the intervals span nearly everything, which is the
# honest answer.

# %%
results = evaluate(run)
pd.DataFrame(results["headline"]).T

# %% [markdown]
# ## Scores, cell by cell
#
# The dashed lines are the two **thresholds**: from the first on, a person takes a second look
# (`review`); from the second on, the picture is flagged. Each was placed on validation photos for a
# stated **false-alarm rate**, the share of authentic photos that reach it. The titles tell what
# became of that promise on products nobody had seen.
#
# The second panel is the one to watch: really damaged, authentic goods, the honest buyers.

# %%
scored = pd.read_parquet(run / "predictions.parquet")
test = scored[scored.split == settings.evaluate.split]
plots.score_histograms(test, results)

# %% [markdown]
# ## Against whom was it measured?
#
# The common mistake is one AUC against clean product photos. It flatters: a detector that merely
# notices damage gets it all right. Doctored pictures are compared here with each authentic cell
# apart, and only the curve against damaged ones says what a claims desk would live through. The
# grey band holds the false-alarm rates that such a desk can bear.

# %%
plots.roc(test)

# %% [markdown]
# ## What a flag is worth
#
# Even a small false-alarm rate does harm where fraud is rare. If one claim in a hundred is
# fraud, a detector that finds 80 % of it and accuses 5 % of the honest flags six honest buyers
# for each fraudster. That is **Bayes' rule**, and the reason why a score may start a conversation
# but never end one.

# %%
table = pd.DataFrame(results["metrics"])
value = table.set_index(["slice", "metric"]).value.astype(float)
plots.base_rates(value["all", "tpr_at_threshold"], value["all", "fpr_at_threshold"])

# %% [markdown]
# ## Where does it fail?
#
# A **slice** is a part of the test set: one topology, one decoder family, one kind of damage, one
# channel. An average hides the slice that fails, and a fraudster needs only one. Look at the
# held-out family, at `topology=exchange` and at small areas. Where an interval crosses the grey
# line, nothing has been shown.

# %%
plots.slices(table)

# %% [markdown]
# ## How much is found at the frozen threshold?
#
# The AUC grants the detector a perfect threshold afterwards. In use there is one threshold, chosen
# beforehand, and this is the share of doctored pictures that it catches. Published detectors with
# an AUC above 0.9 have caught less than half of the edits this way.

# %%
plots.slices(table, "tpr_at_threshold")

# %% [markdown]
# The edited **area** decides more than anything else. A hair crack covers a few hundred pixels;
# after a chat app hardly a trace of it is left, and the honest answer is `review`.

# %%
plots.areas(table)

# %% [markdown]
# Two numbers sum up the two ways of fooling oneself. The **exchange gap** is the AUC on `full`
# edits minus that on `exchange`: large means that it recognises decoded pictures, not edits. The
# **damage bias gap** compares the pairs without damage with the pairs that have it: large means
# that it looks at damage, not at doctoring. Both should be near zero.

# %%
table[table.metric.isin(["exchange_gap", "damage_bias_gap"]) & (table.slice == "all")]

# %% [markdown]
# ## Does 0.8 mean 80 %?
#
# **Calibration** turns the network's raw output into a score that can be read as a probability,
# here by fitting a logistic curve on validation. On the diagonal it succeeded; the small numbers
# count the pictures. It holds for the mix of fraud and honesty it was fitted for, one to one,
# which is not the mix on your desk.

# %%
plots.reliability(test)

# %% [markdown]
# ## What does the next app do to it?
#
# Pictures do not stay as the phone took them. The **channel grid** sends the same test pictures,
# authentic and doctored alike, on through compression, shrinking, a chat app, a screenshot and an
# AI upscaler. A row per decoder family shows which traces survive what; the star marks a family
# that training never saw. AI upscaling writes a decoder's trace over everything, the honest
# pictures too, so that chance is what a detector of traces must come to there.

# %%
sent = grid(run)
plots.family_channel(pd.DataFrame(sent["rows"]), marked=sent["unseen"]["family"])

# %% [markdown]
# ## Is it any better than what came before?
#
# Three hand-made methods, a linear model on features that were learnt from everyday photos, and a
# plain classifier on shrunken pictures: the same test pictures, the same intervals. A detector that
# does not clear them has learnt nothing worth its trouble.

# %%
compared = compare(run)
plots.margins(pd.DataFrame(compared["rows"]))

# %% [markdown]
# ## Look at the mistakes
#
# The worst misses and the worst false alarms with their **heatmaps**, bright where the network sees
# an edit. Ask of every false alarm: what did this person do wrong? Usually the answer is nothing,
# but for a shiny surface or a busy background.

# %%
Image(run / "figures" / "mistakes.png")

# %% [markdown]
# ## What to try next
#
# - `baseline.yaml`, on real photos; then compare slices, not averages.
# - Lower `evaluate.false_alarm_rate` until you would accept it for yourself as a buyer, and see how
#   much is still found.
# - `damagenet protocol configs/protocol.yaml` leaves one decoder family out at a time, with three
#   seeds: the only numbers that say what an editor of tomorrow will meet.
# - For each slice that fails, ask whether the training data holds anything like it.

# %%
assert len(test) and test.score.between(0, 1).all()
assert not set(test.group_id) & set(scored[scored.split == "val"].group_id)
assert 0 <= results["review_threshold"] <= results["threshold"] <= 1.000001  # that one: no flag
assert abs(metrics.auc(test.label.to_numpy(), test.logit.to_numpy()) - value["all", "auc"]) < 1e-6
assert {"roc", "mistakes", "channels", "baselines"} <= {f.stem for f in (run / "figures").iterdir()}
