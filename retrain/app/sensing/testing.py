"""`sensors test`: the cases that stand beside sensors, found, read and run. Needs no platform, and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrain.app.sensing.explaining import read_sensor
from retrain.errors import ConfigError, RetrainError
from retrain.events import JsonValue
from retrain.manifests import Positions, problems
from retrain.manifests.reading import Unreadable, decode, read
from sensors import Sensor
from sensors.case_spec import Case, CaseFile
from sensors.cases import run_case

SUFFIX = ".test.yaml"


@dataclass(frozen=True, slots=True)
class Result:
    """How a case went. `line`: where it stands. `wrong`: what differs from what it expects, nothing if it is green."""

    name: str
    line: int
    took_s: float
    wrong: tuple[str, ...] = ()


@dataclass(slots=True)
class Suite:
    """A file of cases."""

    file: str
    sensor: str
    results: list[Result] = field(default_factory=list[Result])

    @property
    def failed(self) -> int:
        """How many cases are not green."""
        return sum(bool(one.wrong) for one in self.results)


def to_json(suites: Iterable[Suite]) -> dict[str, Any]:
    """What scripts read."""
    items = [
        {
            "file": suite.file,
            "sensor": suite.sensor,
            "line": one.line,
            "case": one.name,
            "passed": not one.wrong,
            "wrong": list(one.wrong),
        }
        for suite in suites
        for one in suite.results
    ]
    return {"items": items, "next": None}


def run_tests(paths: Iterable[Path]) -> Iterator[Suite]:
    """Run the cases of files, and of all files `*.test.yaml` in directories, one file after the other.

    Raises:
        ConfigError: nothing is there, a file or its sensor is wrong; the message says where.
    """
    found = [file for path in paths for file in _files(path)]
    if not found:
        raise ConfigError(f"no file *{SUFFIX} is there: cases stand beside their sensor, in NAME{SUFFIX}")
    return (_run_file(file) for file in found)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file or directory")
    return sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]


def _run_file(file: Path) -> Suite:
    cases, positions = load_cases(file)
    manifest = file.with_name(cases.file or file.name.removesuffix(SUFFIX) + ".yaml")
    if not manifest.exists():
        raise ConfigError(f"{file}: the sensor's file {manifest.name} is not beside it; say which, as `file`")
    sensor = Sensor(read_sensor(manifest, cases.sensor or None))
    suite = Suite(str(file), sensor.name)
    for index, case in enumerate(cases.cases):
        mark = positions.at(("cases", index))
        suite.results.append(run_one(sensor, case, mark.line))
    return suite


def run_one(sensor: Sensor, case: Case, line: int = 0) -> Result:
    """Run a case. What cannot be run is not green."""
    began = time.perf_counter()
    try:
        wrong = run_case(sensor, case).wrong
    except RetrainError as error:
        wrong = [str(error)]
    return Result(case.name, line, time.perf_counter() - began, tuple(wrong))


def load_cases(file: Path) -> tuple[CaseFile, Positions]:
    """Read a file of cases.

    Raises:
        ConfigError: it is none; the message has a line for each mistake.
    """
    try:
        documents = list(read(decode(file.read_bytes())))
    except Unreadable as error:
        raise ConfigError(f"{file}:{error.line}:{error.column}: {error.message}") from error
    if len(documents) != 1:
        raise ConfigError(f"{file}: it holds {len(documents)} documents; a file of cases is one")
    complaints = [f"{file}:{one.line}:{one.column}: {one.message}" for one in documents[0].complaints]
    positions = Positions(str(file), documents[0].spot)
    return parse_cases(documents[0].value, positions, complaints), positions


def parse_cases(body: JsonValue, positions: Positions, complaints: Iterable[str] = ()) -> CaseFile:
    """What a file of cases says.

    Raises:
        ConfigError: it is none; the message has a line for each mistake.
    """
    wrong = [*complaints, *(f"{positions.at(one.path)}: {one.message}" for one in problems(CaseFile, body))]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return CaseFile.model_validate(body)
