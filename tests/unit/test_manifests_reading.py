"""YAML is read with a place for every value and every complaint, and no input harms the reader."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.manifests import to_yaml
from retrain.manifests.reading import MAX_ALIASED, MAX_DEPTH, Unreadable, decode, read

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="ascii")), inner, max_size=4)
    ),
    max_leaves=20,
)


def values(text: str) -> list[object]:
    return [document.value for document in read(text)]


def complaints(text: str) -> list[str]:
    """`line:column code message` of everything wrong, as the user meets it."""
    found: list[Unreadable] = []
    try:
        for document in read(decode(text.encode(errors="surrogatepass"))):
            found += document.complaints
    except Unreadable as error:
        found.append(error)
    return [f"{one.line}:{one.column} {one.code} {one.message}" for one in found]


BROKEN = {
    "a tab": ("a:\n\tb: 1", "2:1 bad-yaml not YAML: a tab; YAML is indented with spaces"),
    "a reserved character": ("a: @b", "1:4 bad-yaml not YAML: a value cannot start with '@'; put it in quotes"),
    "two colons": (
        "a: b: c",
        "1:5 bad-yaml not YAML: mapping values are not allowed in this context "
        "(a second ': ' in a value that is not quoted, or a wrong indentation)",
    ),
    "an open quote": (
        "a: 'x\nb: 1\n",
        "3:1 bad-yaml not YAML: found unexpected end of stream while scanning a quoted scalar that starts in line 1 "
        "(a quote or bracket is not closed)",
    ),
    "a line further left": (
        "  a: 1\nb: 2",
        "2:1 bad-yaml not YAML: did not find expected <document start> (the document ended before this line, "
        "which stands further left than its first one)",
    ),
    "a duplicate key": (
        "a: 1\nb: 2\na: 3",
        "3:1 duplicate-key the key 'a' is there twice: first in line 1, again in line 3",
    ),
    "a duplicate after stringification": (
        "a:\n  1: x\n  '1': y",
        "3:3 duplicate-key the key '1' is there twice: first in line 2, again in line 3",
    ),
    "a template as key": (
        "value: {{inputs.parameters.x}}",
        "1:9 bad-key a key must be text, not a mapping or a list; "
        'a value that starts with {{ must be quoted: "{{...}}"',
    ),
    "an unknown alias": ("a: *nope", "1:4 unknown-alias *nope has no anchor &nope before it"),
    "a recursive alias": ("a: &x [1, *x]", "1:11 recursive-alias *x stands inside its own anchor &x"),
    "a merge of text": (
        "b:\n  <<: text",
        "2:7 bad-merge << takes a mapping or a list of mappings, mostly an alias like *base",
    ),
    "a key before the merge that has it": (
        "a: &x {p: 1}\nb:\n  p: 3\n  <<: *x",
        "4:7 duplicate-key the key 'p' stands before a << that has it too; put << first, so that the key wins",
    ),
    "a control character": (
        "a: 1\nb: x\x01",
        "2:5 bad-character the control character U+0001 is not allowed; write it as an escape in double quotes",
    ),
    "a lone surrogate": ("a: \ud800", "1:4 bad-encoding byte 0xed is not UTF-8; save the file as UTF-8"),
    "no JSON number": ("a: .inf", "1:4 bad-scalar JSON has no infinity and no NaN; quote it if it is meant as text"),
}


@pytest.mark.parametrize(("text", "complaint"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_said_with_its_place(text, complaint):
    assert complaints(text) == [complaint]


def test_a_file_in_another_encoding_is_said():
    with pytest.raises(Unreadable, match=r"^byte 0xff is not UTF-8; save the file as UTF-8$") as caught:
        decode("ok: 1\né: ".encode() + b"\xff")
    assert (caught.value.line, caught.value.column) == (2, 4)

    with pytest.raises(Unreadable, match=r"^this is UTF-16; save it as UTF-8$"):
        decode("a: 1".encode("utf-16"))


def test_a_byte_order_mark_is_tolerated():
    assert values(decode(b"\xef\xbb\xbfa: 1")) == [{"a": 1}]


def test_a_billion_laughs_are_refused_at_once():
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]

    (complaint,) = complaints("\n".join(lines))

    assert complaint.endswith(f"too-many-aliases the aliases stand for more than {MAX_ALIASED:,} values")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_deep_nesting_is_refused_before_it_hurts(text):
    (complaint,) = complaints(text)

    assert f"nested deeper than {MAX_DEPTH} levels" in complaint or "bad-key" in complaint or "bad-yaml" in complaint


def test_a_document_may_be_as_deep_as_the_limit():
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert values(text) == [json.loads(text)]


def test_many_documents_are_read_and_empty_ones_left_out():
    assert values("---\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n") == [{"a": 1}, {"b": 2}]
    assert values("") == []


def test_documents_before_a_break_are_given():
    reading = read("a: 1\n---\nb: 'x")

    assert next(reading).value == {"a": 1}
    with pytest.raises(Unreadable):
        next(reading)


def test_an_alias_is_a_copy():
    (value,) = values("a: &x {p: [1]}\nb: *x")
    value["a"]["p"].append(2)

    assert value["b"] == {"p": [1]}


def test_merges_give_what_the_mapping_does_not_say_itself():
    assert values("a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3")[0]["b"] == {"p": 1, "q": 3}
    assert values("a: &x {p: 1}\nc: &y {p: 2, r: 3}\nb:\n  <<: [*x, *y]")[0]["b"] == {"p": 1, "r": 3}
    assert values("b:\n  '<<': {a: 1}") == [{"b": {"<<": {"a": 1}}}]


def test_json_with_escapes_that_yaml_does_not_know_is_read():
    text = json.dumps({"a": "😀/\\ud83d\\ude00", "b": "\U00010000"}).replace("/", "\\/")

    assert values(text) == [json.loads(text)]


def test_indented_json_with_tabs_is_read():
    value = {"a": [1, {"b": None}], "c": "x"}

    assert values(json.dumps(value, indent="\t")) == [value]


@given(JSON)
def test_json_written_as_yaml_is_read_back(value):
    assert values(to_yaml({"v": value, "w": [value]})) == [{"v": value, "w": [value]}]


@given(JSON)
def test_json_is_yaml(value):
    assert values(json.dumps({"v": value})) == [{"v": value}]


def test_line_breaks_that_only_yaml_knows_are_text_in_json():
    value = {"v": "a\x85b\u2028c\u2029d\\e\ufefff"}

    assert values(json.dumps(value, ensure_ascii=False)) == [value]
    assert values(to_yaml(value)) == [value]


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data):
    with suppress(Unreadable):
        list(read(decode(data)))


PIECES = [
    *("a", "b: ", "- ", "\n", "  ", "'", '"', "{", "}", "[", "]", ",", "&x ", "*x", "<<: ", "|", ">", "#", "---\n"),
    *("? ", ": ", "!!int ", "!t ", "yes", "~", "\t", "%YAML 1.2\n", "\\ud83d", "\x85", "\u2028", "0x", "@"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_no_yaml_like_text_raises_anything_else(text):
    assert all(isinstance(one, str) for one in complaints(text))
