"""A document as nodes that know their span, whatever language it is written in.

`signatures` say what must not change: one for each thing that a reader of the text is told, in the order of the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from yaml.events import MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

from deploy.edits.scalars import Scalar
from retrain.manifests import scalars

Language = Literal["yaml", "json", "toml"]
Kind = Literal["scalar", "mapping", "sequence", "alias", "other"]
Signature = tuple[Any, ...]
"""An event's class, and for those that begin something its anchor, tag, implicit, value (or flow style) and style."""

MAX_DEPTH = 100


class Unparsable(ValueError):
    """The text is not what can be edited. `at` is the character."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


@dataclass(slots=True)
class Node:
    """One value. `start` and `end` are its span in characters, anchor and tag included; `first` and `stop` bound its
    signatures.

    `children` of a mapping are key, value, key, value, with duplicates; an alias has `alias` and nothing else.
    `used_at`: where an alias means this very node, else -1. `other`: one value that is not edited (a date of TOML's).
    """

    kind: Kind
    start: int
    end: int
    first: int
    stop: int
    value: str = ""
    style: str | None = None
    tag: str | None = None
    anchor: str | None = None
    alias: str | None = None
    flow: bool = False
    children: list[Node] = field(default_factory=list)
    used_at: int = -1

    @property
    def scalar(self) -> Scalar:
        """What a scalar means to Kubernetes; text where it means nothing."""
        return meaning(self.value, self.style, self.tag) if self.kind == "scalar" else None

    @property
    def empty(self) -> bool:
        """Whether nothing is written where the value would be."""
        return self.kind == "scalar" and self.start == self.end

    def get(self, key: str) -> list[int]:
        """Where the values under a key are among the children: one, none, or several if the key is there twice."""
        children = self.children
        return [at + 1 for at in range(0, len(children), 2) if children[at].value == key and not children[at].children]

    def names(self) -> list[str]:
        """The mapping's plain keys."""
        return [key.value for key in self.children[::2] if key.kind == "scalar"]


@dataclass(eq=False)
class Tree:
    """All documents of a text."""

    language: Language
    text: str
    signatures: list[Signature]
    grow: Callable[[], list[Node]]

    @cached_property
    def documents(self) -> list[Node]:
        """The root of each document."""
        return self.grow()


Reading = tuple[Any, ...]


def meaning(value: str, style: str | None, tag: str | None) -> Scalar:
    """What a scalar means, given its text, its quotes and its tag."""
    if style and tag is None:
        return value
    try:
        return scalars.to_json(scalars.resolve(value, tag))
    except ValueError:
        return value


def reads(signature: Signature) -> Reading:
    """What a signature says: the class, anchor and tag, and for a scalar its value with its type."""
    kind = signature[0]
    if kind is ScalarEvent:
        now = meaning(signature[4], signature[5], signature[2])
        return (kind, signature[1], signature[2], type(now), now)
    return signature[:3]


def scalar(value: Scalar, anchor: str | None = None, tag: str | None = None) -> Reading:
    """What a scalar should read."""
    return (ScalarEvent, anchor, tag, type(value), value)


def mapping(inside: Iterable[Reading] = ()) -> list[Reading]:
    """What a mapping should read."""
    return [(MappingStartEvent, None, None), *inside, (MappingEndEvent,)]


def sequence(inside: Iterable[Reading] = ()) -> list[Reading]:
    """What a list should read."""
    return [(SequenceStartEvent, None, None), *inside, (SequenceEndEvent,)]
