"""docs/sources.md against the code: every kind with its fields, its payload, its guarantee and what can be lost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from eventsources.fields import WebhookContext
from eventsources.kinds import BUILT_IN
from retrain.manifests.argo import Shape
from tests.contract.outside import world_of
from tests.contract.outside.table import rows

PAGE = (Path(__file__).parents[2] / "docs/sources.md").read_text()
EVERYWHERE = (
    "metadata",
    "filter",
    "limits",
    "tls",
    "sasl",
    "auth",
    "jsonBody",
    "connectionBackoff",
    "reconcile",
    "existing",
)


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/sources.md has no section {title}"
    return found[1]


def written(model: type[BaseModel]) -> set[str]:
    return {str(field.alias or name) for name, field in model.model_fields.items()}


def missing(names: set[str], text: str) -> set[str]:
    return {name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)}


def test_the_table_of_kinds_is_what_the_code_says() -> None:
    assert "\n".join(rows()) in PAGE, "run python -m tests.contract.outside"


def test_what_every_kind_has_is_told_once() -> None:
    common = {*EVERYWHERE, *written(WebhookContext)}

    assert missing(common, section("What every kind has")) == set()


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_field_of_a_kind_is_told(kind: str) -> None:
    shared = {*EVERYWHERE, *(written(WebhookContext) if kind != "webhook" else ())}

    assert missing(written(BUILT_IN[kind].Spec) - shared, section(kind)) == set()
    assert issubclass(BUILT_IN[kind].Spec, Shape)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_member_of_a_payload_is_told(kind: str) -> None:
    assert missing(set(world_of(kind).payload), section(kind)) == set()


@pytest.mark.parametrize("kind", BUILT_IN)
def test_what_a_kind_guarantees_and_what_can_be_lost_is_told(kind: str) -> None:
    starts = re.findall(r"^\*\*(Guarantee|Can be lost)\*\*: ", section(kind), re.MULTILINE)

    assert starts == ["Guarantee", "Can be lost"]
