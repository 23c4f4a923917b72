"""`python -m retrain.app.crds.writing DIR` writes the CustomResourceDefinitions, and a kustomization that names them.

A test holds the files in deploy/kubernetes/crds to the models.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from retrain.app.crds.making import definitions
from retrain.app.projects.schemas import schemas
from retrain.manifests import to_yaml

HEADER = "# Made by `make schemas` from the models that read these documents; changes here are lost.\n"
KUSTOMIZATION = "kustomization.yaml"


def files() -> Iterator[tuple[str, str]]:
    """(name, text) of each file."""
    found = [(name, HEADER + to_yaml(one)) for name, one in definitions(dict(schemas()))]
    yield from found
    whole = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [name for name, _ in found],
    }
    yield KUSTOMIZATION, HEADER + to_yaml(whole)


def write(folder: Path) -> list[Path]:
    """Write them all; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, text in files():
        written.append(folder / name)
        written[-1].write_text(text)
    return written


if __name__ == "__main__":
    for file in write(Path(sys.argv[1])):
        print(file)  # noqa: T201 - what a command says
