"""Conditions in expr-lang over what a check got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from retrain.events import JsonValue

if TYPE_CHECKING:
    from retrain.expressions.exprlang import Expr


def compiled(text: str, names: Sequence[str]) -> Expr:
    """The condition, compiled.

    Raises:
        ValueError: it is none, or knows other names than these.
    """
    condition = _compile(text)
    if unknown := sorted(set(condition.names) - {*names}):
        raise ValueError(f"unknown name {unknown[0]!r}; there are {', '.join(names)}")
    return condition


@lru_cache(maxsize=256)
def _compile(text: str) -> Expr:
    # The language is much code: who has no such check does not load it.
    from retrain.expressions.exprlang import ExprError, compile_expr

    try:
        return compile_expr(text)
    except ExprError as error:
        raise ValueError(str(error)) from None


def decide(text: str, names: Sequence[str], facts: Mapping[str, JsonValue]) -> bool | str:
    """Whether it is true; in words why that cannot be told."""
    from retrain.expressions.exprlang import ExprError

    try:
        value = compiled(text, names).evaluate({name: facts.get(name) for name in names})
    except ExprError as error:
        return f"the expression failed: {error}"
    return value if isinstance(value, bool) else f"the expression gave {str(value)[:80]!r}, not true or false"
