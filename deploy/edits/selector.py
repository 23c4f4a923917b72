"""Paths into a document, as an edit names its field.

spec.predictor.model.storageUri
spec.template.spec.containers[name=server].env[name=MODEL_URI].value
items[metadata.name=digits].spec.replicas
metadata.annotations["retrain.dev/digest"]
images[0].newTag
literals[^MODEL_URI=]                   the item that begins so; the value is what follows
data["model.yaml"]|spec.uri             a document that stands in a text
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from retrain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Key:
    """A member of a mapping."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """An item of a list, counted from 0."""

    at: int


@dataclass(frozen=True, slots=True)
class Where:
    """The one item of a list whose member at `keys` reads `value`."""

    keys: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """The one text of a list that begins with `text`; what is read and written is the rest of it."""

    text: str


@dataclass(frozen=True, slots=True)
class Inside:
    """From a text into the YAML, JSON or TOML that it holds."""


Step = Key | Index | Where | Prefix | Inside

MAX_STEPS = 64

_PLAIN = r"[A-Za-z0-9_$-][A-Za-z0-9_$/-]*"
_STEP = re.compile(
    rf"""(?P<dot>\.)?(?P<key>{_PLAIN})
    | \[(?P<index>\d{{1,6}})\]
    | \[(?P<quote>["'])(?P<quoted>[^\x00-\x1f]+?)(?P=quote)\]
    | \[\^(?P<prefix>[^\]\x00-\x1f]+)\]
    | \[(?P<where>{_PLAIN}(?:\.{_PLAIN})*)=(?P<value>[^\]\x00-\x1f]+)\]
    | (?P<inside>\|)""",
    re.VERBOSE,
)


def parse(text: str) -> tuple[Step, ...]:
    """Read a path.

    Raises:
        ConfigError: it is none; the message shows where it stops making sense.
    """
    steps: list[Step] = []
    at = 0
    while at < len(text):
        match = _STEP.match(text, at)
        # Keys are parted by dots; the first of a document has none.
        first = not steps or isinstance(steps[-1], Inside)
        if match is None or (match["key"] is not None and (match["dot"] is None) != first):
            raise ConfigError(
                f"{text!r} is no path: cannot read on at {text[at : at + 20]!r}; write keys parted by dots, "
                '[0], [name=server], [^KEY=] or ["a key with dots"]; | goes into a text'
            )
        if match["inside"] and first:
            raise ConfigError(f"{text!r} is no path: | comes after the text that it goes into")
        steps.append(_step(match))
        at = match.end()
    if not steps or len(steps) > MAX_STEPS:
        raise ConfigError(f"a path has 1 to {MAX_STEPS} steps")
    if isinstance(steps[-1], Inside) or any(isinstance(step, Prefix) for step in steps[:-1]):
        raise ConfigError(f"{text!r} is no path: | must be followed by a path, and nothing follows [^...]")
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return Index(int(match["index"]))
    if match["where"] is not None:
        return Where(tuple(match["where"].split(".")), match["value"].strip("\"'"))
    if match["prefix"] is not None:
        return Prefix(match["prefix"])
    return Inside() if match["inside"] else Key(match["key"] or match["quoted"])


def show(steps: tuple[Step, ...]) -> str:
    """The path as people write it."""
    text = ""
    for step in steps:
        match step:
            case Index(at):
                text += f"[{at}]"
            case Where(keys, value):
                text += f"[{'.'.join(keys)}={value}]"
            case Prefix(prefix):
                text += f"[^{prefix}]"
            case Inside():
                text += "|"
            case Key(name) if re.fullmatch(_PLAIN, name):
                text += f".{name}" if text and not text.endswith("|") else name
            case Key(name):
                text += f'["{name}"]'
    return text


def split(steps: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The path up to the first text that is gone into, and the path in there: empty if there is none."""
    for at, step in enumerate(steps):
        if isinstance(step, Inside):
            return steps[:at], steps[at + 1 :]
    return steps, ()
