"""The page of workflows tells of every field that Argo's schema has, and says of each what the code does with it."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from pipelines import spec, template_spec, value_spec
from pipelines.checks import unsupported
from pipelines.core import expand, launch
from pipelines.host import child_runs, memory_host

PAGE = (Path(__file__).parents[2] / "docs" / "workflows.md").read_text()
ROW = re.compile(r"^\| (\w+) \| (`[^|]+`) \| (\w+) \| ?(.*?) ?\|$", re.MULTILINE)
VERDICTS = {"exact", "differs", "cluster", "refused"}

Told = dict[tuple[str, str], tuple[str, str]]


def told() -> Told:
    """What the tables say: verdict and note by type and field. A field that stands there twice fails."""
    found: Told = {}
    for kind, fields, verdict, note in ROW.findall(PAGE.partition("## Field by field")[2]):
        for name in re.findall(r"`([^`]+)`", fields):
            assert (kind, name) not in found, f"{kind}.{name} stands there twice"
            found[kind, name] = verdict, note
    return found


def models(module: ModuleType) -> list[type[BaseModel]]:
    return [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == module.__name__
    ]


def declared() -> set[tuple[str, str]]:
    """Every field of every model, by the name that users write; what is inherited stands with its own type."""
    return {
        (model.__name__, field.alias or name)
        for module in (spec, template_spec, value_spec)
        for model in models(module)
        for name, field in model.model_fields.items()
        if name in model.__annotations__
    }


def test_every_field_has_its_line_and_no_other_has_one() -> None:
    assert set(told()) == declared()


def test_every_line_has_a_verdict_and_says_how_it_differs() -> None:
    for (kind, name), (verdict, note) in told().items():
        assert verdict in VERDICTS, f"{kind}.{name}: {verdict}"
        assert note or verdict != "differs", f"{kind}.{name} differs, and nobody says how"


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("WorkflowSpec", unsupported._SPEC),  # pyright: ignore[reportPrivateUsage]
        ("Template", unsupported._TEMPLATE),  # pyright: ignore[reportPrivateUsage]
        ("Container", unsupported.CONTAINER),
        ("Artifact", unsupported._LOCATIONS),  # pyright: ignore[reportPrivateUsage]
    ],
)
def test_what_is_called_refused_is_refused_and_nothing_else(kind: str, fields: dict[str, str]) -> None:
    assert {name for (of, name), (verdict, _) in told().items() if of == kind and verdict == "refused"} == set(fields)


@pytest.mark.parametrize(
    ("kind", "fields"), [("WorkflowSpec", unsupported.CLUSTER_SPEC), ("Template", unsupported.CLUSTER_TEMPLATE)]
)
def test_what_is_called_for_a_cluster_is_what_a_run_names_as_such(kind: str, fields: tuple[str, ...]) -> None:
    assert {name for (of, name), (verdict, _) in told().items() if of == kind and verdict == "cluster"} == set(fields)


def test_the_limits_are_those_of_the_code() -> None:
    limits = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE.partition("## Limits")[2].partition("\n## ")[0], re.M))

    assert limits["templates within templates"] == f"{launch.MAX_DEPTH} deep"
    assert limits["items of one loop"] == f"{expand.MAX_ITEMS:,}"
    assert limits["runs that make runs"] == f"{child_runs.MAX_DEPTH} deep" == f"{memory_host.MAX_DEPTH} deep"
