"""expr-lang: functions that look at one element of a list after the other with a predicate.

Each entry of `LOOPS` takes the compiled arguments and the work of one turn, and gives the closure. The element is in
`frame.item`, its place in `frame.index`, what reduce has so far in `frame.acc`; a nested loop puts them back.

Source: `BuiltinNode` of https://github.com/expr-lang/expr/blob/v1.17.7/compiler/compiler.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from retrain.expressions.expr.arithmetic import add
from retrain.expressions.expr.frame import Frame
from retrain.expressions.expr.lists import list_of, sorted_by
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import AnyMap, as_bool, map_key

Run = Callable[[Frame], object]
Loop = Callable[[list[Run], int], Run]


def _test(value: object) -> bool:
    return value if value is True or value is False else as_bool(value, "a predicate")


def _turns(frame: Frame, source: Run, cost: int, backwards: bool = False) -> Iterator[object]:
    """Each element, while the frame points at it."""
    items = list_of(source(frame), "go through")
    saved = frame.item, frame.index, frame.acc
    for at in range(len(items) - 1, -1, -1) if backwards else range(len(items)):
        frame.spend(cost)
        frame.index = at
        frame.item = items[at]
        yield items[at]
    frame.item, frame.index, frame.acc = saved


def _search(source: Run, predicate: Run, cost: int, backwards: bool) -> Callable[[Frame], tuple[object, int] | None]:
    """The first element that passes, with its index."""

    def run(frame: Frame) -> tuple[object, int] | None:
        saved = frame.item, frame.index, frame.acc
        found = None
        for item in _turns(frame, source, cost, backwards):
            if _test(predicate(frame)):
                found = item, frame.index
                break
        frame.item, frame.index, frame.acc = saved
        return found

    return run


def _negated(predicate: Run) -> Run:
    return lambda frame: not _test(predicate(frame))


def _all(args: list[Run], cost: int) -> Run:
    search = _search(args[0], _negated(args[1]), cost, backwards=False)
    return lambda frame: search(frame) is None


def _any(args: list[Run], cost: int) -> Run:
    search = _search(args[0], args[1], cost, backwards=False)
    return lambda frame: search(frame) is not None


def _none(args: list[Run], cost: int) -> Run:
    search = _search(args[0], args[1], cost, backwards=False)
    return lambda frame: search(frame) is None


def _find(part: int, backwards: bool) -> Loop:
    """`part` 0: the element, 1: its index."""

    def make(args: list[Run], cost: int) -> Run:
        search = _search(args[0], args[1], cost, backwards)

        def run(frame: Frame) -> object:
            found = search(frame)
            return None if found is None else found[part]

        return run

    return make


def _one(args: list[Run], cost: int) -> Run:
    count = _count(args, cost)
    return lambda frame: count(frame) == 1


def _count(args: list[Run], cost: int) -> Run:
    source = args[0]
    predicate: Run = args[1] if len(args) > 1 else lambda frame: frame.item

    def run(frame: Frame) -> object:
        return sum(_test(predicate(frame)) for _ in _turns(frame, source, cost))

    return run


def _filter(args: list[Run], cost: int) -> Run:
    source, predicate = args

    def run(frame: Frame) -> object:
        out = [item for item in _turns(frame, source, cost) if _test(predicate(frame))]
        frame.room(len(out))
        return out

    return run


def _map(args: list[Run], cost: int) -> Run:
    source, change = args

    def run(frame: Frame) -> object:
        out = [change(frame) for _ in _turns(frame, source, cost)]
        frame.room(len(out))
        return out

    return run


def _sum(args: list[Run], cost: int) -> Run:
    source = args[0]
    value: Run = args[1] if len(args) > 1 else lambda frame: frame.item

    def run(frame: Frame) -> object:
        total: object = 0
        for _ in _turns(frame, source, cost):
            total = add(frame, value(frame), total)
        return total

    return run


def _group_by(args: list[Run], cost: int) -> Run:
    source, key = args

    def run(frame: Frame) -> object:
        groups: dict[object, list[object]] = {}
        out = AnyMap()
        for item in _turns(frame, source, cost):
            found = key(frame)
            frame.touch(found)
            groups.setdefault(map_key(out, found), []).append(item)
            frame.items_left -= 1
        frame.room(len(groups))
        out.update(groups)
        return out

    return run


def _count_by(args: list[Run], cost: int) -> Run:
    group = _group_by(args, cost)

    def run(frame: Frame) -> object:
        groups = group(frame)
        assert isinstance(groups, AnyMap)
        return AnyMap((key, len(list_of(items, "count"))) for key, items in groups.items())

    return run


def _sort_by(args: list[Run], cost: int) -> Run:
    source, by = args[:2]
    order: Run = args[2] if len(args) > 2 else lambda _: "asc"

    def run(frame: Frame) -> object:
        direction = order(frame)
        items: list[object] = []
        values: list[object] = []
        for item in _turns(frame, source, cost):
            items.append(item)
            values.append(by(frame))
        frame.room(len(items))
        return sorted_by(frame, items, values, direction)

    return run


def _reduce(args: list[Run], cost: int) -> Run:
    source, step = args[:2]
    initial = args[2] if len(args) > 2 else None

    def run(frame: Frame) -> object:
        acc = None if initial is None else initial(frame)
        begun = initial is not None
        for item in _turns(frame, source, cost):
            if begun:
                frame.acc = acc
                acc = step(frame)
            else:
                acc, begun = item, True
        if not begun:
            raise ExprError("reduce of empty array with no initial value")
        return acc

    return run


LOOPS: dict[str, Loop] = {
    "all": _all,
    "any": _any,
    "none": _none,
    "one": _one,
    "filter": _filter,
    "map": _map,
    "count": _count,
    "sum": _sum,
    "find": _find(0, backwards=False),
    "findIndex": _find(1, backwards=False),
    "findLast": _find(0, backwards=True),
    "findLastIndex": _find(1, backwards=True),
    "groupBy": _group_by,
    "countBy": _count_by,
    "sortBy": _sort_by,
    "reduce": _reduce,
}
