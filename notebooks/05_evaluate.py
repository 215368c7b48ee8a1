# %% [markdown]
# # 5 · Whom does it accuse, and what does it miss?
#
# A detector makes two mistakes, and they do not weigh the same. A missed fraud costs the price of a
# cup. A **false alarm** accuses an honest person of lying, on the word of a machine, with the
# broken cup in their hands. So this notebook asks about the accused first.
#
# | | |
# |---|---|
# | **reads** | `runs/<name>/` with its dataset (run notebook 4 first) |
# | **writes** | `predictions.parquet`, `figures/`, `metrics.json`, `grid.json`, `baselines.json` |
# | **takes** | on 2 quiet CPU cores: reproduce about 2 minutes; on a GPU: not measured |

# %% tags=["parameters"]
config = "configs/reproduce.yaml"  # your own: the one that notebook 4 trained

# %% [markdown]
# ## Measure
#
# Whole pictures are scored, not crops. Calibration and thresholds are chosen on the validation
# split and then frozen; every figure below is from the test split.
#
# Each number comes with a **95 % interval**, found by drawing product groups again and again with
# replacement. Groups, not pictures: four twins of one cup are one piece of evidence, not four. With
# the few products of a small config the intervals are wide, which is the honest answer.
#
# How to read the rows: `image_auc` is the chance that a doctored picture is ranked above an
# authentic one. `tpr_at_5_fpr` is the share of frauds found when 5 % of the honest are accused, and
# `…_on_damaged` the same where those honest ones come with truly broken goods: the row to quote.
# `unseen_family` means a decoder that training never met. The rest is in `metrics.json`.

# %%
# %matplotlib inline

import pandas as pd
from IPython.display import Image

from damagenet import plots, widgets
from damagenet.config import load
from damagenet.detect import certify, metrics
from damagenet.detect.baselines import compare
from damagenet.detect.evaluate import evaluate
from damagenet.detect.grid import grid

settings = load(config)
run = settings.run_dir
results = evaluate(run)
pd.DataFrame(results["headline"]).T.fillna({"negatives": "all authentic"}).head(8)

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
# ## What a flag is worth, and who pays
#
# Even a small false-alarm rate does harm where fraud is rare. If one claim in a hundred is
# fraud, a detector that finds 80 % of it and accuses 5 % of the honest flags six honest buyers
# for each fraudster. That is **Bayes' rule**, and the reason why a score may start a conversation
# but never end one.
#
# Move the threshold; say how common fraud is with you, and what either error costs: a paid fraud
# the price of a cup, an accusation a customer, or more. The dashed line is the cheapest threshold.
# The common mistake is to price an accusation at nothing: then the cheapest is to flag everyone.
# Raise the price until the cheapest threshold is to flag nobody, and ask whether that is not your
# desk. (Without Python behind the page you see one picture.)

# %%
desk = widgets.deciding(test, results["threshold"])
desk

# %% [markdown]
# ## Where does it fail?
#
# A **slice** is a part of the test set: one topology, one decoder family, one kind of damage, one
# channel. An average hides the slice that fails, and a fraudster needs only one. Look at the
# held-out family (`unseen=family`) and at edits whose fine detail is the original's
# (`high_frequencies=restored`), which no one can find. Where an interval crosses the grey line,
# nothing has been shown.
#
# With local edits in the data two numbers sum up the ways of fooling oneself. The **exchange gap**
# is the AUC on `full` edits minus that on `exchange`: large means that it recognises decoded
# pictures, not edits. The **damage bias gap** compares pairs without damage with pairs that have
# it: large means that it looks at damage. Both are in the headline where the data can tell them.

# %%
table = pd.DataFrame(results["metrics"])
plots.slices(table)

# %% [markdown]
# The edited **area** decides more than anything else. "Full" edits do not always cover the frame,
# as a decoder leaves plain white as it was. A hair crack, pasted back, covers a few hundred pixels;
# after a chat app hardly a trace of it is left, and the honest answer is `review`. The middle curve
# is what counts in use: the AUC grants a perfect threshold afterwards, this one was chosen
# beforehand. At zero, nothing can be flagged: too few photos of honest damage to promise anything.

# %%
plots.areas(table)

# %% [markdown]
# ## Does the map point at the edit?
#
# On doctored pictures the heatmap at 0.5 is held against the mask (**F1**, 1 when both agree). On
# authentic ones there is no mask to agree with; there, count the share of pixels that light up. The
# common mistake is to report the first alone, or to average over both. A map that is bright
# everywhere has a fine F1 on whole frames, and on the right you see what it does to the honest.

# %%
plots.pixels(table)

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
# ## What if it may stay silent?
#
# **Risk and coverage**, left: decide the surest pictures first, and see how errors grow as more are
# decided without a person. Right: did thresholds keep their promise? The **naive** one is the
# quantile of the validation scores, as usually done; it promises a rate and misses it about every
# second time. The **certified** one is stricter, by what the number of photos can support, and
# flags nothing where that is too few. It pays with frauds that pass, so its dot on the left lies
# higher: an error of the cheaper kind.

# %%
promised = certify.promises(scored[scored.split == "val"], test, settings.evaluate)
plots.risk_coverage(certify.risk_coverage(test), promised)

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
# - `configs/baseline.yaml`, on real photos; then compare slices, not averages.
# - Lower `evaluate.false_alarm_rate` until you would accept it for yourself as a buyer, and see how
#   much is still found.
# - `damagenet protocol configs/protocol.yaml` leaves one decoder family out at a time, with three
#   seeds: the only numbers that say what an editor of tomorrow will meet.
# - For each slice that fails, ask whether the training data holds anything like it.

# %%
assert len(test) and test.score.between(0, 1).all()
assert not set(test.group_id) & set(scored[scored.split == "val"].group_id)
assert 0 <= results["review_threshold"] <= results["threshold"] <= 1.000001  # that one: no flag
found = metrics.auc(test.label.to_numpy(), test.logit.to_numpy())
assert abs(found - results["headline"]["image_auc"]["value"]) < 1e-6
assert settings.name != "reproduce" or found > 0.7, "it has learnt what the text says"
assert abs(desk.chosen.caught + desk.chosen.paid - 1000 * desk.fraud.value) < 1e-6
assert {"roc", "mistakes", "channels", "baselines"} <= {f.stem for f in (run / "figures").iterdir()}
