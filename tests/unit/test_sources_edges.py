"""Series that a query finds and finds no more: what is told of them, and what is remembered meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventsources.watching.edges import Sample, Series, kept, restored, settled, step
from eventsources.watching.prometheus import fingerprint, samples_of
from retrain.errors import ConfigError, Transient

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HIGH = {"a": Sample({"model": "digits"}, 0.5)}


def play(*looks: dict[str, Sample], **more: Any) -> list[list[str]]:
    """What is told at each of some looks, a minute apart, nothing of it getting lost."""
    known: dict[str, Series] = {}
    told = []
    for number, found in enumerate(looks):
        turn = step(known, found, NOON + timedelta(minutes=number), **more)
        told.append([f"{edge.status} {edge.name} {edge.series.since:%M}" for edge in turn.edges])
        known = settled(turn).known
    return told


def test_a_series_is_told_when_it_begins_and_when_it_is_over() -> None:
    assert play(HIGH, HIGH, {}, {}, HIGH) == [["firing a 00"], [], ["resolved a 00"], [], ["firing a 04"]]


def test_one_that_must_last_is_told_when_it_has() -> None:
    pending = timedelta(minutes=2)

    assert play(HIGH, HIGH, HIGH, HIGH, pending=pending) == [[], [], ["firing a 00"], []]
    assert play(HIGH, HIGH, {}, HIGH, HIGH, pending=pending) == [[], [], [], [], []]


def test_a_short_gap_ends_nothing_that_is_to_be_kept() -> None:
    keep = timedelta(minutes=2)

    assert play(HIGH, {}, HIGH, {}, {}, {}, keep=keep) == [["firing a 00"], [], [], [], ["resolved a 00"], []]


def test_what_was_not_told_for_sure_is_told_again_and_the_same() -> None:
    first = step({}, HIGH, NOON)
    written = {name: restored(kept(series)) for name, series in first.changed.items()}

    again = step(written, {}, NOON + timedelta(hours=1))

    assert again.edges == first.edges


def test_only_what_changes_is_written() -> None:
    known = settled(step({}, HIGH, NOON)).known

    turn = step(known, {"a": Sample({"model": "digits"}, 0.6)}, NOON + timedelta(minutes=1))

    assert (turn.changed, turn.gone, turn.edges) == ({}, [], [])
    assert turn.known["a"].value == 0.6


def test_answers_of_prometheus_become_series() -> None:
    vector = {"resultType": "vector", "result": [{"metric": {"m": "x"}, "value": [1.0, "0.5"]}]}
    number = {"resultType": "scalar", "result": [1.0, "3"]}

    assert samples_of({"data": vector}) == {fingerprint({"m": "x"}): Sample({"m": "x"}, 0.5)}
    assert list(samples_of({"data": number}).values()) == [Sample({}, 3.0)]
    assert samples_of({"data": {"resultType": "scalar", "result": [1.0, "0"]}}) == {}


def test_what_is_no_number_is_told_as_text() -> None:
    vector = {"resultType": "vector", "result": [{"metric": {}, "value": [1.0, "NaN"]}]}

    assert [one.value for one in samples_of({"data": vector}).values()] == ["NaN"]


def test_a_query_that_gives_something_else_is_an_error() -> None:
    with pytest.raises(ConfigError, match="gives a matrix"):
        samples_of({"data": {"resultType": "matrix", "result": []}})
    with pytest.raises(Transient, match="none of Prometheus"):
        samples_of([])
