"""Every wrong manifest of tests/data/wrong is told with file, line, column, a stable code, and what would be right.

Each file ends in lines `# expect LINE:COLUMN SEVERITY CODE MESSAGE`: all that `lint` says of it, in order.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.app.projects.lint import lint

FOLDER = Path(__file__).parents[1] / "data" / "wrong"
FILES = sorted(FOLDER.glob("*.yaml"))
MARK = "# expect "


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_wrong_manifest_is_told_with_its_place_and_what_would_be_right(file: Path) -> None:
    expected = [line.removeprefix(MARK) for line in file.read_text().splitlines() if line.startswith(MARK)]

    found = lint([file]).findings

    assert expected, f"{file.name} says nothing of what to expect"
    assert [f"{f.line}:{f.column} {f.severity} {f.code} {_plain(f.message)}" for f in found] == expected


def test_there_are_enough_of_them_and_each_is_of_its_own_kind() -> None:
    assert len(FILES) >= 60
    assert len({file.read_text() for file in FILES}) == len(FILES)


def _plain(message: str) -> str:
    return message.replace(f"{FOLDER}/", "").replace("\n", "\\n")
