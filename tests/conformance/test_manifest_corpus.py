"""Upstream's own example manifests load as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.app.projects.lint import lint

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
EXAMPLES = CORPUS / "argo-events" / "examples"
FILES = sorted(p for p in EXAMPLES.rglob("*") if p.suffix in {".yaml", ".yml"})

pytestmark = pytest.mark.skipif(not FILES, reason="the corpus of upstream's examples is not beside this checkout")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_an_example_of_upstream_loads_without_errors(file):
    report = lint([file])

    assert report.documents > 0
    assert [str(f) for f in report.findings if f.severity == "error" and f.code != "unsupported-kind"] == []


def test_all_examples_are_read_as_one_project():
    report = lint([EXAMPLES])

    assert report.documents >= len(FILES) - 1  # the file that holds RBAC objects only is passed over
