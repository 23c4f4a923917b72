"""What `lint` says of Argo Events' own examples: fields that upstream drops in silence, filters that can never pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.app.projects.lint import lint

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "argo-events" / "examples"

MISPLACED = {
    "event-sources/stripe.yaml": ["spec.stripe.example.namespace"],
    "sensors/trigger-openwhisk.yaml": ["spec.triggers[0].template.openwhisk"],
    "sensors/trigger-with-atleast-once-semantics.yaml": ["spec.triggers[0].template.atLeastOnce"],
    "sensors/trigger-with-policy.yaml": ["spec.triggers[0].template.policy"],
    "sensors/url-sensor.yaml": ["spec.triggers[0].template.k8s.source.url.verifycert"],
    "tutorials/06-trigger-conditions/minio-event-source.yaml": ["spec.type"],
    "tutorials/06-trigger-conditions/webhook-event-source.yaml": ["spec.type"],
}
"""What upstream's examples misplace, as far as it is known; the corpus holds a part of them."""

NEVER_PASS = (
    "filter-with-expressions.yaml",
    "filter-with-multiple-expr-filters-in-or.yaml",
    "filter-with-multiple-filters-in-or.yaml",
    "filter-with-multiple-filters.yaml",
)

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of upstream's examples is not here")


@pytest.mark.parametrize("name", sorted(MISPLACED))
def test_a_field_that_upstream_drops_is_named_with_its_place(name: str) -> None:
    file = CORPUS / name
    if not file.exists():
        pytest.skip("the corpus holds a part of the examples; not this one")

    found = [one for one in lint([file]).findings if one.code == "unknown-field"]

    assert [one.path for one in found] == MISPLACED[name]
    assert {one.severity for one in found} == {"warning"}


def test_no_other_example_is_said_to_have_an_unknown_field() -> None:
    found = {(Path(one.file).relative_to(CORPUS).as_posix(), one.path) for one in lint([CORPUS]).findings
             if one.code == "unknown-field"}  # fmt: skip
    known = {(name, path) for name, paths in MISPLACED.items() for path in paths}

    assert {one for one in found if not one[0].startswith(("tutorials/03", "tutorials/09"))} <= known


@pytest.mark.parametrize("name", NEVER_PASS)
def test_a_filter_that_no_event_of_its_source_can_pass_is_told(name: str) -> None:
    file = CORPUS / "sensors" / name
    if not file.exists():
        pytest.skip("the corpus holds a part of the examples; not this one")

    found = lint([CORPUS / "event-sources" / "webhook.yaml", file]).findings

    assert any(one.code == "impossible-path" and ".filters." in one.path for one in found)
