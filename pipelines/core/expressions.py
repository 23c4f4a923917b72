"""`{{=expressions}}` over a scope: compiled once, and given no more of the scope than they name.

Dotted names become nested maps: `inputs.parameters['my-lr']`, `tasks.a.outputs.result`. A name that is a text and has
names below it (`inputs.parameters`) is a map here. What a member that is not there gives is nil.

Source: util/template/expression_template.go, util/expr and util/expand of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from pipelines.core.variables import ABSENT, Absent, Artifact, Lookup, Variables, variables_of
from retrain.errors import ConfigError
from retrain.events import JsonValue

if TYPE_CHECKING:
    from pipelines.core.compiled import Expression

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


def _compiled(text: str) -> Expression:
    from pipelines.core.compiled import compiled  # a workflow without expressions need not wait for the language

    return compiled(text)


def evaluate_value(text: str, scope: Variables | Lookup | Mapping[str, Any]) -> JsonValue:
    """What an expression gives, nil included.

    Raises:
        ExpressionFailed: it cannot be read, or names what is not there.
    """
    expression = _compiled(text)
    variables = variables_of(scope)
    environment = _environment(expression.reads, variables)
    moment = variables.moment()
    return expression.evaluate(environment, moment)


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
    expression = _compiled(text)
    missing = [".".join(path) for path in expression.needs if not _is_there(path, variables)]
    if strict is not None:
        for name in missing:
            if strict(name):
                raise ExpressionFailed(f"failed to evaluate expression: {name} is missing")
    may_wait = strict is None or bool(missing)
    if any(name in LATE for name in missing):
        return LEFT
    environment = _environment(expression.reads, variables)
    if may_wait and any(name not in environment for name in expression.names):
        return LEFT  # Go refuses to compile over an unknown name, also where it would not be read
    moment = variables.moment()
    try:
        found = expression.evaluate(environment, moment)
    except ExpressionFailed:
        if may_wait:
            return LEFT
        raise
    if found is not None:
        return found
    if may_wait:
        return LEFT
    raise ExpressionFailed(f'failed to evaluate expression "{text}"')


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
