"""Keys that a promotion makes or takes out are on record, and a rollback brings the very bytes back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from deploy import PromotionDocument, candidate, derive
from deploy.derive import Derived, Intent
from deploy.edits.spec import Edit
from retrain.errors import Refused

FILE = "model.yaml"
BEFORE = b"""spec:
  predictor:
    name: v41
    storageUri: s3://m/41  # live
  canary:
    # one at a time
    - trafficPercent: 10
      predictor: {name: v41b}
"""
EDITS: list[dict[str, Any]] = [
    {"file": FILE, "path": "spec.predictor.storageUri", "value": "{{candidate.uri}}"},
    {
        "file": FILE,
        "path": "spec.canary[predictor.name=v42].predictor.uri",
        "value": "{{candidate.uri}}",
        "create": True,
    },
    {"file": FILE, "path": "spec.canary[predictor.name=v42].trafficPercent", "value": 5, "create": True},
    {"file": FILE, "path": "spec.canary[predictor.name=v41b]", "remove": True},
]


def document(edits: list[dict[str, Any]]) -> PromotionDocument:
    spec = {"repo": {"url": "/srv/repo.git", "branch": "main"}, "environment": "prod", "edits": edits}
    body = {"apiVersion": "retrain.dev/v1", "kind": "Promotion", "metadata": {"name": "digits"}, "spec": spec}
    return PromotionDocument.model_validate(body)


def intent(action: Any, digit: str = "a") -> Intent:
    digest = "sha256:" + digit * 64
    body = {"digest": digest, "uri": f"s3://m/{digit}", "metrics": {}}
    given = candidate.read(body) if action == "promote" else None
    return Intent(f"p-{action}-{digit}", digit, action, digest, datetime(2026, 11, 21, tzinfo=UTC), given)


def promote(edits: list[dict[str, Any]], files: dict[str, bytes | None], digit: str = "a") -> Derived:
    return derive.promote(document(edits), intent("promote", digit), files)


def start() -> dict[str, bytes | None]:
    return {FILE: BEFORE, document(EDITS).record_file: None}


def test_a_rollback_takes_out_what_was_made_and_puts_back_what_was_removed() -> None:
    made = promote(EDITS, start())
    after = {**start(), **made.files}

    back = derive.rollback(document(EDITS), intent("rollback"), after)

    assert [one.made for one in made.edits] == ["set", "created", "created", "removed"]
    assert b"- predictor:\n        name: v42" in (after[FILE] or b"")
    assert b"v41b" not in (after[FILE] or b"")
    assert back.files[FILE] == BEFORE
    assert [one.made for one in back.edits] == ["created", "removed", "removed", "set"]


def test_the_record_says_what_was_made_and_reads_back() -> None:
    made = promote(EDITS, start())

    record = orjson.loads(made.files[document(EDITS).record_file])

    created = record["wayBack"][0]["edits"][1]
    assert (created["made"], created["old"], created["new"]) == ("created", None, "s3://m/a")
    assert created["stood"]["side"] == "in"
    assert record["wayBack"][0]["edits"][3]["stood"]["side"] == "before"


def test_two_promotions_are_rolled_back_one_after_the_other() -> None:
    first = {**start(), **promote(EDITS, start()).files}
    second = {**first, **promote(EDITS, first, "b").files}

    once = derive.rollback(document(EDITS), intent("rollback", "b"), second)
    again = derive.rollback(document(EDITS), intent("rollback", "a"), {**second, **once.files})

    assert once.files[FILE] == first[FILE]
    assert again.files[FILE] == BEFORE


def test_what_stands_already_is_nothing_to_do() -> None:
    after = {**start(), **promote(EDITS, start()).files}

    again = promote(EDITS, {FILE: after[FILE], document(EDITS).record_file: None})

    assert again.outcome == "noop"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"trafficPercent: 5", b"trafficPercent: 50", "is 50, the record says 5"),
        (b"  canary:\n", b"  canary:\n    - predictor: {name: v41b}\n", "the record says it was removed"),
    ],
)
def test_a_hand_that_came_between_stops_the_rollback(old: bytes, new: bytes, said: str) -> None:
    after = {**start(), **promote(EDITS, start()).files}
    body = after[FILE]
    assert body is not None
    assert old in body

    with pytest.raises(Refused, match=said):
        derive.rollback(document(EDITS), intent("rollback"), {**after, FILE: body.replace(old, new)})


def test_a_canary_that_is_ignored_is_told_and_goes_on() -> None:
    kserve = b"""kind: InferenceService
metadata:
  annotations: {serving.kserve.io/deploymentMode: RawDeployment}
spec:
  predictor:
    model: {storageUri: s3://m/41}
"""
    edits = [{"file": FILE, "path": "spec.predictor.canaryTrafficPercent", "value": 10, "create": True}]

    made = promote(edits, {**start(), FILE: kserve})

    assert made.outcome == "commit"
    (warning,) = made.warnings
    assert "canaryTrafficPercent is ignored" in warning
    assert promote(EDITS, start()).warnings == ()


def test_a_rollback_after_unrelated_edits_keeps_those() -> None:
    edits = [EDITS[0], EDITS[1]]
    after = {**start(), **promote(edits, start()).files}
    body = after[FILE]
    assert body is not None
    touched = b"# a new head\n" + body.replace(b"    name: v41\n", b"    name: v41\n    replicas: 3\n")

    back = derive.rollback(document(edits), intent("rollback"), {**after, FILE: touched})

    assert back.files[FILE] == b"# a new head\n" + BEFORE.replace(
        b"    name: v41\n", b"    name: v41\n    replicas: 3\n"
    )


def test_a_made_key_that_was_reformatted_is_taken_out_with_its_lines() -> None:
    edits = [{"file": FILE, "path": "spec.predictor.digest", "value": "{{candidate.digest}}", "create": True}]
    after = {**start(), **promote(edits, start()).files}
    body = after[FILE]
    assert body is not None
    touched = body.replace(b"digest: ", b"digest:   ")

    back = derive.rollback(document(edits), intent("rollback"), {**after, FILE: touched})

    assert back.files[FILE] == BEFORE


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"path": "a"}, "value is missing"),
        ({"path": "a", "value": "x", "remove": True}, "stands alone"),
        ({"path": "a", "create": True, "remove": True}, "stands alone"),
        ({"path": "a[0]", "remove": True}, "not by its number"),
        ({"path": "a|", "value": "x"}, "must be followed"),
        ({"path": "|a", "value": "x"}, "comes after the text"),
        ({"path": "a||b", "value": "x"}, "comes after the text"),
        ({"path": "a[^x=].b", "value": "x"}, "nothing follows"),
        ({"path": "a|.b", "value": "x"}, "cannot read on"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(edit: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Edit.model_validate({"file": FILE, **edit})
