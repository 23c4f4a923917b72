"""The pages of promotions and of verification, and the code, say the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from deploy.candidate import Candidate
from deploy.edits.spec import Edit
from deploy.environments import Approvals, Environment, Limit, Terms, Waivers
from deploy.freeze import Again, Once
from deploy.git.spec import Commit, Repo, Secret
from deploy.registry.spec import Mark, Mlflow
from deploy.rollout.check import CheckSpec, ObjectSpec
from deploy.rollout.kinds import KINDS
from deploy.rollout.rules import OnFailure
from deploy.rollout.steps import Step
from deploy.rollout.verdict import Outcome, Said
from deploy.spec import PromotionDocument, Spec
from deploy.states import LEGAL, State
from retrain.cli.promotions import promotions

ROOT = Path(__file__).parents[2]
PROMOTIONS = (ROOT / "docs" / "promotions.md").read_text()
VERIFICATION = (ROOT / "docs" / "verification.md").read_text()


def part(page: str, title: str) -> str:
    """What stands below a heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def table(page: str, head: str) -> list[list[str]]:
    """The rows of the one table whose first column is titled so, cell by cell."""
    (start,) = re.finditer(rf"^\| {re.escape(head)} \|.*\n\|[-| ]+\|\n", page, re.MULTILINE)
    rows = re.match(r"(\|.*\n)*", page[start.end() :])
    assert rows is not None
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[0].splitlines()]


def words(cells: Iterable[str]) -> set[str]:
    """The names in code spans."""
    return {name for cell in cells for span in re.findall(r"`([^`]+)`", cell) for name in re.findall(r"[\w-]+", span)}


def told(page: str, head: str) -> set[str]:
    return words(row[0] for row in table(page, head))


def fields(*models: type[BaseModel]) -> set[str]:
    """The names that users write."""
    return {field.alias or name for model in models for name, field in model.model_fields.items()}


def tree(model: type[BaseModel]) -> set[str]:
    """The same with those of the models inside, down to secrets."""
    found = fields(model)
    for field in model.model_fields.values():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel) and inner is not Secret:
                found |= tree(inner)
    return found


TABLES = [
    ("field of `spec`", fields(Spec) - fields(Terms)),
    ("field of an environment", fields(Terms)),
    ("field of one of several", fields(Environment) - fields(Terms)),
    ("field of `repo`", tree(Repo)),
    ("field of a candidate", fields(Candidate)),
    ("field of an edit", fields(Edit)),
    ("field of `approvals`", fields(Approvals)),
    ("field of `waivers`", fields(Waivers)),
    ("field of `freeze`, `limit`", {"freeze", "limit"} | fields(Once, Again, Limit)),
    ("field of `commit`", tree(Commit)),
    ("field of `registry.mlflow`", fields(Mlflow)),
    ("field of `mark`", fields(Mark)),
]


@pytest.mark.parametrize(("head", "wanted"), TABLES, ids=[head for head, _ in TABLES])
def test_every_field_is_told_and_no_other(head: str, wanted: set[str]) -> None:
    assert told(PROMOTIONS, head) == wanted


def test_no_part_of_a_promotion_is_left_out() -> None:
    """Whatever has fields of its own is in one of the tables, here or on the pages of gates and pull requests."""
    elsewhere = {"gates", "pullRequest", "verify", "verifyWithin", "onFailure", "canary"}
    pages = set().union(*(wanted for _, wanted in TABLES)) | elsewhere

    assert fields(Spec, Environment) <= pages
    assert fields(PromotionDocument) == {"apiVersion", "kind", "metadata", "spec"}


def test_every_state_is_told_with_where_it_may_go() -> None:
    rows = table(PROMOTIONS, "state")

    assert {next(iter(words([row[0]]))): words([row[2]]) for row in rows} == {
        state: set(LEGAL[state]) for state in LEGAL
    }
    assert set(LEGAL) == set(get_args(State))


def test_every_event_is_told() -> None:
    """Those of `outcomes.tell`, and the ends, which are called as their states."""
    source = "".join(file.read_text() for file in (ROOT / "deploy").rglob("*.py"))
    named = set(re.findall(r"\btell\([^()]*?,\s*\"([a-z-]+)\",", source))
    ends = {state for state in LEGAL if not LEGAL[state]} | {"committed"}

    events = words(row[0] for row in table(PROMOTIONS, "event"))
    assert {"promotion", "approval", "given", "refused"} <= events
    assert named | ends <= events


@pytest.mark.parametrize("name", sorted(promotions.commands))
def test_every_command_is_told(name: str) -> None:
    assert f"`{name}`" in part(PROMOTIONS, "Commands")


def test_every_check_of_a_commit_is_told() -> None:
    source = "".join(file.read_text() for file in (ROOT / "deploy" / "verify").glob("*.py"))

    assert told(PROMOTIONS, "check") == {"provenance", *re.findall(r"\bCheck\(\s*\"(\w+)\"", source)}


# --- verification ----------------------------------------------------------------------------------------------------

COMMON = fields(CheckSpec)
OBJECT = fields(ObjectSpec) - COMMON


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_every_check_is_told_and_no_other(kind: str) -> None:
    spec = KINDS[kind].Spec
    object_ = {*OBJECT, "namespace"} if issubclass(spec, ObjectSpec) else set[str]()

    assert told(part(VERIFICATION, kind), "field") == fields(spec) - COMMON - object_


def test_the_fields_of_every_check_are_told() -> None:
    assert told(part(VERIFICATION, "Every check"), "field") == COMMON
    assert told(VERIFICATION, "field of an object") == {*OBJECT, "namespace"}


def test_the_words_of_a_verification_are_told() -> None:
    assert told(VERIFICATION, "verdict") == set(get_args(Said))
    assert told(VERIFICATION, "outcome") == set(get_args(Outcome))
    assert told(VERIFICATION, "`onFailure`") == set(get_args(OnFailure))
    assert told(VERIFICATION, "field of a step") == fields(Step)
    assert told(VERIFICATION, "field of an environment") == {"verify", "verifyWithin", "onFailure"}


def test_the_defaults_that_the_page_names_are_those_of_the_code() -> None:
    def default(kind: str, field: str) -> Any:
        return KINDS[kind].Spec.model_fields[field].default

    shown = {
        name: cell for row in table(part(VERIFICATION, "http"), "field") for name in words(row[:1]) for cell in row[1:2]
    }
    assert (int(shown["passes"]), int(shown["failures"])) == (default("http", "passes"), default("http", "failures"))
    assert default("http", "timeout").total_seconds() == 10
    assert default("prometheus", "consecutiveErrorLimit") == 4
    assert KINDS["argocd"].Spec.model_fields["degradedFor"].default.total_seconds() == 30
