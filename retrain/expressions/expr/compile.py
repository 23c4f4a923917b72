"""expr-lang: a tree to closures, once; a closure takes the frame of an evaluation and gives a value.

Source: https://github.com/expr-lang/expr/blob/v1.17.7/compiler/compiler.go and `vm/vm.go`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, cast

from retrain.expressions.expr import nodes, operators
from retrain.expressions.expr.arithmetic import negate
from retrain.expressions.expr.builtins import BUILTINS
from retrain.expressions.expr.frame import Frame
from retrain.expressions.expr.members import GONE, converted, dynamic_member, member, method_call, path, slice_of
from retrain.expressions.expr.nodes import Node
from retrain.expressions.expr.predicates import LOOPS, Run
from retrain.expressions.expr.tokens import ExprError, fail
from retrain.expressions.expr.values import Function, Namespace, as_bool, go_type

MAX_TREE = 128
"""Levels of a tree. Each level is one Python call of an evaluation, so this keeps us off Python's own limit."""

Given = Mapping[str, Function | Namespace]


class Compiler:
    """Compiles one expression. `names` is filled with what only the environment can have."""

    def __init__(self, text: str, given: Given, *, json_numbers: bool = False, located: bool = False) -> None:
        self._text = text
        self._given = given
        self._json_numbers = json_numbers
        self._located = located
        self._scopes: list[tuple[str, int]] = []
        self._depth = 0
        self._count = 0
        self.slots = 0
        self.names: dict[str, None] = {}

    def compile(self, node: Node) -> Run:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_TREE:
            fail(self._text, node.at, f"the expression is nested deeper than {MAX_TREE}")
        run = _COMPILERS[type(node)](self, node)
        self._depth -= 1
        return self._where(run, node.at) if self._located else run

    def _where(self, run: Run, at: int) -> Run:
        """The same, with the place in the text in its errors."""

        def call(frame: Frame) -> object:
            try:
                return run(frame)
            except _Located:
                raise
            except ExprError as error:
                try:
                    fail(self._text, at, str(error))
                except ExprError as placed:
                    raise _Located(str(placed)) from None

        return call

    def _fail(self, node: Node, message: str) -> NoReturn:
        fail(self._text, node.at, message)

    def _all(self, parts: Sequence[Node]) -> list[Run]:
        out: list[Run] = []
        for part in parts:  # no comprehension: it would be one more Python call on each level
            out.append(self.compile(part))
        return out

    # --- leaves ---

    def literal(self, node: nodes.Literal) -> Run:
        value = node.value
        return lambda _: value

    def name(self, node: nodes.Name) -> Run:
        name = node.name
        slot = self._slot(name)
        if slot is not None:
            return lambda frame: frame.slots[slot]
        if name in self._given:
            value = self._given[name]
            return lambda _: value
        if name == "$env":
            return converted(lambda frame: frame.env) if self._json_numbers else lambda frame: frame.env
        self.names[name] = None
        return path(name, (), self._json_numbers)

    def _slot(self, name: str) -> int | None:
        return next((slot for known, slot in reversed(self._scopes) if known == name), None)

    def pointer(self, node: nodes.Pointer) -> Run:
        if node.name == "index":
            return lambda frame: frame.index
        if node.name == "acc":
            return lambda frame: frame.acc
        return lambda frame: frame.item

    # --- operators ---

    def unary(self, node: nodes.Unary) -> Run:
        if node.op == "-" and isinstance(node.value, nodes.Literal):
            try:
                return self.literal(nodes.Literal(negate(node.value.value), node.at))
            except ExprError as error:
                self._fail(node, str(error))
        return operators.PREFIX[node.op](self.compile(node.value))

    def binary(self, node: nodes.Binary) -> Run:
        if node.op in ("==", "!="):
            self._check_kinds(node)
        if constant := operators.WITH_CONSTANT.get(node.op):
            try:
                run = constant(node.right)
            except ExprError as error:
                self._fail(node.right, str(error))
            if run is not None:
                return run(self.compile(node.left))
        return operators.INFIX[node.op](self.compile(node.left), self.compile(node.right))

    def _check_kinds(self, node: nodes.Binary) -> None:
        left, right = _kind(node.left), _kind(node.right)
        if left and right and left != right:
            self._fail(node, f"invalid operation: {node.op} (mismatched types {left} and {right})")

    def logic(self, node: nodes.Logic) -> Run:
        parts = self._all(node.parts)
        return operators.both(parts) if node.op == "&&" else operators.either(parts)

    def conditional(self, node: nodes.Conditional) -> Run:
        test, then, otherwise = self._all((node.test, node.then, node.otherwise))

        def run(frame: Frame) -> object:
            value = test(frame)
            if value is not True and value is not False:
                value = as_bool(value, "a condition")
            return then(frame) if value else otherwise(frame)

        return run

    # --- members ---

    def member(self, node: nodes.Member) -> Run:
        return self._spine(node, chained=False)

    def slice(self, node: nodes.Slice) -> Run:
        start = self.compile(node.start) if node.start else None
        end = self.compile(node.end) if node.end else None
        return slice_of(self.compile(node.base), start, end)

    def chain(self, node: nodes.Chain) -> Run:
        inner = self._spine(node.inner, chained=True)

        def run(frame: Frame) -> object:
            value = inner(frame)
            return None if value is GONE else value

        return run

    def _spine(self, node: Node, *, chained: bool) -> Run:
        """A member or a method call; inside of a chain what comes before it may be GONE."""
        self._depth += 1
        self._count += 1
        if self._depth > MAX_TREE:
            self._fail(node, f"the expression is nested deeper than {MAX_TREE}")
        if isinstance(node, nodes.Member):
            run = self._rooted(node) or self._member(node, chained=chained)
        elif isinstance(node, nodes.Call) and isinstance(node.callee, nodes.Member):
            run = self._method(node, node.callee, chained=chained)
        else:
            run = self.compile(node)
        self._depth -= 1
        return run

    def _member(self, node: nodes.Member, *, chained: bool) -> Run:
        base = self._spine(node.base, chained=True) if chained else self.compile(node.base)
        if isinstance(node.key, nodes.Literal):
            return member(base, node.key.value, chained=chained, optional=node.optional)
        return dynamic_member(base, self.compile(node.key), chained=chained, optional=node.optional)

    def _rooted(self, node: nodes.Member) -> Run | None:
        """`name.a['b'].c`, the most usual of all, as one closure; None if it is something else."""
        keys: list[str | int] = []
        at: Node = node
        while isinstance(at, nodes.Member) and isinstance(at.key, nodes.Literal) and not at.optional:
            if type(at.key.value) is not str and type(at.key.value) is not int:
                return None
            keys.append(at.key.value)
            at = at.base
        if not isinstance(at, nodes.Name) or self._slot(at.name) is not None or at.name in self._given:
            return None
        if at.name == "$env":
            return None if not isinstance(keys[-1], str) else self._from_env(keys)
        self.names[at.name] = None
        return path(at.name, tuple(reversed(keys)), self._json_numbers)

    def _from_env(self, keys: list[str | int]) -> Run:
        name, *rest = reversed(keys)
        found = path(str(name), tuple(rest), self._json_numbers)
        return lambda frame: found(frame) if rest or name in frame.env else None

    # --- calls ---

    def call(self, node: nodes.Call) -> Run:
        if isinstance(node.callee, nodes.Member):
            return self._spine(node, chained=False)
        function = self.compile(node.callee) if not isinstance(node.callee, nodes.Name) else self._callee(node.callee)
        return _called(function, self._all(node.arguments))

    def _callee(self, node: nodes.Name) -> Run:
        if self._slot(node.name) is None and not isinstance(self._given.get(node.name), Function):
            known = [*self._given, *BUILTINS, *LOOPS]
            self._fail(node, f"unknown function {node.name}" + _meant(node.name, known))
        return self.compile(node)

    def _method(self, node: nodes.Call, callee: nodes.Member, *, chained: bool) -> Run:
        arguments = self._all(node.arguments)
        key = callee.key.value if isinstance(callee.key, nodes.Literal) else None
        if not isinstance(key, str):
            return _called(self.compile(callee), arguments)
        given = self._given.get(callee.base.name) if isinstance(callee.base, nodes.Name) else None
        if isinstance(given, Namespace):
            function = given.functions.get(key)
            if function is None:
                self._fail(callee, given.unknown(key))
            return _called(lambda _: function, arguments)
        base = self._spine(callee.base, chained=True) if chained else self.compile(callee.base)
        return method_call(base, key, arguments, optional=callee.optional)

    def builtin(self, node: nodes.Builtin) -> Run:
        if node.name in LOOPS:
            return self._loop(node)
        function = BUILTINS[node.name]
        if not function.least <= len(node.arguments) <= function.most:
            takes = f"{function.least}" if function.least == function.most else f"{function.least} to {function.most}"
            self._fail(node, f"{node.name}: invalid number of arguments (expected {takes}, got {len(node.arguments)})")
        return _spread(function.call, self._all(node.arguments))

    def _loop(self, node: nodes.Builtin) -> Run:
        source = self.compile(node.arguments[0])
        before = self._count
        rest = self._all(node.arguments[1:])
        return LOOPS[node.name]([source, *rest], max(1, (self._count - before) // 2))

    # --- making ---

    def list(self, node: nodes.ListNode) -> Run:
        items = self._all(node.items)

        def run(frame: Frame) -> object:
            frame.room(len(items))
            return [item(frame) for item in items]

        return run

    def map(self, node: nodes.MapNode) -> Run:
        keys, values = self._all([key for key, _ in node.pairs]), self._all([value for _, value in node.pairs])

        def run(frame: Frame) -> object:
            frame.room(len(keys))
            return {_text_key(key(frame)): value(frame) for key, value in zip(keys, values, strict=True)}

        return run

    def let(self, node: nodes.Let) -> Run:
        if node.name in self._given or node.name in BUILTINS or node.name in LOOPS:
            self._fail(node, f"cannot redeclare {node.name}, which is a function")
        if self._slot(node.name) is not None:
            self._fail(node, f"cannot redeclare variable {node.name}")
        value = self.compile(node.value)
        slot = self.slots
        self.slots += 1
        self._scopes.append((node.name, slot))
        body = self.compile(node.body)
        self._scopes.pop()

        def run(frame: Frame) -> object:
            frame.slots[slot] = value(frame)
            return body(frame)

        return run

    def sequence(self, node: nodes.Sequence) -> Run:
        *before, last = self._all(node.parts)

        def run(frame: Frame) -> object:
            for part in before:
                part(frame)
            return last(frame)

        return run


class _Located(ExprError):
    """An error that says already where it was."""


def _text_key(key: object) -> str:
    if type(key) is str:
        return key
    raise ExprError(f"a key of a map must be a text, not {go_type(key)}")


def _called(function: Run, arguments: list[Run]) -> Run:
    def run(frame: Frame) -> object:
        found = function(frame)
        if type(found) is not Function:
            raise ExprError(f"invalid operation: cannot call non-function of type {go_type(found)}")
        frame.spend(4)
        return found.call(frame, [argument(frame) for argument in arguments])

    return run


def _spread(call: Callable[..., object], arguments: list[Run]) -> Run:
    if len(arguments) == 1:
        only = arguments[0]
        return lambda frame: call(frame, only(frame))
    if len(arguments) == 2:
        one, two = arguments
        return lambda frame: call(frame, one(frame), two(frame))
    return lambda frame: call(frame, *[argument(frame) for argument in arguments])


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name[:100], known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _kind(node: Node) -> str:
    """What kind of value a node surely gives; empty where that depends on the data."""
    match node:
        case nodes.Literal(value=value) if value is not None:
            return "number" if type(value) in (int, float) else go_type(value)
        case nodes.Logic() | nodes.Unary(op="!"):
            return "bool"
        case nodes.Binary(op=op) if op in operators.GIVES_BOOL:
            return "bool"
        case nodes.Builtin(name=name):
            return operators.RESULT_KINDS.get(name, "")
        case _:
            return ""


_COMPILERS = cast(
    "dict[type, Callable[[Compiler, Node], Run]]",
    {
        nodes.Literal: Compiler.literal,
        nodes.Name: Compiler.name,
        nodes.Pointer: Compiler.pointer,
        nodes.Unary: Compiler.unary,
        nodes.Binary: Compiler.binary,
        nodes.Logic: Compiler.logic,
        nodes.Conditional: Compiler.conditional,
        nodes.Member: Compiler.member,
        nodes.Slice: Compiler.slice,
        nodes.Chain: Compiler.chain,
        nodes.Call: Compiler.call,
        nodes.Builtin: Compiler.builtin,
        nodes.ListNode: Compiler.list,
        nodes.MapNode: Compiler.map,
        nodes.Let: Compiler.let,
        nodes.Sequence: Compiler.sequence,
    },
)
