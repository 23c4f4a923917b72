"""`valueFrom.jsonPath` writes what kubectl's `-o jsonpath=` would."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.agents.kubepath import compile_kubepath
from retrain.errors import ConfigError

BODY = {
    "kind": "List",
    "metadata": {"name": "x", "annotations": {"a.b/c": "dotted"}, "labels": {}},
    "n": 1.0,
    "on": True,
    "none": None,
    "items": [
        {"name": "a", "n": 1, "tags": ["t1", "t2"]},
        {"name": "b", "n": 2, "on": True},
        {"name": "c", "n": 3},
    ],
}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("{.metadata.name}", "x"),
        ("{$.metadata.name}", "x"),
        ("{@.metadata.name}", "x"),
        ("{['metadata']['name']}", "x"),
        ("{.metadata.annotations.a\\.b/c}", "dotted"),
        ("{.metadata.annotations['a.b/c']}", "dotted"),
        ("{.nothing.there}", ""),
        ("{.none}", ""),
        ("{.n} {.on}", "1 true"),
        ("{.metadata.labels}", "{}"),
        ("{.items[0]}", '{"name":"a","n":1,"tags":["t1","t2"]}'),
        ("{.items[*].name}", "a b c"),
        ("{.items[-1].name}", "c"),
        ("{.items[0:2].name}", "a b"),
        ("{.items[::2].name}", "a c"),
        ("{.items[0,2].name}", "a c"),
        ("{.items[9].name}", ""),
        ("{.items[*]['name','n']}", "a 1 b 2 c 3"),
        ("{..name}", "x a b c"),
        ("{.items[?(@.n>1)].name}", "b c"),
        ('{.items[?(@.name=="a")].n}', "1"),
        ("{.items[?(@.name!='a')].n}", "2 3"),
        ("{.items[?(@.on)].name}", "b"),
        ("{.items[?(@.on==true)].name}", "b"),
        ('{range .items[*]}{.name}={.n}{"\\n"}{end}', "a=1\nb=2\nc=3\n"),
        ("{range .items[*]}[{range .tags[*]}{@}{end}]{end}", "[t1t2][][]"),
        ("name is {.metadata.name}!", "name is x!"),
        ("no braces", "no braces"),
        ("{.items[*].*}", 'a 1 ["t1","t2"] b 2 true c 3'),
    ],
)
def test_a_template_writes_what_kubectl_writes(path, text):
    assert compile_kubepath(path).render(BODY) == text


@pytest.mark.parametrize(
    "path",
    [
        "{",
        "{}}{.a",
        "{.a",
        "{range .a}",
        "{end}",
        "{.a[}",
        "{.a[b]}",
        "{.a[?(@.b]}",
        "{.a[::0]}",
        "{name}",
        "{.a[?(@.b=~c)]}",
    ],
)
def test_what_is_no_template_is_said(path):
    with pytest.raises(ConfigError):
        compile_kubepath(path).render(BODY)


def test_a_template_cannot_look_at_everything_again_and_again():
    body = {"a": [[[0] * 50] * 50] * 50}
    with pytest.raises(ConfigError, match="may look at"):
        compile_kubepath("{..*..*}").render(body)


@given(st.text(alphabet="{}.[]()?@$*'\"\\ab0:,<=range end", max_size=40))
def test_any_text_is_read_or_refused(path):
    with contextlib.suppress(ConfigError):
        compile_kubepath(path).render(BODY)
