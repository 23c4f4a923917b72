"""`{{=expressions}}` over a scope: compiled once, and given no more of the scope than they name.

Dotted names become nested maps: `inputs.parameters['my-lr']`, `tasks.a.outputs.result`. A name that is a text and has
names below it (`inputs.parameters`) is a map here. What a member that is not there gives is nil.

Source: util/template/expression_template.go, util/expr and util/expand of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Any, Final, cast

from pipelines.core.variables import ABSENT, Absent, Artifact, Lookup, Variables, variables_of
from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.expressions.expr import nodes as tree
from retrain.expressions.expr.builtins import BUILTINS
from retrain.expressions.expr.functions import argo
from retrain.expressions.expr.parser import parse
from retrain.expressions.exprlang import Expr, ExprError, compile_expr

LATE = frozenset(
    ("item", "retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message",
     "workflow.status", "workflow.failures")
)  # fmt: skip
"""Names that are bound later than others: an expression that reads one of them waits for it."""

Path = tuple[str, ...]


class ExpressionFailed(ConfigError):
    """An expression that cannot be read, reads what is not there, or gives no value of the kind that is wanted."""


class _Left:
    """The expression stays as it is written: a later pass may know what it reads."""


LEFT: Final = _Left()


@dataclass(frozen=True, slots=True)
class Expression:
    """`reads` is what to put into its environment; `needs` is what must be there for it to be whole."""

    program: Expr
    reads: tuple[Path, ...]
    needs: tuple[Path, ...]


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


def evaluate_value(text: str, scope: Variables | Lookup | Mapping[str, Any]) -> JsonValue:
    """What an expression gives, nil included.

    Raises:
        ExpressionFailed: it cannot be read, or names what is not there.
    """
    expression = compiled(text)
    variables = variables_of(scope)
    environment = _environment(expression.reads, variables)
    moment = variables.moment()
    try:
        return expression.program.evaluate(environment, now=moment.now, seed=moment.seed)
    except ExprError as error:
        raise ExpressionFailed(f"failed to evaluate expression: {error}") from error


def evaluate_bool(text: str, scope: Variables | Lookup | Mapping[str, Any]) -> bool:
    """Whether an expression (of a hook, a retry, a stop strategy) holds.

    Raises:
        ExpressionFailed: as `evaluate_value`, or it is no condition.
    """
    found = evaluate_value(text, scope)
    if not isinstance(found, bool):
        raise ExpressionFailed(f"unable to cast expression result '{found}' to bool")
    return found


def evaluate_tag(text: str, variables: Variables, strict: Callable[[str], bool] | None) -> JsonValue | _Left:
    """What stands for `{{=text}}`, or LEFT. Without `strict` everything may be left; else only what names an unknown
    variable that is not strict.

    Raises:
        ExpressionFailed: it is no expression, a strict name is missing, or everything is there and it still fails.
    """
    expression = compiled(text)
    missing = [".".join(path) for path in expression.needs if not _is_there(path, variables)]
    if strict is not None:
        for name in missing:
            if strict(name):
                raise ExpressionFailed(f"failed to evaluate expression: {name} is missing")
    may_wait = strict is None or bool(missing)
    if any(name in LATE for name in missing):
        return LEFT
    environment = _environment(expression.reads, variables)
    if may_wait and any(name not in environment for name in expression.program.names):
        return LEFT  # Go refuses to compile over an unknown name, also where it would not be read
    moment = variables.moment()
    try:
        found = expression.program.evaluate(environment, now=moment.now, seed=moment.seed)
    except ExprError as error:
        if may_wait:
            return LEFT
        raise ExpressionFailed(f"failed to evaluate expression: {error}") from error
    if found is not None:
        return found
    if may_wait:
        return LEFT
    raise ExpressionFailed(f'failed to evaluate expression "{text}"')


# --- what it reads --------------------------------------------------------------------------------------------------


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


# --- what it is given -----------------------------------------------------------------------------------------------


def _is_there(path: Path, variables: Variables) -> bool:
    name = ".".join(path)
    if _value(name, variables) is not None or next(iter(variables.under(name)), None) is not None:
        return True
    return any(variables.artifact(".".join(path[:end])) is not None for end in range(len(path) - 1, 2, -1))


def _value(name: str, variables: Variables) -> str | Artifact | Absent | None:
    found = variables(name)
    return variables.artifact(name) if found is None else found


def _environment(reads: Iterable[Path], variables: Variables) -> dict[str, JsonValue]:
    """Nested maps that hold what is read, and no more."""
    env: dict[str, Any] = {}
    for path in reads:
        _add(env, path, variables)
    return env


def _add(env: dict[str, Any], path: Path, variables: Variables) -> None:
    for end in range(len(path), 0, -1):
        name = ".".join(path[:end])
        below = sorted(set(variables.under(name)))
        if below:
            if end == len(path):
                for one in _leaves(below):
                    _put(env, (*path, *one[len(name) + 1 :].split(".")), _value(one, variables))
            else:
                _branch(env, path[:end])
            return
        found = _value(name, variables)
        if found is not None:
            _put(env, path[:end], found)
            return


def _leaves(names: list[str]) -> Iterator[str]:
    """Those without others below them."""
    parents = {name[:at] for name in names for at, char in enumerate(name) if char == "."}
    return (name for name in names if name not in parents)


def _branch(env: dict[str, Any], path: Path) -> dict[str, Any]:
    at = env
    for key in path:
        inner = at.get(key)
        if not isinstance(inner, dict):
            inner = at[key] = {}
        at = cast("dict[str, Any]", inner)
    return at


def _put(env: dict[str, Any], path: Path, value: str | Artifact | Absent | None) -> None:
    at = _branch(env, path[:-1])
    if isinstance(at.get(path[-1]), dict) and not isinstance(value, Mapping):
        return  # a name that has names below it is a map
    at[path[-1]] = None if value is ABSENT else dict(value) if isinstance(value, Mapping) else value
