"""expr-lang: operators as closures, the usual cases first."""

from __future__ import annotations

from collections.abc import Callable

from retrain.expressions.expr import arithmetic, nodes, strings
from retrain.expressions.expr.arithmetic import equal, negate
from retrain.expressions.expr.frame import Frame
from retrain.expressions.expr.nodes import Node
from retrain.expressions.expr.predicates import Run
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import as_bool, go_type, is_number

_PLAIN = frozenset({int, float, str})

GIVES_BOOL = frozenset({"==", "!=", "<", ">", "<=", ">=", "in", "matches", "contains", "startsWith", "endsWith"})
RESULT_KINDS = {
    **dict.fromkeys(("len", "int", "float", "ceil", "floor", "round", "count", "indexOf", "lastIndexOf"), "number"),
    **dict.fromkeys(("mean", "median", "bitand", "bitor", "bitxor", "bitnand", "bitnot", "bitshl", "bitshr"), "number"),
    **dict.fromkeys(("string", "type", "trim", "trimPrefix", "trimSuffix", "upper", "lower", "replace"), "string"),
    **dict.fromkeys(("repeat", "join", "toJSON", "toBase64", "fromBase64"), "string"),
    **dict.fromkeys(("all", "any", "none", "one", "hasPrefix", "hasSuffix"), "bool"),
}


# --- prefixes -------------------------------------------------------------------------------------------------------


def _not(value: Run) -> Run:
    def run(frame: Frame) -> object:
        found = value(frame)
        return not (found if found is True or found is False else as_bool(found, "the operand of not"))

    return run


def _minus(value: Run) -> Run:
    return lambda frame: negate(value(frame))


def _plus(value: Run) -> Run:
    def run(frame: Frame) -> object:
        found = value(frame)
        if not is_number(found):
            raise ExprError(f"invalid operation: + {go_type(found)}")
        return found

    return run


PREFIX: dict[str, Callable[[Run], Run]] = {"!": _not, "-": _minus, "+": _plus}


# --- between two ----------------------------------------------------------------------------------------------------


def _infix(apply: Callable[[Frame, object, object], object]) -> Callable[[Run, Run], Run]:
    def make(left: Run, right: Run) -> Run:
        return lambda frame: apply(frame, left(frame), right(frame))

    return make


def _equal(left: Run, right: Run) -> Run:
    def run(frame: Frame) -> object:
        a, b = left(frame), right(frame)
        kind = type(a)
        return a == b if kind is type(b) and kind is int else equal(frame, a, b)

    return run


def _different(left: Run, right: Run) -> Run:
    return lambda frame: not equal(frame, left(frame), right(frame))


def _or_else(left: Run, right: Run) -> Run:
    def run(frame: Frame) -> object:
        value = left(frame)
        return right(frame) if value is None else value

    return run


INFIX: dict[str, Callable[[Run, Run], Run]] = {
    "==": _equal,
    "!=": _different,
    "<": _infix(arithmetic.less),
    ">": _infix(arithmetic.more),
    "<=": _infix(arithmetic.less_or_equal),
    ">=": _infix(arithmetic.more_or_equal),
    "in": _infix(arithmetic.contained),
    "matches": _infix(strings.matches),
    "contains": _infix(strings.contains),
    "startsWith": _infix(strings.starts_with),
    "endsWith": _infix(strings.ends_with),
    "..": _infix(arithmetic.number_range),
    "+": _infix(arithmetic.add),
    "-": _infix(arithmetic.subtract),
    "*": _infix(arithmetic.multiply),
    "/": _infix(arithmetic.divide),
    "%": _infix(arithmetic.modulo),
    "**": _infix(arithmetic.power),
    "??": _or_else,
}


def both(parts: list[Run]) -> Run:
    """`&&`: the value of the last is not looked at, as upstream."""
    *tests, last = parts

    def run(frame: Frame) -> object:
        for test in tests:
            value = test(frame)
            if not (value if value is True or value is False else as_bool(value, "an operand of &&")):
                return False
        return last(frame)

    return run


def either(parts: list[Run]) -> Run:
    *tests, last = parts

    def run(frame: Frame) -> object:
        for test in tests:
            value = test(frame)
            if value if value is True or value is False else as_bool(value, "an operand of ||"):
                return True
        return last(frame)

    return run


# --- with a constant on the right -----------------------------------------------------------------------------------

_Half = Callable[[Run], Run]


def _constant(node: Node, kinds: frozenset[type]) -> object:
    return node.value if isinstance(node, nodes.Literal) and type(node.value) in kinds else None


def _equal_constant(node: Node) -> _Half | None:
    value = _constant(node, _PLAIN)
    if value is None:
        return None
    if type(value) is str:
        return lambda left: lambda frame: left(frame) == value
    kind = type(value)

    def half(left: Run) -> Run:
        def run(frame: Frame) -> object:
            found = left(frame)
            return found == value if type(found) is kind else equal(frame, found, value)

        return run

    return half


def _different_constant(node: Node) -> _Half | None:
    make = _equal_constant(node)
    if make is None:
        return None

    def negated(left: Run) -> Run:
        same = make(left)
        return lambda frame: not same(frame)

    return negated


def _order_constant(
    compare: Callable[[object, object], bool], checked: Callable[[Frame, object, object], object]
) -> Callable[[Node], _Half | None]:
    def make(node: Node) -> _Half | None:
        value = _constant(node, _PLAIN)
        if value is None:
            return None
        kind = type(value)

        def half(left: Run) -> Run:
            def run(frame: Frame) -> object:
                found = left(frame)
                return compare(found, value) if type(found) is kind else checked(frame, found, value)

            return run

        return half

    return make


def _in_constant(node: Node) -> _Half | None:
    """`x in ["a", "b"]` by hash."""
    if not isinstance(node, nodes.ListNode) or not node.items:
        return None
    found = frozenset(item.value for item in node.items if isinstance(item, nodes.Literal) and type(item.value) is str)
    if len(found) < len(node.items):
        return None

    def half(left: Run) -> Run:
        def run(frame: Frame) -> object:
            value = left(frame)
            return type(value) is str and value in found

        return run

    return half


def _matches_constant(node: Node) -> _Half | None:
    value = _constant(node, frozenset({str}))
    if type(value) is not str:
        return None
    compiled = strings.pattern(value)
    return lambda left: lambda frame: strings.matches_pattern(frame, left(frame), compiled)


WITH_CONSTANT: dict[str, Callable[[Node], _Half | None]] = {
    "==": _equal_constant,
    "!=": _different_constant,
    "<": _order_constant(arithmetic.LESS, arithmetic.less),
    ">": _order_constant(arithmetic.MORE, arithmetic.more),
    "<=": _order_constant(arithmetic.LESS_OR_EQUAL, arithmetic.less_or_equal),
    ">=": _order_constant(arithmetic.MORE_OR_EQUAL, arithmetic.more_or_equal),
    "in": _in_constant,
    "matches": _matches_constant,
}
