"""Take the best of the trained models and judge it, and the live one beside it, on the same fixed hold-out.

The live model is scored again, now: figures from another day may come from other data or other code. What both say of
each image is handed on too, so that a gate can tell a gain from noise.
"""

from __future__ import annotations

import argparse
import json
import pickle
from hashlib import sha256
from pathlib import Path

import lake
import numpy as np
from lake import SCALE, give, hold_out


def predict(file: Path, images: np.ndarray) -> np.ndarray:
    """What a model says of images."""
    # Our own file, written by the step before: pickle is no format for models of strangers.
    return pickle.loads(file.read_bytes()).predict(images / SCALE)


def score(said: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy of what a model said: in all, for each digit, and for the digit that it knows least."""
    right = said == labels
    slices = {f"accuracy-digit-{digit}": round(float(right[labels == digit].mean()), 6) for digit in range(10)}
    return {"accuracy": round(float(right.mean()), 6), "accuracy-worst-digit": min(slices.values()), **slices}


def code() -> str:
    """The digest of what judges."""
    return sha256(b"".join(Path(file).read_bytes() for file in (__file__, lake.__file__))).hexdigest()


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
    said = predict(Path(best["file"]), images)
    examples = {"id": list(range(len(labels))), "label": labels.tolist(), "candidate": said.tolist()}
    judged = {"dataset": f"sha256:{dataset}", "code": f"sha256:{code()}", "metrics": score(said, labels)}
    if options.champion:
        live = predict(options.models / f"sha256-{options.champion}" / "model.pickle", images)
        judged["champion"] = {"digest": f"sha256:{options.champion}", "metrics": score(live, labels)}
        examples["champion"] = live.tolist()
    give("best", best)
    give("evaluation", {**judged, "samples": len(labels), "examples": examples})
    beside = f"; the live model {judged['champion']['metrics']['accuracy']:.4f}" if options.champion else ""
    print(f"{best['family']}: accuracy {judged['metrics']['accuracy']:.4f} on {len(labels)} images{beside}")


if __name__ == "__main__":
    main()
