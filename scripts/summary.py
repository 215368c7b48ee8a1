"""Print the four numbers that matter and what to open: python scripts/summary.py runs/demo."""

import argparse
from pathlib import Path

from damagenet import runs

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="such as runs/demo")
    run = parser.parse_args().run
    metrics = runs.read_json(run / "metrics.json", f"run `damagenet evaluate {run}`")
    card = runs.read_json(run / "detector.json", f"run `damagenet export {run}`")
    head = metrics["headline"]
    negatives = {
        "real_damage": "really damaged photos",
        "authentic_damaged": "damaged photos (rendered damage: no real ones in this dataset)",
    }[head["tpr_at_5_fpr_on_damaged"]["negatives"]]
    lines = [
        ("image AUC", head["image_auc"]),
        (f"doctored found at 5 % false alarms on {negatives}", head["tpr_at_5_fpr_on_damaged"]),
        ("pixel F1 at 0.5", head["pixel_f1"]),
    ]
    print()
    for name, number in lines:
        print(f"  {number['value']:.3f}  [{number['low']:.3f}, {number['high']:.3f}]  {name}")
    print(f"  {card['parity']['max_difference']:.1e}  largest difference ONNX Runtime - torch")
    print("\nopen:")
    reports = [f"reports/{name}.html" for name in ("pasted", "regenerated", "broken")]
    for name in (
        "review.html",
        *reports,
        "figures",
        "heatmaps",
        "predictions.jsonl",
        "detector.onnx",
    ):
        print(f"  {run / name}")
