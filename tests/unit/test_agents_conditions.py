"""Conditions of `resource` templates read as Kubernetes reads label selectors."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.agents.conditions import check, compile_condition
from retrain.errors import ConfigError

BODY = {
    "metadata": {"name": "a"},
    "status": {"succeeded": 3, "phase": "Running", "ready": True, "empty": "", "conditions": [{"type": "Done"}]},
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("status.succeeded > 2", True),
        ("status.succeeded > 3", False),
        ("status.succeeded < 4", True),
        ("status.failed < 4", False),
        ("status.phase > 1", False),
        ("status.phase == Running", True),
        ("status.phase = Running", True),
        ("status.phase=Running", True),
        ("status.phase != Running", False),
        ("status.nothing != Running", True),
        ("status.phase in (Succeeded, Running)", True),
        ("status.phase in (Succeeded)", False),
        ("status.phase notin (Failed,Error)", True),
        ("status.nothing notin (a)", True),
        ("status.phase", True),
        ("status.nothing", False),
        ("!status.nothing", True),
        ("!status.phase", False),
        ("status.ready == true", True),
        ("status.empty =", True),
        ("status.empty", True),
        ("status.conditions.0.type == Done", True),
        ("status.succeeded > 2, status.phase == Running", True),
        ("status.succeeded > 2,status.phase == Failed", False),
        ("", True),
    ],
)
def test_a_condition_holds_as_a_label_selector_would(text, holds):
    assert check(BODY, compile_condition(text), ()) is holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status.phase in (Running, Failed)", "failure condition '{status.phase in [Failed Running]}' evaluated true"),
        ("status.succeeded > 2", "failure condition '{status.succeeded gt [2]}' evaluated true"),
        ("status.phase == Running", "failure condition '{status.phase == [Running]}' evaluated true"),
        ("!status.failed", "failure condition '{status.failed ! []}' evaluated true"),
    ],
)
def test_a_failure_is_told_in_argos_words(text, message):
    with pytest.raises(ConfigError) as failure:
        check(BODY, (), compile_condition(text))

    assert str(failure.value) == message


@pytest.mark.parametrize(
    "text", ["a b", "a in b", "a >", "a > x", "a in (b", "==", "a,", "a = b c", "a = 'b'", "/x", "a=" + "b" * 64]
)
def test_what_is_no_condition_is_said(text):
    with pytest.raises(ConfigError):
        compile_condition(text)


@given(st.text(alphabet="ab. =!<>(),in", max_size=30))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ConfigError):
        compile_condition(text)
