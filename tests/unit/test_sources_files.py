"""What happened to a file, what it is called, and what it is known by."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsources.duration import seconds
from eventsources.watching.file_changes import decide, event_id, pick
from eventsources.watching.folder import Folder, restored, shown, stored
from eventsources.watching.inotify import ATTRIB, MOVED_FROM

names = st.binary(min_size=1, max_size=60).filter(lambda b: b"/" not in b and b"\0" not in b).map(os.fsdecode)


@pytest.mark.parametrize(
    ("known", "now", "hints", "bits"),
    [
        (None, None, 0, 0),
        (None, "1:0:5", 0, 1),
        (None, "1:9:5", 0, 3),
        ("1:9:5", "1:9:5", 0, 0),
        ("1:9:5", "1:9:6", 0, 2),
        ("1:9:5", "2:9:5", 0, 3),
        ("1:9:5", "1:9:5", ATTRIB, 16),
        ("1:9:5", None, 0, 4),
        ("1:9:5", None, MOVED_FROM, 8),
    ],
)
def test_what_happened_follows_from_before_and_after(known: str | None, now: str | None, hints: int, bits: int) -> None:
    assert decide(known, now, hints) == bits


def test_one_event_tells_the_first_of_what_is_wanted() -> None:
    assert [pick(3, 1), pick(3, 2), pick(3, 3), pick(4, 3)] == [1, 2, 1, 0]


@given(names)
def test_any_name_survives_the_store_and_can_be_shown(name: str) -> None:
    stored(name).encode()
    shown(name).encode()
    assert restored(stored(name)) == name
    assert event_id("e", 1, f"/d/{name}", "1:2:3").isprintable()


@given(names, names)
def test_different_files_have_different_ids(one: str, other: str) -> None:
    assert (event_id("e", 1, one, "v") == event_id("e", 1, other, "v")) == (one == other)


def test_only_regular_files_of_the_folder_itself_count(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "secret"
    inside.mkdir()
    outside.write_text("x")
    (inside / "file").write_text("x")
    (inside / "folder").mkdir()
    (inside / "link").symlink_to(outside)
    os.mkfifo(inside / "pipe")

    folder = Folder(str(inside))
    found = [name for page in folder.pages(lambda name: True, 2) for name in page]
    by_name = folder.look(["link", "folder", "pipe", "x\0y", "gone"])

    assert found == ["file"]
    assert by_name == {}


@pytest.mark.parametrize(("text", "length"), [("1s", 1), ("1h30m", 5400), ("500ms", 0.5), ("1.5m", 90)])
def test_durations_are_gos(text: str, length: float) -> None:
    assert seconds(text) == pytest.approx(length)


@pytest.mark.parametrize("text", ["", "5", "-1s", "1s ", "1d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)
