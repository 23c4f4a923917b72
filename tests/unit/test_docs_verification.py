"""The page of verification and the code say the same."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import TypeAdapter

from deploy.environments import Terms
from deploy.rollout.check import CheckSpec, ObjectSpec
from deploy.rollout.flux import OURS
from deploy.rollout.http import CLOSED, LATER, NAMES
from deploy.rollout.kinds import KINDS
from deploy.rollout.kserve import GIVEN_UP, LOST
from deploy.rollout.rules import OnFailure
from deploy.rollout.spec import WITHIN, Check, build
from deploy.rollout.steps import Step
from deploy.rollout.verdict import Outcome, Said

PAGE = (Path(__file__).parents[2] / "docs" / "verification.md").read_text()
PARTS: dict[str, str] = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
TOP = PAGE.partition("\n## ")[0]
EVERY, OBJECT = PARTS["Every check"].split("What `argocd`")
SHARED = {"namespace"}
"""A field of each kind of object by itself: each has another default."""


def told(text: str) -> set[str]:
    """The names in the first column of a text's tables."""
    rows = re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def fields(model: Any) -> set[str]:
    """A model's fields as users write them."""
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_every_kind_is_told_and_no_other(kind: str) -> None:
    spec: Any = KINDS[kind].Spec
    common = fields(ObjectSpec) | SHARED if issubclass(spec, ObjectSpec) else fields(CheckSpec)

    assert told(PARTS[kind]) == fields(spec) - common


def test_the_fields_of_every_check_and_of_every_object_are_told() -> None:
    assert told(EVERY) == fields(CheckSpec)
    assert told(OBJECT) == fields(ObjectSpec) - fields(CheckSpec) | SHARED


def test_the_fields_of_an_environment_and_of_a_step_are_told() -> None:
    assert told(TOP) == {"verify", "verifyWithin", "onFailure"} & set(Terms.model_fields)
    assert told(PARTS["A canary"]) == fields(Step)
    assert told(PARTS["When it does not pass"]) == {"onFailure", *get_args(OnFailure)}


def test_every_verdict_and_every_outcome_is_told() -> None:
    assert told(PARTS["What a check says"]) == set(get_args(Said))
    assert told(PARTS["What all of them come to"]) == set(get_args(Outcome))


def test_what_is_waited_for_and_what_fails_is_named() -> None:
    assert {str(status) for status in LATER | CLOSED} <= set(re.findall(r"\d{3}", PARTS["http"]))
    assert {f"`{name}`" for name in NAMES} <= set(re.findall(r"`\w+`", PARTS["http"]))
    assert {f"`{reason}`" for reason in OURS - {"InvalidCELExpression"}} <= set(re.findall(r"`\w+`", PARTS["flux"]))
    assert {f"`{reason}`" for reason in GIVEN_UP | LOST} <= set(re.findall(r"`\w+`", PARTS["kserve"]))


def test_the_defaults_that_the_page_names_are_those_of_the_code() -> None:
    def default(kind: str, field: str) -> Any:
        return KINDS[kind].Spec.model_fields[field].default

    assert timedelta(minutes=15) == WITHIN
    assert default("argocd", "every") == timedelta(seconds=5)
    assert default("prometheus", "every") == timedelta(seconds=30)
    assert [default(kind, "namespace") for kind in ("argocd", "flux", "kserve")] == ["argocd", "flux-system", "default"]
    assert default("argocd", "degradedFor") == timedelta(seconds=30)
    assert default("http", "passes") == default("http", "failures") == 3
    assert default("http", "timeout") == default("prometheus", "timeout") == timedelta(seconds=10)
    assert default("prometheus", "consecutiveErrorLimit") == 4
    assert (default("prometheus", "failureLimit"), default("prometheus", "inconclusiveLimit")) == (0, 0)


def test_the_checks_of_the_page_can_be_built() -> None:
    (block,) = re.findall(r"^```yaml\n(verify:.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    checks: list[Any] = yaml.safe_load(block)["verify"]

    built = build([TypeAdapter[Check](Check).validate_python(one) for one in checks])

    assert [one.kind_name for one in built] == ["argocd", "kserve", "http", "prometheus"]
