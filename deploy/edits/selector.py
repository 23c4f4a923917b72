"""Paths into a YAML document, as an edit names its field.

spec.predictor.model.storageUri
spec.template.spec.containers[name=server].image
items[metadata.name=digits].spec.replicas
metadata.annotations["retrain.dev/digest"]
images[0].newTag
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


Step = Key | Index | Where

MAX_STEPS = 64

_PLAIN = r"[A-Za-z0-9_$-][A-Za-z0-9_$/-]*"
_STEP = re.compile(
    rf"""(?P<dot>\.)?(?P<key>{_PLAIN})
    | \[(?P<index>\d{{1,6}})\]
    | \[(?P<quote>["'])(?P<quoted>[^\x00-\x1f]+?)(?P=quote)\]
    | \[(?P<where>{_PLAIN}(?:\.{_PLAIN})*)=(?P<value>[^\]\x00-\x1f]+)\]""",
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
        # Keys are parted by dots; the first has none.
        if match is None or (match["key"] is not None and (match["dot"] is None) != (at == 0)):
            raise ConfigError(
                f"{text!r} is no path: cannot read on at {text[at : at + 20]!r}; write keys parted by dots, "
                '[0], [name=server] or ["a key with dots"]'
            )
        steps.append(_step(match))
        at = match.end()
    if not steps or len(steps) > MAX_STEPS:
        raise ConfigError(f"a path has 1 to {MAX_STEPS} steps")
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return Index(int(match["index"]))
    if match["where"] is not None:
        return Where(tuple(match["where"].split(".")), match["value"].strip("\"'"))
    return Key(match["key"] or match["quoted"])


def show(steps: tuple[Step, ...]) -> str:
    """The path as people write it."""
    text = ""
    for step in steps:
        match step:
            case Index(at):
                text += f"[{at}]"
            case Where(keys, value):
                text += f"[{'.'.join(keys)}={value}]"
            case Key(name) if re.fullmatch(_PLAIN, name):
                text += f".{name}" if text else name
            case Key(name):
                text += f'["{name}"]'
    return text
