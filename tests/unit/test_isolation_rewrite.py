"""Declared paths are replaced in a step's text as whole components, and nothing else is."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.local.rewrite import Paths

PAIRS = {"/tmp": "/p/tmp", "/tmp/kept": "/tmp/kept", "/out": "/p/out", "/out/model.bin": "/v/model.bin"}


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("echo hi > /tmp/hi.txt", "echo hi > /p/tmp/hi.txt"),
        ("cat /tmp/kept/a /tmp/keptish", "cat /tmp/kept/a /p/tmp/keptish"),
        ("--out=/out/model.bin", "--out=/v/model.bin"),
        ("/out/model.bin.sha", "/p/out/model.bin.sha"),
        ("'/out/model.bin'", "'/v/model.bin'"),
        ("it is in /out.", "it is in /p/out."),
        ("file:///tmp/x", "file:///p/tmp/x"),
        ("http://host/tmp/x", "http://host/tmp/x"),
        ("$HOME/tmp ${X}/tmp ./tmp ~/tmp a/tmp", "$HOME/tmp ${X}/tmp ./tmp ~/tmp a/tmp"),
        ("/outer /out-take /out.d /out$i /out*", "/outer /out-take /out.d /out$i /out*"),
        ("/out/$i/*", "/p/out/$i/*"),
        ("a:/tmp:/out", "a:/p/tmp:/p/out"),
        ("/tmp", "/p/tmp"),
    ],
)
def test_a_path_is_replaced_where_it_stands_as_whole_components(text: str, becomes: str) -> None:
    assert Paths(PAIRS).replace(text) == becomes


names = st.text(string.ascii_letters + string.digits + "_-.", min_size=1, max_size=6).filter(lambda n: n.strip("."))
declared = st.lists(
    st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts)), min_size=1, max_size=4
)


@given(declared, st.lists(names, min_size=1, max_size=4))
def test_a_word_that_is_a_path_changes_as_its_longest_declared_ancestor_says(
    paths: list[str], parts: list[str]
) -> None:
    pairs = {path: f"/private{path}" for path in paths}
    word = "/" + "/".join(parts)
    ancestors = ["/" + "/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    longest = next((path for path in ancestors if path in pairs), None)

    assert Paths(pairs).replace(word) == (word if longest is None else "/private" + word)


@given(declared, st.text(max_size=60))
def test_what_was_put_in_is_not_looked_at_again(paths: list[str], text: str) -> None:
    pairs = {path: f"{path}{path}" for path in paths}
    longest = max(paths, key=len)
    assert Paths(pairs).replace(f" {longest} ") == f" {longest}{longest} "
    assert Paths({}).replace(text) == text
