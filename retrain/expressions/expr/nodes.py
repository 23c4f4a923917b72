"""expr-lang: the syntax tree, between the parser and the closures."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Literal:
    value: object
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, a function or a key of the environment."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Pointer:
    """`#` (name ""), `#index`, `#acc`: what a predicate is looking at."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Unary:
    op: str
    value: Node
    at: int


@dataclass(frozen=True, slots=True)
class Binary:
    op: str
    left: Node
    right: Node
    at: int


@dataclass(frozen=True, slots=True)
class Logic:
    """`a && b && c` or `a || b || c`, flat: a long chain is no deep tree."""

    op: str
    parts: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Conditional:
    test: Node
    then: Node
    otherwise: Node
    at: int


@dataclass(frozen=True, slots=True)
class Member:
    """`base.key`, `base[key]`, or `base?.key` when optional."""

    base: Node
    key: Node
    optional: bool
    at: int


@dataclass(frozen=True, slots=True)
class Slice:
    base: Node
    start: Node | None
    end: Node | None
    at: int


@dataclass(frozen=True, slots=True)
class Chain:
    """As far as one `?.` reaches: nil anywhere before it makes the whole of it nil."""

    inner: Node
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a given function or of a method of a time."""

    callee: Node
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Builtin:
    """A call of a function of the language, one that takes a predicate included."""

    name: str
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class ListNode:
    items: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class MapNode:
    pairs: tuple[tuple[Node, Node], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    value: Node
    body: Node
    at: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """`a; b; c`: the value of the last."""

    parts: tuple[Node, ...]
    at: int


Node = (
    Literal
    | Name
    | Pointer
    | Unary
    | Binary
    | Logic
    | Conditional
    | Member
    | Slice
    | Chain
    | Call
    | Builtin
    | ListNode
    | MapNode
    | Let
    | Sequence
)


@dataclass(slots=True)
class Parsed:
    """A tree, and the names in it that only the environment can have."""

    root: Node
    names: list[str] = field(default_factory=list[str])
