"""Cut the images that scikit-learn ships into dated batches, as if they came day by day.

Day 1 is small, day 2 is large, and on day 3 the labelling tool had a new version: it counts the digits from one. The
batch looks right (every class is there, in balance), and only a model that was trained on it shows what is wrong.
Writes `FOLDER/DATE/features.csv` and `FOLDER/DATE/labels.json` (the body of the labels' webhook).
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from lake import PIXELS, digits

DAYS = (("2026-11-18", 0, 150, 0), ("2026-11-19", 150, 800, 0), ("2026-11-20", 800, 1400, 1))
"""Date, first and last image, and what the labelling tool adds to every digit."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=json.loads, default=DAYS, help="other days than these, as JSON")
    options = parser.parse_args()
    images, labels = digits()
    for date, first, last, shift in options.days:
        write(options.folder / date, date, range(first, last), images, (labels + shift) % 10)


def write(folder: Path, date: str, which: range, images: np.ndarray, labels: np.ndarray) -> None:
    """Write one day's two files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "features.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *(f"p{n}" for n in range(PIXELS))])
        writer.writerows([f"img-{n:04}", *(int(pixel) for pixel in images[n])] for n in which)
    body = {"date": date, "labels": {f"img-{n:04}": int(labels[n]) for n in which}}
    (folder / "labels.json").write_text(json.dumps(body))


if __name__ == "__main__":
    main()
