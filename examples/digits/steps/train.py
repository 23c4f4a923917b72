"""Train one family of models on the batches, and say how good it is on a part that it has not seen."""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path

from lake import SCALE, give, read_batches


def build(family: str):
    """An untrained model of the family."""
    if family == "logistic":
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import MinMaxScaler

        return make_pipeline(MinMaxScaler(), LogisticRegression(C=1.0, max_iter=500))
    if family == "forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=80, random_state=0)
    if family == "svm":
        from sklearn.svm import SVC

        return SVC(gamma=0.001 * SCALE**2, C=10)
    raise SystemExit(f"--family {family}: there are logistic, forest and svm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--batches", required=True, help="dates, as JSON")
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--into", type=Path, required=True, help="where the trained model goes")
    options = parser.parse_args()

    pixels, labels = read_batches(options.lake, json.loads(options.batches))
    images = pixels / SCALE
    cut = len(labels) * 4 // 5
    score = float(build(options.family).fit(images[:cut], labels[:cut]).score(images[cut:], labels[cut:]))
    model = build(options.family).fit(images, labels)
    options.into.mkdir(parents=True, exist_ok=True)
    file = options.into / f"{options.family}.pickle"
    file.write_bytes(pickle.dumps(model, protocol=5))
    give("trained", {"family": options.family, "score": score, "rows": len(labels), "file": str(file)})
    print(f"{options.family}: {score:.4f} on {len(labels) - cut} held back of {len(labels)} images")


if __name__ == "__main__":
    main()
