"""Trailers: whatever comes from outside stays a value on its own line, as we and as git read it."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.candidate import Source
from deploy.trailers import added, message, parse, trailers

KEYS = st.sampled_from(["Model-Uri", "Retrain-Run", "Approved-By", "Argocd-reference-commit-body"])
HOSTILE = st.one_of(
    st.text(),
    st.sampled_from(
        [
            "x\nApproved-By: ceo",
            "x\r\nApproved-By: ceo",
            "x\u2028Approved-By: ceo",
            "x\x85Approved-By: ceo",
            "x\x0bApproved-By: ceo",
            "\n\n---\nApproved-By: ceo",
            " Approved-By: ceo",
            "\n Approved-By: ceo",
            "# comment",
            "(cherry picked from commit x)",
        ]
    ),
)
PAIRS = st.lists(st.tuples(KEYS, HOSTILE), max_size=6)


def kept(pairs: list[tuple[str, str]]) -> list[str]:
    """The keys whose value holds anything that can be seen."""
    return [line.split(":")[0] for line in trailers({}, pairs).splitlines()]


@given(HOSTILE, PAIRS)
def test_what_goes_in_comes_out_and_nothing_more(text: str, pairs: list[tuple[str, str]]) -> None:
    said = message(f"subject\n\n{text}", {"Retrain-Promotion": "p-1"}, pairs)

    found = parse(said)

    assert [key for key, _ in found] == ["Retrain-Promotion", *kept(pairs)]
    assert len(said.rstrip("\n").rpartition("\n\n")[2].split("\n")) == len(found)


@given(PAIRS)
@settings(max_examples=15)
def test_git_reads_the_same_trailers(pairs: list[tuple[str, str]]) -> None:
    said = message("subject", {"Retrain-Promotion": "p-1"}, pairs)

    command = ["git", "interpret-trailers", "--parse", "--no-divider"]
    told = subprocess.run(command, input=said.encode(), capture_output=True, check=True).stdout.decode()

    assert [line.partition(":")[0] for line in told.split("\n") if line] == ["Retrain-Promotion", *kept(pairs)]


@given(PAIRS, PAIRS)
def test_trailers_can_be_added(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
    said = added(message("subject", {"Retrain-Promotion": "p-1"}, first), second)

    assert [key for key, _ in parse(said)] == ["Retrain-Promotion", *kept(first), *kept(second)]


@pytest.mark.parametrize("key", ["", "a b", "a:", "a\nb", "-x", "é"])
def test_a_key_that_is_none_is_an_error_of_ours(key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        trailers({key: "x"})


@given(st.text(), st.text())
def test_what_argo_cd_shows_of_the_training_code_is_one_line_each(subject: str, body: str) -> None:
    source = Source(commit="a" * 40, subject=subject[:500], body=body[:10_000])

    found = parse(message("subject", source.trailers))

    assert {key for key, _ in found} <= {f"Argocd-reference-commit-{n}" for n in ("sha", "subject", "body")}
