"""Edits change the span of one value and nothing else, or are refused."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy.edits import edit, selector
from deploy.edits.edit import EditRefused, Target, Value
from deploy.edits.scalars import is_bare
from retrain.errors import ConfigError

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data/edits/cases.json").read_text())


def apply(case: dict[str, Any], before: str) -> tuple[bytes, list[edit.Change]]:
    target = Target(selector.parse(case["path"]), case.get("resource", {}))
    return edit.apply(before.encode(), [(target, Value(case["value"]))], case.get("file", "model.yaml"))


@pytest.mark.parametrize("case", [c for c in CASES if "after" in c], ids=lambda c: c["name"])
def test_an_edit_changes_the_value_and_nothing_else(case: dict[str, Any]) -> None:
    after, _ = apply(case, case["before"])

    assert after == case["after"].encode()
    assert apply(case, case["after"])[0] == after, "twice is once"


@pytest.mark.parametrize("case", [c for c in CASES if "after" in c], ids=lambda c: c["name"])
def test_the_old_text_brings_the_old_bytes_back(case: dict[str, Any]) -> None:
    after, (change,) = apply(case, case["before"])
    target = Target(selector.parse(case["path"]), case.get("resource", {}))
    back, _ = edit.apply(after, [(target, Value(change.old, change.old_text))], case.get("file", "model.yaml"))

    before = case["before"].encode()
    if change.old_text:
        assert back == before
    else:  # an empty value comes back as an empty value, with the space that the edit put there
        assert back.replace(b" ", b"") == before.replace(b" ", b"")


@pytest.mark.parametrize("case", [c for c in CASES if "refused" in c], ids=lambda c: c["name"])
def test_what_cannot_be_edited_is_refused_with_its_place(case: dict[str, Any]) -> None:
    with pytest.raises(EditRefused) as refusal:
        apply(case, case["before"])

    assert case["refused"] in str(refusal.value)
    assert str(refusal.value).startswith("model.yaml:")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = st.one_of(
    TEXT, st.integers(-(10**12), 10**12), st.booleans(), st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
)
KEYS = st.sampled_from(["alpha", "beta", "gamma", "delta"])


@st.composite
def manifests(draw: st.DrawFn) -> tuple[str, str]:
    """A YAML text with comments, styles and line ends mixed, and the path of one of its values."""
    keys = draw(st.lists(KEYS, min_size=2, max_size=4, unique=True))
    chosen = draw(st.sampled_from(keys))
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    lines = ["# head", "spec:"]
    for key in keys:
        value = draw(st.sampled_from(["plain", "'single'", '"double"', "12", "1.5", "yes", "s3://a/b?c=d", "", "~"]))
        comment = draw(st.sampled_from(["", "   # é 😀", "\t# tab"]))
        lines.append(f"  {key}:{' ' if value else ''}{value}{comment}")
    lines.append(draw(st.sampled_from(["tail: [1, {a: b}]", "---", "# end"])))
    return newline.join(lines) + newline, f"spec.{chosen}"


@given(manifests(), SCALARS)
def test_only_the_span_changes_for_any_value(manifest: tuple[str, str], value: Any) -> None:
    text, path = manifest
    target = Target(selector.parse(path))

    after, (change,) = edit.apply(text.encode(), [(target, Value(value))], "m.yaml")
    again, _ = edit.apply(after, [(target, Value(value))], "m.yaml")

    assert again == after
    assert edit.read(after, target, "m.yaml") == change.new
    before, now = text.splitlines(), after.decode()
    untouched = [line for line in before if not line.startswith(f"  {path.removeprefix('spec.')}:")]
    assert all(line in now for line in untouched)
    assert len(after) - len(text.encode()) in {
        len(change.new_text.encode()) - len(change.old_text.encode()) + gap for gap in (0, 1)
    }


@given(TEXT)
def test_a_bare_string_is_that_string_for_pyyaml_too(text: str) -> None:
    if is_bare(text):
        assert yaml.safe_load(f"a: {text}\n") == {"a": text}
        assert yaml.safe_load(f"{{a: [{text}]}}") == {"a": [text]}


@given(st.binary(max_size=200), st.sampled_from(["a", "a.b", "[0]", "a[b=c].d"]))
def test_any_bytes_are_edited_or_refused(data: bytes, path: str) -> None:
    with suppress(EditRefused):
        edit.apply(data, [(Target(selector.parse(path)), Value("x"))], "m.yaml")


def test_two_edits_of_one_value_are_refused() -> None:
    target = Target(selector.parse("a"))

    with pytest.raises(EditRefused, match="two edits"):
        edit.apply(b"a: 1\n", [(target, Value("x")), (target, Value("y"))], "m.yaml")


def test_several_edits_of_a_file_are_made_together() -> None:
    edits = [(Target(selector.parse(path)), Value(value)) for path, value in (("a", "xx"), ("c[0]", "yy"), ("b", "zz"))]

    after, changes = edit.apply(b"a: 1s\nb: 2s # c\nc: [3s]\n", edits, "m.yaml")

    assert after == b"a: xx\nb: zz # c\nc: [yy]\n"
    assert [change.old for change in changes] == ["1s", "3s", "2s"]


@pytest.mark.parametrize("path", ["", ".a", "a.", "a..b", "a[", "a[]", "a[x", "a b", "a[-1]", "a[x=]", "a\nb", "[0]a"])
def test_a_path_that_makes_no_sense_is_refused(path: str) -> None:
    with pytest.raises(ConfigError):
        selector.parse(path)


@pytest.mark.parametrize("path", ["a.b-c.d_e", "a[0].b", "items[metadata.name=x].v", 'm["a.b/c"]', "[0][1]"])
def test_a_path_is_shown_as_it_was_written(path: str) -> None:
    assert selector.show(selector.parse(path)) == path
