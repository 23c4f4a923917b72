"""`sensors explain`: a Sensor in a file, events in files, and what the one makes of the others. Needs no platform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from retrain.app.projects.catalog import OURS
from retrain.app.projects.plugins import TRIGGERS, Installed
from retrain.errors import ConfigError, EventError
from retrain.events import Event
from retrain.manifests import Document, Finding, load_file, validate
from sensors import SensorDocument, check, explain, read_events


def explain_file(file: Path, texts: Sequence[bytes] | Mapping[str, bytes], name: str | None = None) -> dict[str, Any]:
    """The decisions, firings and waiting of the Sensor in `file` (called `name`, if it holds several) for these events.

    `texts`: what files of events hold, by their names where they have some.

    Raises:
        ConfigError: there is no such Sensor, it is wrong, or an event is none.
    """
    model = read_sensor(file, name)
    named = texts.items() if isinstance(texts, Mapping) else (("", text) for text in texts)
    return explain(model, [event for where, text in named for event in _events(where, text)])


def _events(where: str, text: bytes) -> list[Event]:
    try:
        return read_events(text)
    except EventError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from error


def read_sensor(file: Path, name: str | None = None) -> SensorDocument:
    """The Sensor in `file`, the one called `name` if it holds several.

    Raises:
        ConfigError: there is no such Sensor, or it is wrong.
    """
    return sensor_of(load(file), file, name)


def sensor_of(documents: Sequence[Document], file: Path, name: str | None) -> SensorDocument:
    """The Sensor among the documents of a file.

    Raises:
        ConfigError: there is no such Sensor, several and no `name`, or it is wrong.
    """
    document = select([one for one in documents if one.kind == "Sensor"], "Sensor", file, name)
    if document.api_version == OURS:
        model, findings = validate(document, SensorDocument, kinds=Installed(TRIGGERS))
    else:
        model, findings = validate(document, SensorDocument, unknown="warning")
    refuse(findings)
    assert model is not None
    # What cannot be acted on here may still be explained; what cannot be decided is refused when it is compiled.
    refuse(document.finding(one) for one in check(model) if one.code != "unsupported-kind")
    return model


def load(file: Path) -> Sequence[Document]:
    """The documents of a file.

    Raises:
        ConfigError: it cannot be read; the message says where and why.
    """
    documents, findings = load_file(file)
    refuse(findings)
    return documents


def refuse(findings: Iterable[Finding]) -> None:
    """Stop at errors.

    Raises:
        ConfigError: there are some; the message has a line for each.
    """
    if wrong := [f"{f.file}:{f.line}:{f.column}: {f.message}" for f in findings if f.severity == "error"]:
        raise ConfigError("\n".join(wrong))


def select(found: Sequence[Document], kind: str, file: Path, name: str | None) -> Document:
    named = [one for one in found if name is None or one.name == name]
    if len(named) == 1:
        return named[0]
    names = ", ".join(one.name for one in found)
    if not found:
        raise ConfigError(f"{file}: holds no {kind}")
    raise ConfigError(
        f"{file}: say --name, one of {names}" if name is None else f"{file}: no {kind} {name!r}; there are {names}"
    )
