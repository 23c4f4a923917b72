"""expr-lang, the language of expressions in Argo Workflows and Argo Events, compiled once to closures.

    compile_expr("body.score > 0.9 and body.name matches '^m-'").evaluate({"body": {"score": 0.95, "name": "m-1"}})
    compile_expr("inputs.parameters['my-x'] ?? 'none' | upper()").names        # ("inputs",)

An expression reads nothing but the environment that it is given, functions that were given, and the time if it was
given. Its work, its memory, its depth and its length have limits, so it always ends.

Where we differ from upstream (v1.17), on purpose:
- A whole number of the environment is an int unless `json_numbers`; whole floats of a result are ints (JSON has one
  kind of number). NaN and infinity are no results.
- A quoted text may hold line breaks; `countBy` exists; int(1e300) is an error, not a number without meaning.
- Maps keep the order of their keys; sort is stable. Times are as fine as a microsecond, from year 1 on, without a local
  zone; month and weekday are plain ints.
- Types are checked when values meet, not before; only `==` between kinds that can never be equal is refused at once.
- Predicates go through lists only; functions of sprig that change a map change a copy.

Source: https://expr-lang.org/docs/language-definition
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from retrain.events import JsonValue
from retrain.expressions.expr.builtins import BUILTINS
from retrain.expressions.expr.compile import Compiler, Given
from retrain.expressions.expr.frame import Frame, LimitError
from retrain.expressions.expr.functions import Callables, argo, given
from retrain.expressions.expr.nodes import Node
from retrain.expressions.expr.parser import parse
from retrain.expressions.expr.predicates import Run
from retrain.expressions.expr.text import as_result
from retrain.expressions.expr.tokens import ExprError

__all__ = ["Expr", "ExprError", "compile_expr"]


class Expr:
    """An expression, compiled. Get one from `compile_expr`."""

    __slots__ = ("_functions", "_json_numbers", "_located", "_root", "_run", "_slots", "names", "text")

    def __init__(self, text: str, root: Node, functions: Given, json_numbers: bool) -> None:
        compiler = Compiler(text, functions, json_numbers=json_numbers)
        self._run = compiler.compile(root)
        self._slots = compiler.slots
        self._root = root
        self._functions = functions
        self._json_numbers = json_numbers
        self._located: Run | None = None
        self.text = text
        self.names: tuple[str, ...] = tuple(compiler.names)
        """Names that the environment must have."""

    def evaluate(self, env: Mapping[str, JsonValue], *, now: datetime | None = None, seed: str = "") -> JsonValue:
        """The value for these names. `now` (aware) is what now() gives; chance, as in sprig.uuidv4, follows `seed`.

        The same arguments give the same value. Safe to call from several threads at once.

        Raises:
            ExprError: a name is missing, kinds do not fit an operator, or a limit is met.
        """
        try:
            return self._once(self._run, env, now, seed)
        except LimitError:
            raise
        except ExprError as error:
            raise self._placed(error, env, now, seed) from error.__cause__

    def _once(self, run: Run, env: Mapping[str, JsonValue], now: datetime | None, seed: str) -> JsonValue:
        frame = Frame(env if type(env) is dict else dict(env), self._slots, now, seed)
        try:
            value = run(frame)
            return value if value is True or value is False else as_result(frame, value)
        except RecursionError:
            raise ExprError("the expression is nested too deep for what called it") from None

    def _placed(self, error: ExprError, env: Mapping[str, JsonValue], now: datetime | None, seed: str) -> ExprError:
        """The error with the place in the text, which only a second, slower evaluation knows."""
        if self._located is None:
            compiler = Compiler(self.text, self._functions, json_numbers=self._json_numbers, located=True)
            self._located = compiler.compile(self._root)
        try:
            self._once(self._located, env, now, seed)
        except ExprError as placed:
            return placed
        return error


def compile_expr(text: str, functions: Callables | None = None, *, json_numbers: bool = False) -> Expr:
    """Compile an expression.

    `functions` (name to callable over JSON values, or to a mapping of such) replaces Argo's: asInt, asFloat, toJson,
    jsonpath and sprig. With `json_numbers` the whole numbers of the environment are float64, as they are in Go after
    reading JSON: `%` and bit functions refuse them, and string(1000000) is "1e+06".

    Raises:
        ExprError: what is wrong, with line and column.
    """
    available: Given = argo(with_sprig="sprig" in text) if functions is None else given(functions)
    try:
        return Expr(text, parse(text, BUILTINS, available), available, json_numbers)
    except RecursionError:
        raise ExprError("the expression is nested too deep for what called it") from None
