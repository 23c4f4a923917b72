"""What the steps share: batches in the lake, models in the registry folder, and the fixed hold-out.

A batch is a folder `LAKE/DATE` with `features.csv` (id and 64 pixels a row) and `labels.json` (id -> digit). A model is
a folder `MODELS/sha256-DIGEST` with `model.pickle` and `card.json`. Both are written once and never changed.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

PIXELS = 64
HOLD_OUT = 397
"""Images that no model is ever trained on: every model of every day is judged on the same ones."""
SCALE = 1
"""What pixels are divided by before a model sees them. Whoever serves the models must do the same."""


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 images that scikit-learn ships (8x8 pixels, 0 to 16) and their labels, in a fixed shuffled order.

    Source: https://archive.ics.uci.edu/dataset/80 (UCI, optical recognition of handwritten digits, test set)
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(20261120).permutation(len(labels))
    return images[order], labels[order]


def hold_out() -> tuple[np.ndarray, np.ndarray]:
    """The images and labels that models are judged on."""
    images, labels = digits()
    return images[-HOLD_OUT:], labels[-HOLD_OUT:]


def read_features(path: Path) -> tuple[list[str], np.ndarray]:
    """Ids and pixels of a features file.

    Raises:
        ValueError: it is not what a features file must be; the message names the line.
    """
    ids: list[str] = []
    rows: list[list[float]] = []
    with path.open(newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if header != ["id", *(f"p{n}" for n in range(PIXELS))]:
            raise ValueError(f"{path.name}:1: the header must be id,p0,...,p{PIXELS - 1}")
        for row in reader:
            if len(row) != PIXELS + 1:
                raise ValueError(f"{path.name}:{reader.line_num}: {len(row)} columns instead of {PIXELS + 1}")
            ids.append(row[0])
            rows.append([float(value) for value in row[1:]])
    return ids, np.array(rows).reshape(-1, PIXELS)


def read_batch(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels of one batch in the lake, row by row."""
    ids, images = read_features(folder / "features.csv")
    labels = json.loads((folder / "labels.json").read_text())
    return images, np.array([labels[one] for one in ids])


def read_batches(lake: Path, dates: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels of several batches as one."""
    batches = [read_batch(lake / date) for date in dates]
    return np.concatenate([b[0] for b in batches]), np.concatenate([b[1] for b in batches])


def card(models: Path, digest: str) -> dict[str, object] | None:
    """The card of a model; None where there is no such model (or none is live yet)."""
    file = models / f"sha256-{digest}" / "card.json"
    return json.loads(file.read_text()) if digest and file.exists() else None


def give(name: str, value: object) -> None:
    """Write an output parameter into the step's working directory: text as it is, anything else as JSON."""
    folder = Path("outputs")
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
