"""Calibration curves and threshold rules on draws whose truth is known.

    python scripts/bench_certify.py

Prints ECE on 50,000 fresh pictures for three shapes of logits, and in how many draws a threshold
for 5 % false alarms truly exceeds them.
"""

import numpy as np
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from damagenet.detect import metrics
from damagenet.detect.calibrate import calibrated, fit_calibration, straight
from damagenet.detect.certify import certified_threshold, naive_threshold

RATE = 0.05


def logits(shape: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % 2
    if shape == "normal":
        return rng.normal(1.2 * labels, 1), labels
    if shape == "skewed":
        return rng.gumbel(0, 1, n) + 1.2 * labels, labels
    found = (labels == 1) & (rng.random(n) < 0.4)  # 60 % of the edits leave no trace
    return rng.normal(np.where(found, 3.0, 0.0), 1), labels


def calibration(draws: int = 20) -> None:
    rng = np.random.default_rng(0)
    print("logits    pictures  straight  isotonic   chosen")
    for shape in ("normal", "skewed", "two humps"):
        fresh, truth = logits(shape, 50_000, rng)
        for n in (240, 600, 2400):
            errors = []
            for _ in range(draws):
                x, y = logits(shape, n, rng)
                steps = IsotonicRegression(y_min=0.01, y_max=0.99, out_of_bounds="clip").fit(x, y)
                plain, chosen = straight(x, y), fit_calibration(x, y)
                scores = calibrated(fresh, plain), steps.predict(fresh), calibrated(fresh, chosen)
                errors.append([metrics.expected_calibration_error(truth, s) for s in scores])
            print(f"{shape:10}{n:8}" + "".join(f"{e:10.4f}" for e in np.mean(errors, axis=0)))


def thresholds(draws: int = 2000) -> None:
    rng = np.random.default_rng(0)
    print(f"\nphotos  share of draws whose rate exceeds {RATE:.0%}: certified, naive")
    for n in (59, 120, 400, 1000):
        broken = np.zeros(2)
        for _ in range(draws):
            scores = (1 / (1 + np.exp(-rng.normal(size=n)))).round(6)
            found = certified_threshold(scores, RATE), naive_threshold(scores, RATE)
            broken += [stats.norm.sf(np.log(at / (1 - at))) > RATE for at in found]
        print(f"{n:6}  {broken[0] / draws:.3f}  {broken[1] / draws:.3f}")


if __name__ == "__main__":
    calibration()
    thresholds()
