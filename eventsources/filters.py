"""`filter.expression`: which of a source's events are wanted, said in expr-lang over the members of their data.

As in Argo Events the names are the top-level members of `data`, with `_` for each `-` in them, beside Argo's functions
(asInt, asFloat, jsonpath, toJson, sprig). What is not true or false is an error, and an event that an expression
cannot be asked about goes to the dead letters: upstream drops it and says that all went well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from eventsources.fields import Path
from retrain.errors import Permanent
from retrain.events import Event
from retrain.manifests import Problem

if TYPE_CHECKING:  # the language is big, and most documents have no expression
    from retrain.expressions.exprlang import Expr

Wants = Callable[[Event], bool]
"""Whether an event is wanted. Raises Permanent if that cannot be told."""


def expression_of(spec: Any) -> str:
    """What stands under `filter.expression` of an entry; empty where nothing does, or its kind has none."""
    return str(getattr(getattr(spec, "filter", None), "expression", "") or "").strip()


def check_expression(path: Path, spec: Any, *, ours: bool) -> Iterator[Problem]:
    """An expression that cannot be compiled; `ours`: whether the kind may have one in this document."""
    text = expression_of(spec)
    if not text:
        return
    at = (*path, "filter", "expression")
    if not ours:
        yield Problem(at, "unknown-field", "expression of this kind is of retrain.dev/v1; change apiVersion to use it")
    from retrain.expressions.exprlang import ExprError

    try:
        _compiled(text)
    except ExprError as error:
        yield Problem(at, "wrong-value", f"filter.expression: {error}")


def filter_of(spec: Any) -> Wants | None:
    """The filter of an entry; None where everything is wanted."""
    text = expression_of(spec)
    return _wants(_compiled(text)) if text else None


def _wants(expression: Expr) -> Wants:
    from retrain.expressions.exprlang import ExprError

    def wants(event: Event) -> bool:
        data = event.data if isinstance(event.data, dict) else {"data": event.data}
        names = {name.replace("-", "_"): value for name, value in data.items()}
        try:
            wanted = expression.evaluate(names, now=event.time, seed=event.id)
        except ExprError as error:
            raise Permanent(f"filter.expression cannot be evaluated: {error}") from error
        if not isinstance(wanted, bool):
            raise Permanent(f"filter.expression gives {type(wanted).__name__}, not true or false")
        return wanted

    return wants


@lru_cache(maxsize=256)
def _compiled(text: str) -> Expr:
    from retrain.expressions.exprlang import compile_expr

    return compile_expr(text)
