"""Every code that a finding may have is told on the page about them; none is told that there is not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("retrain", "eventsources", "sensors", "pipelines", "deploy")
MAKERS = {"Problem": 1, "Advice": 1, "Invalid": 1, "_warn": 1, "compiles": 3, "_compiles": 3}
"""Callables that take a code, and which of their arguments it is."""
CODE = re.compile(r"[a-z]+(-[a-z]+)*")


def codes() -> set[str]:
    return {code for room in ROOMS for file in (ROOT / room).rglob("*.py") for code in _codes(file)}


def _codes(file: Path) -> Iterator[str]:
    text = file.read_text()
    if "code=" not in text and not any(f"{maker}(" in text for maker in MAKERS):
        return  # most files: it takes seconds to parse them all
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        place = MAKERS.get(name)
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        if place is not None and len(node.args) > place:
            given.append(node.args[place])
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and CODE.fullmatch(value.value):
                yield value.value


def told() -> set[str]:
    page = (ROOT / "docs" / "lint.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`([a-z-]+)`", row.split("|")[1]) if CODE.fullmatch(code)}


def test_every_code_has_its_line_in_the_page() -> None:
    assert codes() - told() == set()


def test_no_line_tells_of_a_code_that_there_is_not() -> None:
    texts = [file.read_text() for room in ROOMS for file in (ROOT / room).rglob("*.py")]

    assert {code for code in told() if not any(f'"{code}"' in text for text in texts)} == set()
