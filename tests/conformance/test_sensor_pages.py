"""Every example of docs/sensors.md does what its test beside it says, and so do the sensors in examples/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from retrain.app.sensing.explaining import read_sensor
from retrain.app.sensing.testing import SUFFIX, load_cases, run_one, run_tests
from sensors import Sensor

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "sensors.md"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = sorted((ROOT / "examples").rglob(f"*{SUFFIX}"))


def examples() -> Iterator[tuple[str, str]]:
    """Each sensor with the cases that follow it."""
    blocks = BLOCK.findall(PAGE.read_text())
    for sensor, cases in pairwise(blocks):
        if sensor.startswith("apiVersion:") and cases.startswith("cases:"):
            yield sensor, cases


EXAMPLES = list(examples())


@pytest.mark.parametrize(("sensor", "cases"), EXAMPLES, ids=[re.findall(r"name: ([\w-]+)", s)[0] for s, _ in EXAMPLES])
def test_an_example_of_the_page_does_what_it_says(sensor: str, cases: str, tmp_path: Path) -> None:
    (tmp_path / "page.yaml").write_text(sensor)
    (tmp_path / "page.test.yaml").write_text(cases)

    file, _ = load_cases(tmp_path / "page.test.yaml")
    compiled = Sensor(read_sensor(tmp_path / "page.yaml"))

    assert {case.name: run_one(compiled, case).wrong for case in file.cases} == {case.name: () for case in file.cases}


def test_every_feature_of_ours_has_an_example() -> None:
    page = "\n".join(sensor for sensor, _ in EXAMPLES)
    wanted = (
        *("transform", "exprs", "key", "dedupe", "window", "count", "sum", "expect", "quiet", "maxWait", "within"),
        *("absent", "sequence", "every", "schedule", "concurrency", "cooldown", "rateLimit", "budget"),
    )

    assert [name for name in wanted if not re.search(rf"\b{name}:", page)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_cases_of_the_examples_are_green(file: Path) -> None:
    (suite,) = run_tests([file])

    assert {one.name: one.wrong for one in suite.results} == {one.name: () for one in suite.results}
