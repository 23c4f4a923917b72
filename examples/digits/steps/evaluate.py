"""Take the best of the trained models and judge it, and the live one beside it, on the same fixed hold-out.

The live model is scored again, now: figures from another day may come from other data or other code.
"""

from __future__ import annotations

import argparse
import json
import pickle
from hashlib import sha256
from pathlib import Path

import numpy as np
from lake import give, hold_out


def score(file: Path, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy of a model: in all, for each digit, and for the digit that it knows least."""
    # Our own file, written by the step before: pickle is no format for models of strangers.
    right = pickle.loads(file.read_bytes()).predict(images) == labels
    slices = {f"accuracy-digit-{digit}": round(float(right[labels == digit].mean()), 6) for digit in range(10)}
    return {"accuracy": round(float(right.mean()), 6), "accuracy-worst-digit": min(slices.values()), **slices}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trained", required=True, help="what the training steps gave, as a JSON list")
    parser.add_argument("--champion", default="", help="digest of the live model; empty where there is none")
    parser.add_argument("--models", type=Path, required=True)
    options = parser.parse_args()

    # A fan-out hands over a list of texts, each of them JSON.
    trained = [json.loads(one) if isinstance(one, str) else one for one in json.loads(options.trained)]
    best = max(trained, key=lambda one: one["score"])
    images, labels = hold_out()
    dataset = sha256(images.tobytes() + labels.tobytes()).hexdigest()
    judged = {"dataset": f"sha256:{dataset}", "metrics": score(Path(best["file"]), images, labels)}
    if options.champion:
        live = options.models / f"sha256-{options.champion}" / "model.pickle"
        judged["champion"] = {"digest": f"sha256:{options.champion}", "metrics": score(live, images, labels)}
    give("best", best)
    give("evaluation", judged)
    beside = f"; the live model {judged['champion']['metrics']['accuracy']:.4f}" if options.champion else ""
    print(f"{best['family']}: accuracy {judged['metrics']['accuracy']:.4f} on {len(labels)} images{beside}")


if __name__ == "__main__":
    main()
