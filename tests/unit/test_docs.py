"""What the pages say is so: links lead somewhere, commands parse, manifests lint, nothing that there is goes unsaid."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import pytest
from pydantic import BaseModel

import eventsources
import triggers
from deploy.gates import spec as gate_spec
from eventsources import spec as source_spec
from pipelines.checks import unsupported
from retrain.app.actions import actions
from retrain.app.looking import letters, queries
from retrain.app.projects.lint import lint
from retrain.app.settings import Settings
from retrain.bus.settings import BusSettings
from retrain.cli import COMMANDS, cli
from retrain.web.api import create_api
from retrain.web.errors import STATUS
from sensors import dependency_spec, trigger_spec

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
    if "__pycache__" not in path.parts
)
EXAMPLES = ROOT / "examples"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
FOLDERS = "retrain|eventsources|sensors|triggers|pipelines|deploy|tests|examples|docs|bench"


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    """A page without its code blocks."""
    return BLOCK.sub("", text)


# --- every page --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page.read_text())):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index() -> None:
    linked = set(LINK.findall(text_of("docs/index.md")))

    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_file_of_ours_that_a_page_names_is_there(page: Path) -> None:
    for name in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", prose(page.read_text())):
        pattern = re.sub(r"\b(KIND|NOUN)\b", "*", name).rstrip("/")
        assert list(ROOT.glob(pattern)), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_no_page_names_this_machine(page: Path) -> None:
    assert str(ROOT) not in page.read_text()
    assert str(Path.home()) + "/" not in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_that_a_page_names_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE))

    assert set(re.findall(r"(?:`|^)make ([a-z][\w-]*)", page.read_text(), re.MULTILINE)) <= targets


# --- manifests -----------------------------------------------------------------------------------------------------


def filled(tmp_path: Path) -> Path:
    """The examples with paths in the places that the demo fills in."""
    for file in EXAMPLES.rglob("*.yaml"):
        copy = tmp_path / file.relative_to(EXAMPLES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = re.sub(r"\$\{PORT\}", "1", file.read_text())
        copy.write_text(re.sub(r"\$\{([A-Z]+)\}", lambda match: str(tmp_path / match[1].lower()), text))
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "least"), [("digits", 3), ("gitops", 1), ("sensors", 3), ("sources", 3), ("workflows", 3)]
)
def test_every_manifest_of_the_examples_lints_without_a_finding(folder: str, least: int, tmp_path: Path) -> None:
    report = lint([filled(tmp_path) / folder])

    assert [str(finding) for finding in report.findings] == []
    assert report.documents >= least


def test_every_example_is_in_a_folder_that_is_linted() -> None:
    """`given` is linted where its workflows run: one of its files has a warning that it announces."""
    assert {file.relative_to(EXAMPLES).parts[0] for file in EXAMPLES.rglob("*.yaml")} == {
        "digits",
        "given",
        "gitops",
        "sensors",
        "sources",
        "workflows",
    }


@pytest.mark.parametrize("folder", ["given", "workflows"])
def test_every_example_of_a_workflow_has_its_line(folder: str) -> None:
    page = text_of("examples/README.md")

    assert [file.name for file in (EXAMPLES / folder).glob("*.yaml") if f"({folder}/{file.name})" not in page] == []


def manifests() -> Iterator[Any]:
    for page in PAGES:
        for number, (language, body) in enumerate(BLOCK.findall(page.read_text()), 1):
            # The one of the plugins' page needs its plugins, and has a test of its own.
            if language == "yaml" and body.startswith("apiVersion:") and page.name != "plugins.md":
                yield pytest.param(body, id=f"{ids(page)} {number}")


@pytest.mark.parametrize("body", list(manifests()))
def test_every_manifest_in_a_page_lints(body: str, tmp_path: Path) -> None:
    (tmp_path / "page.yaml").write_text(body.replace("{...}", "{entrypoint: main, templates: []}"))

    found = [finding for finding in lint([tmp_path]).findings if finding.severity == "error"]

    # A page shows one document; what it refers to is elsewhere.
    assert [str(one) for one in found if not one.code.startswith("unknown-")] == []


# --- commands ------------------------------------------------------------------------------------------------------


def leaves(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its whole name."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from leaves(inner, f"{name} {word}")
    else:
        yield name, command


LEAVES = dict(leaves(cli, "retrain"))


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_is_in_the_page_of_commands_with_an_example(name: str) -> None:
    examples = [line for _, body in BLOCK.findall(text_of("docs/cli.md")) for line in body.splitlines()]

    assert any(line == name or line.startswith(f"{name} ") for line in examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_part_of_the_page_that_names_all_its_options(name: str) -> None:
    page = text_of("docs/cli.md")
    beginning = page.partition("\n## ")[0]
    part = re.search(rf"^##+ retrain {name}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    assert part is not None
    mine = {leaf for leaf in LEAVES if leaf.split()[1] == name}
    options = [word for leaf in mine for option in LEAVES[leaf].params for word in option.opts if word.startswith("--")]

    assert {word for word in options if not re.search(rf"{word}\b", part[1] + beginning)} == set()


def commands_in(page: Path) -> Iterator[str]:
    """The lines of a page that begin with the command, without what a shell would do first."""
    for language, body in BLOCK.findall(page.read_text()):
        if language not in {"", "sh", "bash"}:
            continue
        for line in body.splitlines():
            if re.match(r"(\.venv/bin/)?retrain ", line):
                yield re.sub(r"\$\([^)]*\)", "NAME", line.removeprefix(".venv/bin/")).partition(" > ")[0]


EVERY_COMMAND = [pytest.param(line, id=f"{ids(page)}: {line}") for page in PAGES for line in commands_in(page)]


def test_commands_are_found_in_pages() -> None:
    assert len(EVERY_COMMAND) > 50


@pytest.mark.parametrize("line", EVERY_COMMAND)
def test_every_command_in_a_code_block_parses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "PATH..." in line:
        pytest.skip("a synopsis, not a command")
    monkeypatch.chdir(tmp_path)
    name, command, words = split(shlex.split(line))
    for word in words:
        if re.fullmatch(r"[\w./-]+\.(yaml|json)", word):
            (tmp_path / word).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / word).touch()
        elif name == "retrain up" and re.fullmatch(r"[.\w][\w./-]*", word):
            (tmp_path / word).mkdir(parents=True, exist_ok=True)

    command.make_context(name, list(words))


def split(words: list[str]) -> tuple[str, click.Command, list[str]]:
    for count in (3, 2):
        name = " ".join(words[:count])
        if name in LEAVES:
            return name, LEAVES[name], words[count:]
    raise AssertionError(f"{words}: no such command")


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_that_is_named_in_a_sentence_is_there(page: Path) -> None:
    for first, second in re.findall(r"`retrain ([a-z]+)(?: ([a-z][a-z-]*))?", prose(page.read_text())):
        name = f"retrain {first}" if f"retrain {first}" in LEAVES or not second else f"retrain {first} {second}"
        assert any(leaf == name or leaf.startswith(f"{name} ") for leaf in LEAVES), f"{page.name}: {name}"


def test_every_role_and_exit_status_is_in_the_page_of_commands() -> None:
    from retrain.cli.up import ROLES

    page = text_of("docs/cli.md")

    assert ",".join(ROLES) in page
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == [0, 1, 2, 3, 4, 130]


# --- settings ------------------------------------------------------------------------------------------------------


def settings() -> Iterator[tuple[str, str, Any]]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            for inner, one in type(field.default).model_fields.items():
                yield f"{name}.{inner}", f"RETRAIN_{name}_{inner}".upper(), one.default
        else:
            yield name, f"RETRAIN_{name}".upper(), field.default


def shown(default: Any) -> str:
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, dict | tuple):  # as the variable has it
        return f"`{json.dumps(default)}`"
    return "none" if default is None else f"`{int(default) if isinstance(default, float) else default}`"


def test_every_setting_is_in_its_page_with_its_variable_and_its_default() -> None:
    rows = re.findall(
        r"^\| `([a-z_.]+)` \| `(RETRAIN_[A-Z_]+)` \| (.+?) \| (.+) \|$", text_of("docs/settings.md"), re.M
    )

    assert [row[:3] for row in rows] == [(name, variable, shown(default)) for name, variable, default in settings()]


def test_the_page_of_the_bus_names_no_setting_that_is_not_there() -> None:
    table = text_of("docs/bus.md").partition("## Settings")[2].partition("\n## ")[0]
    named = {
        name
        for cells in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for name in re.findall(r"`([a-z_]+)`", cells)
    }

    assert named == set(BusSettings.model_fields)


def test_every_variable_that_the_app_reads_is_in_the_page_of_settings() -> None:
    page = text_of("docs/settings.md")
    read = {
        name
        for folder in ("retrain/app", "retrain/cli")
        for file in (ROOT / folder).glob("*.py")
        for name in re.findall(r"(?:environ\w*(?:\.get\(|\[)|envvar=)\"(RETRAIN_[A-Z_]+)\"", file.read_text())
    }

    assert {"RETRAIN_SERVER", "RETRAIN_LOG_LEVEL", "RETRAIN_FAULT"} <= read
    for name in {*read, "RETRAIN_SECRET_", "RETRAIN_CONFIG_"}:
        assert f"`{name}" in page


# --- the API -------------------------------------------------------------------------------------------------------


def routes() -> dict[str, set[str]]:
    """Every route with the names of its query."""
    page = create_api(cast("Any", None)).openapi()
    own = {
        f"{method.upper()} {path}": {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
        for path, methods in page["paths"].items()
        for method, operation in methods.items()
    }
    return {**own, "GET /openapi.json": set()}


def test_every_route_is_in_the_page_of_the_api_with_its_query() -> None:
    rows = re.findall(r"^\| `((?:GET|POST|DELETE) [^`]+)` \| (.*?) ?\| (.+) \|$", text_of("docs/api.md"), re.MULTILINE)

    assert {route: set(re.findall(r"`(\w+)`", query)) for route, query, _ in rows} == routes()


def test_every_action_is_in_the_page_of_the_api_as_a_verb() -> None:
    nothing = cast("Any", None)
    page = text_of("docs/api.md")

    for action in actions(nothing, nothing, nothing, nothing):
        noun, _, verb = action.partition(".")
        if action == "runs.compare":  # of several runs, so that it is no verb of one
            assert "`GET /api/v1/compare`" in page
            continue
        line = next(one for one in page.splitlines() if f"/api/v1/{noun}/{{" in one and verb in one)
        assert re.search(rf"`{verb}`|/{verb}`", line)


class Blank:
    """A row of which only the shape matters."""

    def __init__(self, **known: Any) -> None:
        self.__dict__.update(known)

    def __getattr__(self, name: str) -> None:
        return None


@pytest.mark.parametrize(
    ("thing", "value"),
    [
        ("firing", queries.firing(cast("Any", Blank(events=())))),
        ("promotion", queries.promotion(cast("Any", Blank(step=0)))),
        ("hold", queries.hold(cast("Any", Blank()))),
        ("dead letter", letters.letter(cast("Any", Blank(body=b"")))),
    ],
)
def test_every_field_of_a_thing_is_in_the_page_of_the_api(thing: str, value: dict[str, Any]) -> None:
    row = re.search(rf"^\| {thing} \| (.+) \|$", text_of("docs/api.md"), re.MULTILINE)

    assert row is not None
    assert re.findall(r"`(\w+)`", row[1]) == list(value)


def test_every_status_that_an_error_becomes_is_in_the_page_of_the_api() -> None:
    errors = text_of("docs/api.md").partition("## Errors")[2]

    for status in {code for _, code in STATUS}:
        assert re.search(rf"^\| .*\b{status}\b.* \|", errors, re.MULTILINE)


# --- kinds and what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", eventsources.KINDS)
def test_every_kind_of_source_has_a_part_of_its_page_and_an_example(kind: str) -> None:
    assert f"\n## {kind}\n" in text_of("docs/sources.md")
    assert f"\n  {kind}:\n" in text_of(f"examples/sources/{kind}.yaml")
    assert f"(sources/{kind}.yaml)" in text_of("examples/README.md")


@pytest.mark.parametrize("kind", triggers.KINDS)
def test_every_kind_of_trigger_has_a_line_of_its_page(kind: str) -> None:
    assert re.search(rf"^\| `{kind}` \| .+ \|$", text_of("docs/triggers.md"), re.MULTILINE)


@pytest.mark.parametrize("name", sorted({*dependency_spec.OURS, *trigger_spec.OURS}))
def test_every_field_of_ours_is_told_on_the_page_of_sensors(name: str) -> None:
    assert f"`{name}`" in text_of("docs/sensors.md") or f"{name}:" in text_of("docs/sensors.md")


def refused() -> dict[str, set[str]]:
    """What is known and not built yet, by where the page tells of it."""
    kinds = {alias for alias in trigger_spec.KINDS.values() if alias not in triggers.KINDS}
    return {
        "Event sources": set(source_spec.KNOWN) - set(eventsources.KINDS),
        "Triggers": kinds,
        "Workflows": {
            name for group in ("_SPEC", "_TEMPLATE", "CONTAINER", "_LOCATIONS") for name in getattr(unsupported, group)
        },
        "Promotions": set(gate_spec.NOT_BUILT),
    }


@pytest.mark.parametrize("place", refused())
def test_everything_that_is_refused_by_name_is_in_the_page_of_compatibility(place: str) -> None:
    page = text_of("docs/compatibility.md").partition("## Not built yet")[2]
    part = re.search(rf"^\*\*{place}\*\*(.+?)(?=^\*\*|\Z)", page, re.MULTILINE | re.DOTALL)
    assert part is not None
    named = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", part[1])}

    assert refused()[place] - named == set()


def test_nothing_that_is_built_is_called_refused() -> None:
    page = text_of("docs/compatibility.md").partition("## Not built yet")[2]
    for place, kinds in (("Event sources", eventsources.KINDS), ("Triggers", triggers.KINDS)):
        part = next(part for part in page.split("\n\n") if part.startswith(f"**{place}**"))
        refused_here = set(re.findall(r"`(\w+)`", part.partition(". Of the built ones")[0]))

        assert not set(kinds) & refused_here


# --- words that two places share -------------------------------------------------------------------------------------


def test_the_recording_in_the_readme_is_of_this_demo() -> None:
    story = text_of("examples/digits/demo.py")
    recording = next(body for language, body in BLOCK.findall(text_of("README.md")) if language == "text")
    titles = re.findall(r"^(\d\. .+?) ─", recording, re.MULTILINE)

    assert len(titles) >= 4
    for title in titles:
        assert f'"{title}"' in story
