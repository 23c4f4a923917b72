"""An expression, compiled once, and which variables it reads. With the language itself, which is slow to load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import cast

from pipelines.core.expressions import ExpressionFailed, Path
from pipelines.core.variables import Moment
from retrain.events import JsonValue
from retrain.expressions.expr import nodes as tree
from retrain.expressions.expr.builtins import BUILTINS
from retrain.expressions.expr.functions import argo
from retrain.expressions.expr.parser import parse
from retrain.expressions.exprlang import Expr, ExprError, compile_expr


@dataclass(frozen=True, slots=True)
class Expression:
    """`reads` is what to put into its environment; `needs` is what must be there for it to be whole; `names` are the
    first names of what it reads."""

    program: Expr
    reads: tuple[Path, ...]
    needs: tuple[Path, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.program.names)

    def evaluate(self, environment: Mapping[str, JsonValue], moment: Moment) -> JsonValue:
        """What it gives, nil included.

        Raises:
            ExpressionFailed: it gives nothing with these.
        """
        try:
            return self.program.evaluate(environment, now=moment.now, seed=moment.seed)
        except ExprError as error:
            raise ExpressionFailed(f"failed to evaluate expression: {error}") from error


@lru_cache(maxsize=2048)
def compiled(text: str) -> Expression:
    """An expression, ready.

    Raises:
        ExpressionFailed: it cannot be read.
    """
    try:
        program = compile_expr(text)
        root = parse(text, BUILTINS, argo(with_sprig="sprig" in text))
    except ExprError as error:
        raise ExpressionFailed(f"failed to evaluate expression: {error}") from error
    finder = _Finder(frozenset(program.names))
    finder.visit(root, guarded=False)
    return Expression(program, tuple(finder.reads), tuple(finder.needs))


class _Finder:
    """Walks a tree for the paths in it that begin with a name of the environment."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self.reads: dict[Path, None] = {}
        self.needs: dict[Path, None] = {}

    def visit(self, node: object, *, guarded: bool) -> None:
        """`guarded` is what stands left of `??`: a member of it may be missing, its first name may not."""
        match node:
            case tree.Name() | tree.Member():
                self._path(node, guarded)
            case tree.Binary(op="??"):
                self.visit(node.left, guarded=True)
                self.visit(node.right, guarded=guarded)
            case _:
                for part in _parts(node):
                    self.visit(part, guarded=guarded)

    def _path(self, node: tree.Name | tree.Member, guarded: bool) -> None:
        path, optional = _static(node)
        if path and path[0] in self._names:
            self.reads.setdefault(path)
            self.needs.setdefault(path[:1] if guarded or optional else path)
        one: object = node
        while isinstance(one, tree.Member | tree.Chain):
            if isinstance(one, tree.Member):
                self.visit(one.key, guarded=guarded)
            one = one.base if isinstance(one, tree.Member) else one.inner
        if not path:
            self.visit(one, guarded=guarded)


def _static(node: tree.Node) -> tuple[Path, bool]:
    """The names that a member begins with, as far as they are constants, and whether a `?.` is in it; `()` where it
    does not begin with a name."""
    keys: list[str | None] = []
    optional = False
    one: tree.Node = node
    while isinstance(one, tree.Member | tree.Chain):
        if isinstance(one, tree.Member):
            key = one.key.value if isinstance(one.key, tree.Literal) else None
            keys.append(key if isinstance(key, str) else None)
            optional = optional or one.optional
        one = one.base if isinstance(one, tree.Member) else one.inner
    if not isinstance(one, tree.Name):
        return (), optional
    path = [one.name]
    for key in reversed(keys):
        if key is None:
            break
        path.append(key)
    return tuple(path), optional


def _parts(node: object) -> Iterator[object]:
    """The nodes that a node is made of."""
    if isinstance(node, tuple):
        yield from cast("tuple[object, ...]", node)
    elif is_dataclass(node):
        for field in fields(node):
            value: object = getattr(node, field.name)
            if is_dataclass(value) or isinstance(value, tuple):
                yield value
