"""Random documents and edits: no stray byte, all else reads as before, twice is once, and the way back is exact."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from deploy.edits import edit, selector
from deploy.edits.edit import Change, EditRefused, Remove, Target, Undo, Value

KEYS = st.sampled_from(["alpha", "beta", "gamma", "delta", "on", "a.b/c", "1"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = TEXTS | st.integers(-(10**9), 10**9) | st.booleans() | st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
LEAVES = st.sampled_from(["plain", "'single'", '"dou ble"', "12", "1.5", "yes", "s3://a/b?c=d", "~", "{}", "[]"])
COMMENTS = st.sampled_from(["", "", "", "   # é 😀", "\t# tab", " # - x: y"])
BETWEEN = st.sampled_from(["", "", "", "# own line", "    # deeper: no", ""])

Path = tuple[str | int, ...]


class Writer:
    """A random YAML text, and the paths of its values."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.leaves: list[Path] = []
        self.mappings: list[Path] = []
        self.unit = draw(st.sampled_from([2, 4]))
        self.dash = draw(st.sampled_from([0, 2]))

    def mapping(self, path: Path, indent: int, depth: int, first: str = "") -> None:
        self.mappings.append(path)
        for key in self.draw(st.lists(KEYS, min_size=1, max_size=3, unique=True)):
            name = json.dumps(key) if key in {"on", "1"} else key
            self.member((*path, key), (first or " " * indent) + name + ":", indent, depth)
            first = ""

    def member(self, path: Path, head: str, indent: int, depth: int) -> None:
        kind = self.draw(st.sampled_from(["leaf", "leaf", "leaf", "mapping", "list", "flow", "block"]))
        comment = self.draw(COMMENTS)
        if kind == "mapping" and depth < 3:
            self.lines.append(head + comment)
            self.mapping(path, indent + self.unit, depth + 1)
        elif kind == "list" and depth < 3:
            self.lines.append(head + comment)
            for number in range(self.draw(st.integers(1, 3))):
                dash = " " * (indent + self.dash) + "- "
                self.mapping((*path, number), indent + self.dash + 2, depth + 1, dash)
        elif kind == "flow":
            self.lines.append(f"{head} {{x: 1, \"y\": 'old', z: [p, q]}}{comment}")
            self.mappings.append(path)
            self.leaves += [(*path, "x"), (*path, "y"), (*path, "z", 1)]
        elif kind == "block":
            self.lines += [f"{head} |", " " * (indent + self.unit) + "one # no comment", ""]
            self.leaves.append(path)
        else:
            self.lines.append(f"{head} {self.draw(LEAVES)}{comment}")
            if not self.lines[-1].removesuffix(comment).endswith(("{}", "[]")):
                self.leaves.append(path)
        if line := self.draw(BETWEEN):
            self.lines.append(line)


@st.composite
def documents(draw: st.DrawFn) -> tuple[bytes, Writer]:
    writer = Writer(draw)
    writer.mapping((), 0, 0)
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    text = newline.join([*writer.lines, "# tail"]) + draw(st.sampled_from(["", newline]))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode(), writer


def target(path: Path) -> Target:
    return Target(tuple(selector.Index(step) if isinstance(step, int) else selector.Key(step) for step in path))


def load(data: bytes) -> Any:
    return yaml.load(data.decode("utf-8-sig"), Loader=yaml.CBaseLoader)


def put(tree: Any, path: Path, value: Any) -> Any:
    """A copy with the value at the path."""
    if not path:
        return value
    tree = copy.copy(tree)
    tree[path[0]] = put(tree[path[0]] if len(path) > 1 else None, path[1:], value)
    return tree


def at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def assert_one_span(before: bytes, after: bytes, change: Change) -> None:
    """The texts differ by old_text -> new_text in one place."""
    old, new = change.old_text.encode(), change.new_text.encode()
    limit = min(len(before), len(after))
    head = next((n for n in range(limit) if before[n] != after[n]), limit)
    assert any(
        before[place:].startswith(old) and before[:place] + new + before[place + len(old) :] == after
        for place in range(head, -1, -1)
    )


def assert_edit(data: bytes, where: Target, what: edit.Edit, file: str = "m.yaml") -> tuple[bytes, Change]:
    after, (change,) = edit.apply(data, [(where, what)], file)
    assert_one_span(data, after, change)
    assert edit.apply(after, [(where, what)], file)[0] == after, "twice is once"
    if change.changed:
        undo = (
            Value(change.old, change.old_text)
            if change.anchor is None
            else Undo(
                change.made if change.made != "set" else "created", change.old_text, change.new_text, change.anchor
            )
        )
        assert edit.apply(after, [(where, undo)], file)[0] == data, "the way back is exact"
    return after, change


def assert_known(error: EditRefused, *reasons: str) -> None:
    assert any(reason in str(error) for reason in reasons), error


@given(documents(), VALUES, st.data())
def test_a_value_changes_and_nothing_else(document: tuple[bytes, Writer], value: Any, data: st.DataObject) -> None:
    text, writer = document
    assume(writer.leaves)
    path = data.draw(st.sampled_from(writer.leaves))
    try:
        after, change = assert_edit(text, target(path), Value(value))
    except EditRefused as error:
        # Blocks of lines do not take everything; whatever is refused is refused for that.
        assert_known(error, "block", "nothing was changed")
        return
    assert edit.read(after, target(path), "m.yaml") == change.new
    now = load(after)
    assert put(load(text), path, at(now, path)) == now


@given(documents(), VALUES, st.sampled_from([("new",), ("new", "deep"), ("new", "deep", "er")]), st.data())
def test_a_key_is_made_and_nothing_else(
    document: tuple[bytes, Writer], value: Any, more: Path, data: st.DataObject
) -> None:
    text, writer = document
    path = (*data.draw(st.sampled_from(writer.mappings)), *more)

    after, change = assert_edit(text, target(path), Value(value, create=True))

    assert change.made == "created"
    assert edit.read(after, target(path), "m.yaml") == change.new
    made = at(load(after), path[: len(path) - len(more) + 1])
    assert put(load(text), path[: len(path) - len(more) + 1], made) == load(after)


@given(documents(), st.data())
def test_a_key_is_removed_and_nothing_else(document: tuple[bytes, Writer], data: st.DataObject) -> None:
    text, writer = document
    named = [p for p in (*writer.leaves, *writer.mappings) if p and isinstance(p[-1], str)]
    assume(named)
    path = data.draw(st.sampled_from(named))
    try:
        after, change = assert_edit(text, target(path), Remove())
    except EditRefused as error:
        # Before an indented comment, a block of lines would take it in.
        assert_known(error, "a comment stands between", "would change more than this value")
        return

    expected = copy.deepcopy(load(text))
    del at(expected, path[:-1])[path[-1]]
    assert change.made == "removed"
    assert load(after) == expected


@given(documents(), st.lists(st.tuples(VALUES, st.sampled_from(["set", "create", "remove"])), max_size=4), st.data())
def test_several_edits_are_taken_back_in_reverse(
    document: tuple[bytes, Writer], wanted: list[tuple[Any, str]], data: st.DataObject
) -> None:
    text, writer = document
    edits: list[tuple[Target, edit.Edit]] = []
    for value, what in wanted:
        if what == "create":
            path = (*data.draw(st.sampled_from(writer.mappings)), data.draw(st.sampled_from(["new", "newer"])))
        else:
            path = data.draw(st.sampled_from([p for p in writer.leaves if isinstance(p[-1], str)] or [("new",)]))
        edits.append((target(path), Remove() if what == "remove" else Value(value, create=True)))
    try:
        after, changes = edit.apply(text, edits, "m.yaml")
    except EditRefused:
        return

    back: list[tuple[Target, edit.Edit]] = [
        (where, Value(c.old, c.old_text) if c.anchor is None else Undo(c.made, c.old_text, c.new_text, c.anchor))
        for (where, _), c in zip(edits, changes, strict=True)
        if c.changed
    ]  # type: ignore[arg-type]

    assert edit.apply(after, back[::-1], "m.yaml")[0] == text


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, JSONS, max_size=3), VALUES, st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_stays_json(body: dict[str, Any], value: Any, indent: Any, escaped: bool) -> None:
    body = {**body, "here": {"there": "old"}}
    text = json.dumps(body, indent=indent, ensure_ascii=escaped).encode("utf-8", "surrogatepass")

    after, _ = assert_edit(text, target(("here", "there")), Value(value), "m.json")
    more, _ = assert_edit(after, target(("here", "new", "er")), Value(value, create=True), "m.json")
    less, _ = assert_edit(more, target(("here", "there")), Remove(), "m.json")

    assert json.loads(after) == {**body, "here": {"there": value}}
    assert json.loads(less) == {**body, "here": {"new": {"er": value}}}


@given(VALUES, VALUES, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", " # c"]))
def test_toml_stays_toml(value: Any, other: Any, newline: str, comment: str) -> None:
    lines = ["# head", f'a = "old"{comment}', "[t]", f"b = {{x = 1, 'y' = 2}}{comment}", "[[l]]", "n = [1, 2]", ""]
    text = newline.join(lines).encode()
    known = tomllib.loads(text.decode())

    after, _ = assert_edit(text, target(("a",)), Value(value), "m.toml")
    more, _ = assert_edit(after, target(("t", "c", "d")), Value(other, create=True), "m.toml")
    more, _ = assert_edit(more, target(("t", "b", "z")), Value(other, create=True), "m.toml")
    less, _ = assert_edit(more, target(("t", "b", "x")), Remove(), "m.toml")

    assert tomllib.loads(after.decode()) == {**known, "a": value}
    assert tomllib.loads(less.decode()) == {**known, "a": value, "t": {"b": {"y": 2, "z": other}, "c": {"d": other}}}


CORE = [  # https://yaml.org/spec/1.2.2/#1032-tag-resolution
    r"null|Null|NULL|~|", r"true|True|TRUE|false|False|FALSE", r"[-+]?[0-9]+", r"0o[0-7]+", r"0x[0-9a-fA-F]+",
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", r"[-+]?(\.inf|\.Inf|\.INF)", r"\.nan|\.NaN|\.NAN",
]  # fmt: skip
TRICKY = st.text(
    st.sampled_from("0123456789+-.:_eExXoObBaAnNyY~<>=|#&*!%@`'\"[]{},?\\ \t\n\x85\u2028\u2029\ufeff"), max_size=12
)


@pytest.mark.parametrize("style", ["old", "'old'", '"old"'])
@given(text=TRICKY | TEXTS)
def test_what_is_written_is_that_text_for_yaml_1_1_and_1_2(style: str, text: str) -> None:
    after, _ = edit.apply(f"a: {style}\nb: {{c: {style}}}\n".encode(), [(target(("a",)), Value(text))], "m.yaml")
    after, _ = edit.apply(after, [(target(("b", "c")), Value(text))], "m.yaml")

    assert yaml.safe_load(after) == {"a": text, "b": {"c": text}}
    for event in yaml.parse(after.decode(), Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
            assert not any(re.fullmatch(pattern, event.value) for pattern in CORE), "a bare word is a string in 1.2 too"


SOUP = st.text(st.sampled_from("ab:{}[],-|>&*!#'\"= \n\r\t.1~?%\\é😀\x85\u2028"), max_size=60)
LINES = [
    "a:",
    "  b: 1",
    "- a: 1",
    "a: |",
    "  x",
    "",
    "# c",
    "{a: 1}",
    "a: {b: [1, {a: 2}]}",
    "---",
    "[a]",
    "a = 1",
    "\t",
    '"a": 1',
]
PATHS = ["a", "a.b", "a.b.c", "[0].a", "a[a=1].b", "a[^x]", "a|b", "a|b|a", "a.b[a=x].c", "[a=1].b"]


@given(
    SOUP | st.lists(st.sampled_from(LINES), max_size=8).map("\n".join),
    st.sampled_from(PATHS),
    st.sampled_from([Value("new"), Value("new", create=True), Value("x\ny", create=True), Value(1), Remove()]),
    st.sampled_from(["m.yaml", "m.json", "m.toml"]),
)
def test_any_text_is_edited_cleanly_or_refused(text: str, path: str, what: edit.Edit, file: str) -> None:
    where = Target(selector.parse(path))
    try:
        edit.apply(text.encode(), [(where, what)], file)
    except EditRefused as error:
        assert_known(error, f"{file}:")
        return
    assert_edit(text.encode(), where, what, file)
