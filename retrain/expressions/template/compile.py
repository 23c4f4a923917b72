"""Blocks as closures: `if`, `with`, `range`, `template` and plain text.

Source: https://pkg.go.dev/text/template#hdr-Actions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from retrain.expressions.template.frame import (
    BREAK,
    CONTINUE,
    UNSET,
    Body,
    Eval,
    Exec,
    Frame,
    Signal,
    Source,
)
from retrain.expressions.template.functions import Function
from retrain.expressions.template.meter import MAX_CALLS
from retrain.expressions.template.nodes import (
    Action,
    Call,
    Choice,
    Leave,
    Node,
    Operand,
    Pipe,
    Range,
    Text,
    Tree,
    last_of,
)
from retrain.expressions.template.pipes import Pipes
from retrain.expressions.template.show import quote, show
from retrain.expressions.template.values import MISSING, CallError, Int, Value, truth


def compile_trees(
    trees: Mapping[str, Tree], name: str, text: str, functions: Mapping[str, Function]
) -> dict[str, Body]:
    """All templates of one text, ready to run."""
    bodies: dict[str, Body] = {}
    for tree in trees.values():
        blocks = _Blocks(Source(name, text, tree.name), Pipes(Source(name, text, tree.name), functions))
        bodies[tree.name] = Body(tree.slots, blocks.sequence(tree.body))
    return bodies


@dataclass(frozen=True, slots=True)
class _Blocks:
    source: Source
    pipes: Pipes

    def sequence(self, nodes: Sequence[Node]) -> Exec:
        steps = [self._node(node) for node in nodes]
        if len(steps) == 1:
            return steps[0]

        def run(frame: Frame, dot: Value) -> Signal:
            for step in steps:
                signal = step(frame, dot)
                if signal is not None:
                    return signal
            return None

        return run

    def _inside(self, *, of_range: bool) -> _Blocks:
        return replace(self, pipes=replace(self.pipes, in_range=of_range))

    def _node(self, node: Node) -> Exec:
        match node:
            case Text():
                return _text(node.text)
            case Action():
                return self._action(node)
            case Choice():
                return self._choice(node)
            case Range():
                return self._range(node)
            case Leave():
                signal = BREAK if node.kind == "break" else CONTINUE
                return lambda _frame, _dot: signal
            case Call():
                return self._call(node)

    def _action(self, node: Action) -> Exec:
        evaluate = self.pipes.pipe(node.pipe)
        silent = bool(node.pipe.declares)

        def act(frame: Frame, dot: Value) -> Signal:
            self._step(frame, node.pipe)
            value = evaluate(frame, dot)
            if not silent:
                frame.run.write(value if type(value) is str else self._shown(node.pipe, value))
            return None

        return act

    def _shown(self, node: Pipe, value: Value) -> str:
        if value is MISSING:
            return "<no value>"
        try:
            return show(value)
        except CallError as error:
            raise self.source.error(node, str(error)) from None

    def _step(self, frame: Frame, node: Pipe) -> None:
        meter = frame.run.meter
        meter.left -= 1
        if meter.left < 0:
            raise self.source.error(node, "it does too much: the limit of steps is used up")

    def _choice(self, node: Choice) -> Exec:
        sets_dot = node.kind == "with"
        inner = self._inside(of_range=False) if sets_dot else self
        branches = [(pipe, self.pipes.pipe(pipe), inner.sequence(body)) for pipe, body in node.branches]
        otherwise = self.sequence(node.otherwise) if node.otherwise else None

        def choose(frame: Frame, dot: Value) -> Signal:
            for pipe, evaluate, body in branches:
                self._step(frame, pipe)
                value = evaluate(frame, dot)
                if truth(value):
                    return body(frame, value if sets_dot else dot)
            return otherwise(frame, dot) if otherwise else None

        return choose

    # --- range ---

    def _range(self, node: Range) -> Exec:
        # As in Go, the variables have the whole value first: an `else` sees it.
        evaluate = self.pipes.pipe(node.pipe)
        turn = self._turn(node)
        otherwise = self.sequence(node.otherwise) if node.otherwise else None
        several = len(node.pipe.declares) > 1
        last = last_of(node.pipe)

        def loop(frame: Frame, dot: Value) -> Signal:
            self._step(frame, node.pipe)
            value = evaluate(frame, dot)
            ran = False
            for index, item in self._items(last, value, several):
                ran = True
                self._step(frame, node.pipe)
                if turn(frame, index, item) is BREAK:
                    break
            return otherwise(frame, dot) if otherwise and not ran else None

        return loop

    def _turn(self, node: Range) -> Callable[[Frame, Value, Value], Signal]:
        body = self._inside(of_range=True).sequence(node.body)
        targets = self.pipes.targets(node.pipe)
        if not targets:
            return lambda frame, _index, item: body(frame, item)
        put_item = targets[-1]
        put_index = targets[0] if len(targets) > 1 else None

        def turn(frame: Frame, index: Value, item: Value) -> Signal:
            put_item(frame, item)
            if put_index is not None:
                put_index(frame, index)
            return body(frame, item)

        return turn

    def _items(self, node: Operand, value: Value, several: bool) -> Iterable[tuple[Value, Value]]:
        if isinstance(value, list):
            return ((Int(at), item) for at, item in enumerate(value))
        if isinstance(value, dict):
            return sorted(value.items(), key=_key)
        if value is MISSING:
            return ()
        if isinstance(value, Int):
            if several:
                raise self.source.error(node, f"can't use {show(value)} to iterate over more than one variable")
            kind = type(value)
            return ((MISSING, kind(at)) for at in range(value))
        raise self.source.error(node, f"range can't iterate over {show(value)}")

    # --- calls ---

    def _call(self, node: Call) -> Exec:
        evaluate: Eval = self.pipes.pipe(node.pipe) if node.pipe else lambda _frame, _dot: MISSING

        def call(frame: Frame, dot: Value) -> Signal:
            run = frame.run
            body = run.bodies.get(node.name)
            if body is None:
                raise self.source.error(node, f"template {quote(node.name)} not defined")
            if frame.depth == MAX_CALLS:
                raise self.source.error(node, f"exceeded maximum template depth ({MAX_CALLS})")
            run.meter.left -= 1
            value = evaluate(frame, dot)
            slots: list[Value] = [UNSET] * body.slots
            slots[0] = value
            body.run(Frame(slots, run, frame.depth + 1), value)
            return None

        return call


def _key(pair: tuple[str, Value]) -> str:
    return pair[0]


def _text(text: str) -> Exec:
    def write(frame: Frame, _dot: Value) -> Signal:
        frame.run.write(text)
        return None

    return write
