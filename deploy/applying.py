"""Edits over several files: made, taken back, and held against what the files say now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy import record as records
from deploy.edits import edit as editing
from deploy.edits import selector
from deploy.edits.edit import Change, EditRefused, Target
from deploy.edits.spec import Edit
from deploy.record import EditMade, Record
from retrain.errors import Refused


class Drifted(Exception):
    """Somebody changed what we have edited."""


def edited(
    wanted: Sequence[tuple[Edit | EditMade, editing.Edit]], contents: Mapping[str, bytes | None]
) -> tuple[dict[str, bytes], list[EditMade]]:
    """The files that change, and the edits in the order asked."""
    changed: dict[str, bytes] = {}
    done: dict[int, Change] = {}
    for file in dict.fromkeys(edit.file for edit, _ in wanted):
        numbers = [number for number, (edit, _) in enumerate(wanted) if edit.file == file]
        data = contents[file]
        if data is None:
            raise Refused(f"{file}: is not there")
        new, changes = editing.apply(data, [(target_of(wanted[n][0]), wanted[n][1]) for n in numbers], file)
        done |= dict(zip(numbers, changes, strict=True))
        if new != data:
            changed[file] = new
    made = [
        records.edit_made(edit.file, edit.path, edit.resource, done[number])
        for number, (edit, _) in enumerate(wanted)
        if done[number].changed
    ]
    return changed, made


def taken_back(
    edits: Sequence[EditMade], contents: Mapping[str, bytes | None]
) -> tuple[dict[str, bytes], list[EditMade]]:
    """The files as they were before the edits, and the edits that make them so.

    The last edit first, one by one: it may stand in what an earlier one made, or change it again.

    Raises:
        Drifted: a value is not what an edit made of it.
        Refused: it cannot be taken back.
    """
    now = dict(contents)
    done: list[EditMade] = []
    for made in reversed(edits):
        if changed := drifted([made], now):
            raise Drifted(changed)
        files, back = edited([(made, made.back)], now)
        now |= files
        done += back
    return {file: data for file, data in now.items() if data is not None and data != contents[file]}, done


def changed_since(record: Record, contents: Mapping[str, bytes | None]) -> str:
    """How the manifests differ from what a record says of them, "" if they do not."""
    if record.step is None:
        return drifted(record.edits, contents)
    there = [made for made in record.standing if contents.get(made.file) is not None]
    try:
        taken_back(there, contents)
    except (Drifted, EditRefused) as changed:
        return str(changed)
    return ""


def drifted(edits: Sequence[EditMade], contents: Mapping[str, bytes | None]) -> str:
    """How a manifest differs from what a record says of it, "" if it does not."""
    for made in edits:
        data = contents.get(made.file)
        if data is None:
            continue
        try:
            changed = editing.drifted(data, target_of(made), made.file, made.made, made.new)
        except EditRefused as error:
            return str(error)
        if changed:
            return f"{made.file}: {made.path} {changed}: somebody changed it by hand"
    return ""


def target_of(edit: Edit | EditMade) -> Target:
    """Where an edit is made in its file."""
    return Target(selector.parse(edit.path), edit.resource)
