"""Pipelines, commands and operands as closures: each takes the frame and dot, and gives a value.

Source: https://pkg.go.dev/text/template#hdr-Pipelines
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from retrain.expressions.template.frame import UNSET, Eval, Frame, Source
from retrain.expressions.template.functions import NILABLE, TYPES, Function, fit, weigh
from retrain.expressions.template.methods import method_of
from retrain.expressions.template.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Number,
    Operand,
    Pipe,
    String,
    Variable,
    last_of,
)
from retrain.expressions.template.values import (
    MISSING,
    CallError,
    Duration,
    Int,
    Int64,
    NilMap,
    Value,
    truth,
    type_name,
)

_INTEGERS: Final[Mapping[str, type[Int]]] = {"int": Int, "int64": Int64, "duration": Duration}
_NOTHING: Final = object()
"""No value comes from the command before."""


@dataclass(frozen=True, slots=True)
class Pipes:
    """Compiles what stands in one template."""

    source: Source
    functions: Mapping[str, Function]
    in_range: bool = False
    """Whether dot is an element of a list, whose type Go's messages do not tell."""

    # --- pipelines ---

    def pipe(self, pipe: Pipe) -> Eval:
        """The value of a pipeline, with its variables set."""
        commands = [self._command(command, piped=at > 0) for at, command in enumerate(pipe.commands)]
        first, later = commands[0], commands[1:]
        targets = [self._target(variable) for variable in pipe.declares]
        if not later and not targets:

            def single(frame: Frame, dot: Value) -> Value:
                value = first(frame, dot, _NOTHING)
                return MISSING if value is None else value

            return single

        def run(frame: Frame, dot: Value) -> Value:
            value = first(frame, dot, _NOTHING)
            for command in later:
                value = command(frame, dot, MISSING if value is None else value)
            if value is None:
                value = MISSING
            for target in targets:
                target(frame, value)
            return value

        return run

    def targets(self, pipe: Pipe) -> list[Callable[[Frame, Value], None]]:
        """How to set the variables of a `range`, one after the other."""
        return [self._target(variable) for variable in pipe.declares]

    def _target(self, variable: Variable) -> Callable[[Frame, Value], None]:
        slot = variable.slot

        def put(frame: Frame, value: Value) -> None:
            if slot is None:
                raise self.source.error(variable, f"undefined variable: {variable.name}")
            frame.slots[slot] = value

        return put

    # --- commands ---

    def _command(self, command: Command, *, piped: bool) -> Callable[[Frame, Value, Value], Value]:
        first = command.args[0]
        if isinstance(first, Identifier):
            return self._call(first, command, command.args[1:], piped=piped)
        if isinstance(first, Nil):
            return self._fails(first, "nil is not a command")
        if isinstance(first, Field | Chain | Variable) and first.names:
            return self._chain(first, command, piped=piped)
        if piped or len(command.args) > 1:
            return self._fails(first, f"can't give argument to non-function {first}")
        evaluate = self.operand(first)
        return lambda frame, dot, _: evaluate(frame, dot)

    def _fails(self, node: Operand | Pipe, message: str) -> Callable[[Frame, Value, Value], Value]:
        def fail(_frame: Frame, _dot: Value, _piped: Value) -> Value:
            raise self.source.error(node, message)

        return fail

    def _chain(
        self, node: Field | Chain | Variable, command: Command, *, piped: bool
    ) -> Callable[[Frame, Value, Value], Value]:
        if not piped and len(command.args) == 1:
            evaluate = self.operand(node)
            return lambda frame, dot, _: evaluate(frame, dot)
        start = self._start(node)
        dynamic = self.in_range and isinstance(node, Field)
        walk = _walker(self.source, node, node.names[:-1], dynamic=dynamic)
        last = node.names[-1]
        dynamic = dynamic or len(node.names) > 1

        def call(frame: Frame, dot: Value, final: Value) -> Value:
            receiver = walk(start(frame, dot))
            method = method_of(receiver, last)
            if method is None:
                if isinstance(receiver, dict):
                    raise self.source.error(node, f"{last} is not a method but has arguments")
                return _no_field(self.source, node, receiver, last, dynamic=dynamic)
            args = [fit_at(frame, dot) for fit_at in self._args(method, command.args[1:], offset=1)]
            args += [] if final is _NOTHING else [final]
            return self._method(node, method, receiver, args)

        return call

    def _method(self, node: Operand, method: Function, receiver: Value, args: Sequence[Value]) -> Value:
        if len(args) != len(method.params) - 1:
            message = f"wrong number of args for {method.name}: want {len(method.params) - 1} got {len(args)}"
            raise self.source.error(node, message)
        try:
            return method.call(receiver, *(fit(arg, method.params[at]) for at, arg in enumerate(args, 1)))
        except CallError as error:
            raise self.source.error(node, f"error calling {method.name}: {error}") from None

    # --- operands ---

    def operand(self, node: Operand | Pipe) -> Eval:
        """The value of an operand where anything goes."""
        match node:
            case Dot():
                return lambda _frame, dot: dot
            case Bool() | Number() | String():
                value = node.value
                return lambda _frame, _dot: value
            case Variable() if not node.names:
                return self._variable(node)
            case Field() | Chain() | Variable():
                return self._fields(node)
            case Identifier():
                call = self._call(node, node, (), piped=False)
                return lambda frame, dot: call(frame, dot, _NOTHING)
            case Pipe():
                return self.pipe(node)
            case Nil():
                return lambda _frame, _dot: None

    def _variable(self, node: Variable) -> Eval:
        slot = node.slot

        def read(frame: Frame, _dot: Value) -> Value:
            value = UNSET if slot is None else frame.slots[slot]
            if value is UNSET:
                raise self.source.error(node, f"undefined variable: {node.name}")
            return value

        return read

    def _start(self, node: Field | Chain | Variable) -> Eval:
        match node:
            case Field():
                return lambda _frame, dot: dot
            case Variable():
                return self._variable(node)
            case Chain():
                return self.operand(node.start)

    def _fields(self, node: Field | Chain | Variable) -> Eval:
        walk = _walker(self.source, node, node.names, dynamic=self.in_range and isinstance(node, Field))
        if isinstance(node, Field):
            return lambda _frame, dot: walk(dot)
        if isinstance(node, Variable) and node.slot == 0:
            return lambda frame, _dot: walk(frame.slots[0])
        start = self._start(node)
        return lambda frame, dot: walk(start(frame, dot))

    # --- calls ---

    def _call(
        self, name: Identifier, whole: Command | Identifier, args: Sequence[Operand | Pipe], *, piped: bool
    ) -> Callable[[Frame, Value, Value], Value]:
        if name.name in ("and", "or"):
            return self._logic(name, args, piped=piped)
        function = self.functions[name.name]
        count = len(args) + piped
        wanted = len(function.params)
        if function.rest is not None and count < wanted:
            return self._fails(name, f"wrong number of args for {name}: want at least {wanted} got {len(args)}")
        if function.rest is None and count != wanted:
            return self._fails(name, f"wrong number of args for {name}: want {wanted} got {count}")
        return self._calling(function, name, whole, args)

    def _calling(
        self, function: Function, name: Identifier, whole: Command | Identifier, args: Sequence[Operand | Pipe]
    ) -> Callable[[Frame, Value, Value], Value]:
        source = self.source
        fitted = self._args(function, args)
        final_kind = function.kind_of(len(args))
        last = last_of(args[-1]) if args else name
        invoke = function.call
        around = function.around

        def call(frame: Frame, dot: Value, final: Value) -> Value:
            values = [arg(frame, dot) for arg in fitted]
            if final is not _NOTHING:
                try:
                    values.append(fit(final, final_kind))
                except CallError as error:
                    raise source.error(last, str(error)) from None
            try:
                frame.run.meter.spend(1 + sum(map(weigh, values)))
                result = invoke(*values, around=frame.run.around) if around else invoke(*values)
                frame.run.meter.spend(weigh(result))
            except CallError as error:
                raise source.error(whole, f"error calling {name}: {error}") from None
            return result

        return call

    def _args(self, function: Function, args: Sequence[Operand | Pipe], offset: int = 0) -> list[Eval]:
        return [self._arg(node, function.kind_of(at)) for at, node in enumerate(args, offset)]

    def _arg(self, node: Operand | Pipe, kind: str) -> Eval:
        """An operand as an argument of this type."""
        if isinstance(node, Nil):
            return self._nil(node, kind)
        if isinstance(node, Bool | Number | String) and kind not in ("any", "value"):
            return self._literal(node, kind)
        evaluate = self.operand(node)
        if kind == "value" or isinstance(node, Bool | Number | String):
            return evaluate
        if kind == "any":

            def anything(frame: Frame, dot: Value) -> Value:
                value = evaluate(frame, dot)
                return None if value is MISSING else value

            return anything

        def fitting(frame: Frame, dot: Value) -> Value:
            value = evaluate(frame, dot)
            if kind == "string" and type(value) is str:
                return value
            try:
                return fit(value, kind)
            except CallError as error:
                raise self.source.error(last_of(node), str(error)) from None

        return fitting

    def _nil(self, node: Nil, kind: str) -> Eval:
        if kind not in NILABLE:
            fail = self._fails(node, f"cannot assign nil to {TYPES[kind]}")
            return lambda frame, dot: fail(frame, dot, None)
        value: Value = NilMap() if kind == "map" else MISSING if kind == "value" else None
        return lambda _frame, _dot: value

    def _literal(self, node: Bool | Number | String, kind: str) -> Eval:
        wanted = {"int": "integer", "int64": "integer", "duration": "integer", "float64": "float"}.get(kind, kind)
        value: Value = None
        match node:
            case String() if kind == "string":
                value = node.value
            case Bool() if kind == "bool":
                value = node.value
            case Number() if wanted == "integer" and node.whole is not None:
                value = _INTEGERS[kind](node.whole)
            case Number() if kind == "float64":
                value = node.real
            case _:
                pass
        if value is not None:
            return lambda _frame, _dot: value
        odd = kind in ("map", "time", "version")
        message = f"can't handle {node} for arg of type {TYPES[kind]}" if odd else f"expected {wanted}; found {node}"
        fail = self._fails(node, message)
        return lambda frame, dot: fail(frame, dot, None)

    def _logic(
        self, name: Identifier, args: Sequence[Operand | Pipe], *, piped: bool
    ) -> Callable[[Frame, Value, Value], Value]:
        if not args and not piped:
            return self._fails(name, f"wrong number of args for {name}: want at least 1 got 0")
        fitted = [self._arg(node, "value") for node in args]
        decisive = name.name == "or"

        def call(frame: Frame, dot: Value, final: Value) -> Value:
            value: Value = None
            for arg in fitted:
                value = arg(frame, dot)
                if truth(value) is decisive:
                    return value
            return value if final is _NOTHING else final

        return call


# --- fields ---------------------------------------------------------------------------------------------------------


def _walker(
    source: Source, node: Field | Chain | Variable, names: Sequence[str], *, dynamic: bool
) -> Callable[[Value], Value]:
    """From a value along the names. A missing key makes everything behind it missing; behind a nil it is an error."""

    def walk(value: Value) -> Value:
        inside = dynamic
        for name in names:
            if type(value) is dict:
                value = value.get(name, MISSING)
            elif value is MISSING:
                return MISSING
            else:
                value = _field(source, node, value, name, inside)
            inside = True
        return value

    return walk


def _field(source: Source, node: Field | Chain | Variable, value: Value, name: str, inside: bool) -> Value:
    if isinstance(value, dict):
        return value.get(name, MISSING)
    method = method_of(value, name)
    if method is None:
        return _no_field(source, node, value, name, dynamic=inside)
    if len(method.params) > 1:
        raise source.error(node, f"wrong number of args for {name}: want {len(method.params) - 1} got 0")
    try:
        return method.call(value)
    except CallError as error:
        raise source.error(node, f"error calling {name}: {error}") from None


def _no_field(source: Source, node: Field | Chain | Variable, value: Value, name: str, *, dynamic: bool) -> Value:
    if value is MISSING:
        return MISSING
    if value is None:
        raise source.error(node, f"nil pointer evaluating interface {{}}.{name}")
    kind = "interface {}" if dynamic and not isinstance(value, Int) else type_name(value)
    raise source.error(node, f"can't evaluate field {name} in type {kind}")
