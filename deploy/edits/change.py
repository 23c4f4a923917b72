"""What an edit is told to do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deploy.edits.anchoring import Anchor
from deploy.edits.scalars import Scalar

Made = Literal["set", "created", "removed"]


@dataclass(frozen=True, slots=True)
class Value:
    """What to put there: a value, written in the old one's style; or `text`, taken as it is (a restored value).

    `create`: make the key or item if it is not there.
    """

    value: Scalar
    text: str | None = None
    create: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the key or item out, with its lines. Nothing to do where it is not there."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit did, or would do. The texts are the very characters of the file, for an exact way back.

    `old` of what was created and `new` of what was removed are None; `anchor` says where they stood.
    """

    old: Scalar
    new: Scalar
    old_text: str
    new_text: str
    line: int
    made: Made = "set"
    anchor: Anchor | None = None

    @property
    def changed(self) -> bool:
        """Whether the file differs afterwards."""
        return self.old_text != self.new_text


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back what created or removed something."""

    made: Literal["created", "removed"]
    old_text: str
    new_text: str
    anchor: Anchor


Edit = Value | Remove | Undo
