"""The corpus of tests/data/edits: each edit makes the expected bytes, twice is once, and the way back is exact."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.edits import edit, selector
from deploy.edits.edit import Change, EditRefused, Remove, Target, Undo, Value

DATA = Path(__file__).parents[1] / "data/edits"
CASES: list[dict[str, Any]] = [
    {**case, "group": file.stem}
    for file in sorted(DATA.glob("*.yaml"))
    if file.stem != "quoting"
    for case in yaml.safe_load(file.read_text())
]
MADE = [case for case in CASES if "refused" not in case]
REFUSED = [case for case in CASES if "refused" in case]
QUOTED: list[list[str]] = yaml.safe_load((DATA / "quoting.yaml").read_text())


def name_of(case: dict[str, Any]) -> str:
    return f"{case['group']}: {case['name']}"


def apply(case: dict[str, Any], before: bytes, what: edit.Edit | None = None) -> tuple[bytes, Change]:
    target = Target(selector.parse(case["path"]), case.get("resource", {}))
    if what is None:
        what = Remove() if case.get("remove") else Value(case["value"], create=case.get("create", False))
    after, (change,) = edit.apply(before, [(target, what)], case.get("file", "model.yaml"))
    return after, change


def back(change: Change) -> edit.Edit:
    """The edit that takes a change back, as a record keeps it."""
    if change.made == "set":
        return Value(change.old, change.old_text)
    assert change.anchor is not None
    return Undo(change.made, change.old_text, change.new_text, change.anchor)


def unified(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=1))[2:]
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(CASES) + len(QUOTED) >= 400


@pytest.mark.parametrize("case", MADE, ids=name_of)
def test_an_edit_makes_the_expected_bytes(case: dict[str, Any]) -> None:
    after, change = apply(case, case["before"].encode())

    if "diff" in case:
        assert unified(case["before"], after.decode()) == case["diff"]
    else:
        assert after.decode() == case.get("after", case["before"])
    assert change.changed == (after != case["before"].encode())


@pytest.mark.parametrize("case", MADE, ids=name_of)
def test_twice_is_once(case: dict[str, Any]) -> None:
    after, _ = apply(case, case["before"].encode())

    again, change = apply(case, after)

    assert again == after
    assert not change.changed


@pytest.mark.parametrize("case", MADE, ids=name_of)
def test_the_way_back_gives_the_bytes_of_before(case: dict[str, Any]) -> None:
    after, change = apply(case, case["before"].encode())
    if not change.changed:
        return

    restored, undone = apply(case, after, back(change))

    assert restored == case["before"].encode()
    assert undone.changed


@pytest.mark.parametrize("case", REFUSED, ids=name_of)
def test_what_cannot_be_done_cleanly_is_refused_with_its_place(case: dict[str, Any]) -> None:
    file = case.get("file", "model.yaml")

    with pytest.raises(EditRefused) as refusal:
        apply(case, case["before"].encode())

    assert str(refusal.value).startswith(f"{file}:")
    assert case["refused"] in str(refusal.value)


@pytest.mark.parametrize(("text", "written"), QUOTED)
def test_a_text_is_quoted_where_a_reader_could_take_it_for_something_else(text: str, written: str) -> None:
    before = "a: old # c\nb: {x: old}\n"

    after, _ = apply({"path": "a", "value": text}, before.encode())
    flow, _ = apply({"path": "b.x", "value": text}, before.encode())

    assert after.decode() == f"a: {written} # c\nb: {{x: old}}\n"
    assert flow.decode() == f"a: old # c\nb: {{x: {written}}}\n"
