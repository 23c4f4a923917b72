"""What a template consists of, as the parser leaves it to the compiler.

`at` is an offset in the text and `str(node)` its text again: both for messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from retrain.expressions.template.show import quote
from retrain.expressions.template.values import Value


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    at: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil:
    at: int

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Bool:
    at: int
    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class String:
    at: int
    quoted: str
    value: str

    def __str__(self) -> str:
        return self.quoted


@dataclass(frozen=True, slots=True)
class Number:
    """A literal. `value` is what it is where anything goes; `whole` and `real` what it is where an integer or a float
    is wanted, None where it cannot be that."""

    at: int
    text: str
    value: Value
    whole: int | None
    real: float | None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Identifier:
    at: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Field:
    """`.a.b`"""

    at: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable:
    """`$x.a.b`; `slot` is its place in the frame, None where it was never declared."""

    at: int
    name: str
    slot: int | None
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.names))


@dataclass(frozen=True, slots=True)
class Chain:
    """`(pipeline).a.b` or `function.a.b`"""

    at: int
    start: Pipe | Identifier
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((_inner(self.start), *self.names))


Operand = Dot | Nil | Bool | String | Number | Identifier | Field | Variable | Chain


@dataclass(frozen=True, slots=True)
class Command:
    at: int
    args: tuple[Operand | Pipe, ...]

    def __str__(self) -> str:
        return " ".join(_inner(arg) for arg in self.args)


@dataclass(frozen=True, slots=True)
class Pipe:
    at: int
    declares: tuple[Variable, ...]
    assigns: bool
    """`=` and not `:=`."""
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        names = ", ".join(variable.name for variable in self.declares)
        sign = f" {'=' if self.assigns else ':='} " if names else ""
        return names + sign + " | ".join(str(command) for command in self.commands)


@dataclass(frozen=True, slots=True)
class Action:
    at: int
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Choice:
    """`if` or `with`, with all its `else if`s: the first branch whose pipeline is true, or `otherwise`."""

    kind: Literal["if", "with"]
    branches: tuple[tuple[Pipe, tuple[Node, ...]], ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Range:
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    kind: Literal["break", "continue"]


@dataclass(frozen=True, slots=True)
class Call:
    """`{{template "name" pipeline}}`"""

    at: int
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f"{{{{template {quote(self.name)}{f' {self.pipe}' if self.pipe else ''}}}}}"


Node = Text | Action | Choice | Range | Leave | Call


@dataclass(frozen=True, slots=True)
class Tree:
    """One template, the main one or one that was defined inside of it."""

    name: str
    body: tuple[Node, ...]
    slots: int
    """How many variables a frame has, `$` among them."""


def _inner(node: Operand | Pipe) -> str:
    return f"({node})" if isinstance(node, Pipe) else str(node)


def last_of(node: Operand | Pipe) -> Operand:
    """The operand that was evaluated last when the node has its value: Go's messages point there."""
    while isinstance(node, Pipe):
        node = node.commands[-1].args[-1]
    return node
