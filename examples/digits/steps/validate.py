"""Look at a batch before anything is trained on it, and land it in the lake.

Fails on what no model could learn from: a wrong schema, labels that do not fit the images, a class that is missing.
Drift is a figure in the report, not a verdict: a shifted batch may be just what the model needs to see.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
from lake import give, read_batches, read_features

MIN_SHARE = 0.02
"""The least share of each digit; ten digits in balance have 0.1 each."""


def drift(expected: np.ndarray, actual: np.ndarray) -> float:
    """The population stability index of the pixels' mean over images: 0 the same, above 0.25 clearly shifted."""
    edges = np.quantile(expected, np.linspace(0, 1, 11)[1:-1])
    shares = [np.bincount(np.digitize(x, edges), minlength=10) / len(x) + 1e-6 for x in (expected, actual)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def check(ids: list[str], images: np.ndarray, labels: dict[str, int]) -> str | None:
    """What makes the batch useless; None if nothing does."""
    if not ids:
        return "the batch is empty"
    if len(set(ids)) != len(ids):
        return "an id is there twice"
    if not np.isfinite(images).all() or images.min() < 0 or images.max() > 16:
        return "pixels must be numbers from 0 to 16"
    if missing := set(ids) - set(labels):
        return f"{len(missing)} images have no label, for example {min(missing)!r}"
    counts = np.bincount([labels[one] for one in ids], minlength=10)
    if len(counts) > 10:
        return "labels must be digits from 0 to 9"
    if counts.min() < MIN_SHARE * len(ids):
        return f"digit {int(counts.argmin())} is too rare: {counts.min()} of {len(ids)}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--date", required=True)
    parser.add_argument("--features", type=Path, required=True, help="the file that arrived")
    parser.add_argument("--labels", required=True, help="the labels that arrived: JSON, id -> digit")
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--batches", default="[]", help="what the live model was trained on, as JSON")
    options = parser.parse_args()

    ids, images = read_features(options.features)
    labels = {str(one): int(digit) for one, digit in json.loads(options.labels).items()}
    if complaint := check(ids, images, labels):
        print(f"{options.date}: {complaint}", file=sys.stderr)
        return 1
    seen = json.loads(options.batches)
    shift = drift(read_batches(options.lake, seen)[0].mean(axis=1), images.mean(axis=1)) if seen else 0.0
    folder = options.lake / Path(options.date).name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(options.features, folder / "features.csv")
    (folder / "labels.json").write_text(json.dumps({one: labels[one] for one in ids}))
    batches = [*(date for date in seen if date != folder.name), folder.name]
    give("batches", batches)
    give("drift", f"{shift:.4f}")
    give("rows", str(len(ids)))
    print(f"{options.date}: {len(ids)} images, drift {shift:.3f}; training on {', '.join(batches)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
