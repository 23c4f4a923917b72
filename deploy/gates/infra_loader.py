# pyright: basic
"""Loads a model and predicts, in a process of its own. Standard library only: it runs in the user's interpreter.

    python infra_loader.py LOADER PATH < {"inputs": [...]}    > {"predictions": [...], "latencyMs": [...]}

LOADER is `pickle`, `joblib`, `mlflow`, or `module:function`, whose result has `predict(rows)` or is called with them.
Each input is predicted by itself, so that the latency is one request's.
"""

import importlib
import json
import os
import sys
import time


def load(loader, path):
    if loader == "pickle":
        import pickle

        with open(path, "rb") as file:  # noqa: PTH123
            return pickle.load(file)  # noqa: S301 - what this process is for
    if loader == "joblib":
        return importlib.import_module("joblib").load(path)
    if loader == "mlflow":
        return importlib.import_module("mlflow.pyfunc").load_model(path)
    module, _, function = loader.partition(":")
    return getattr(importlib.import_module(module), function)(path)


def plain(value):
    if hasattr(value, "tolist"):
        value = value.tolist()
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def main():
    answers = os.dup(1)
    os.dup2(2, 1)  # what the model's library prints is no answer
    asked = json.load(sys.stdin)
    model = load(sys.argv[1], sys.argv[2])
    predict = getattr(model, "predict", model)
    predictions, latency = [], []
    for row in asked["inputs"]:
        began = time.perf_counter()
        said = predict([row])
        latency.append((time.perf_counter() - began) * 1000)
        predictions.append(plain(said))
    with os.fdopen(answers, "w") as out:
        json.dump({"predictions": predictions, "latencyMs": latency}, out)


main()
