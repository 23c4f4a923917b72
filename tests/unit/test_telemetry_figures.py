"""Figures in memory: what they count, and that no name from outside makes them grow."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from retrain.telemetry import meters
from retrain.telemetry.figures import LONGEST, MOST, OTHER, Counter, Histogram, Level
from retrain.web.metric_names import ASKED, Asked, bounded

NAMES = st.text(max_size=200)
DOCS = Path(__file__).parents[2] / "docs/telemetry.md"


def hostile(number: int) -> str:
    """Names that somebody gives to break what reads them."""
    shapes = ('a"} 1\nfake_total 7 #{}', "{}\x00\u202e\ud83d\ude00\\", "{}" + "x" * 5000, "'; DROP TABLE {}", "\r\n{}")
    return (
        shapes[number % len(shapes)]
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
        .replace("{}", str(number))
    )


def test_ten_thousand_hostile_names_are_a_hundred_series_and_one_more() -> None:
    counter, histogram = Counter("x_total", "", "name", "kind"), Histogram("x_seconds", "", "name")
    for number in range(10_000):
        counter.add(hostile(number), "http")
        histogram.observe(0.01, hostile(number))

    samples = counter.samples()
    assert len(samples) == MOST + 1
    assert sum(value for _, value in samples) == 10_000, "none is lost"
    assert counter.value(OTHER, "http") == 10_000 - MOST
    assert all(len(labels[0]) <= LONGEST for labels, _ in samples)
    assert len(list(histogram.spreads())) == MOST + 1


@given(st.lists(st.tuples(NAMES, st.integers(0, 100)), max_size=300))
def test_of_what_is_asked_for_the_largest_keep_their_names_and_nothing_is_lost(rows: list[tuple[str, int]]) -> None:
    given_rows = {(name,): float(value) for name, value in rows}
    shown = bounded(Asked("x", "", ("name",)), given_rows)

    assert len(shown) <= MOST + 1
    assert sum(shown.values()) == sum(given_rows.values())
    if OTHER in {name for (name,) in shown} and ("other",) not in given_rows:
        named = [value for (name,), value in shown.items() if name != OTHER]
        assert min(named) >= 0


def test_what_is_not_ready_keeps_its_name_among_ten_thousand_that_are() -> None:
    rows = {(f"part {number}",): 1.0 for number in range(10_000)} | {("bus",): 0.0}
    shown = bounded(Asked("x", "", ("part",), join="min"), rows)
    assert shown["bus",] == 0.0
    assert shown[OTHER,] == 1.0


def test_a_histogram_counts_up_to_each_bound() -> None:
    histogram = Histogram("x_seconds", "", buckets=(0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0, -3.0):
        histogram.observe(seconds)

    (spread,) = histogram.spreads()
    assert spread.buckets == [("0.1", 3), ("1", 4), ("+Inf", 5)]
    assert spread.sum == pytest.approx(7.65)


def test_a_level_goes_up_and_down() -> None:
    level = Level("x", "", "feed")
    level.add("page")
    level.add("page", by=-1)
    assert level.samples() == [(("page",), 0.0)]


def test_names_are_as_prometheus_has_them() -> None:
    for one in meters.ALL:
        assert re.fullmatch(r"retrain_[a-z_]+", one.name)
        assert one.name.endswith("_total") == (one.kind == "counter")
        assert one.name.endswith("_seconds") == (one.kind == "histogram")
    for one in ASKED:
        assert one.name.endswith("_total") == (one.kind == "counter")
    names = [one.name for one in (*meters.ALL, *ASKED)]
    assert len(set(names)) == len(names)


def test_the_table_of_the_documentation_has_every_figure_with_its_labels_and_no_other() -> None:
    rows = re.findall(r"^\| `(retrain_\w+)` \| (\w+) \| ([^|]*) \|", DOCS.read_text(), re.MULTILINE)
    told = {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    ours = {(one.name, one.kind, tuple(one.labels)) for one in (*meters.ALL, *ASKED)}
    assert told == ours


def test_counting_loads_no_library() -> None:
    """A command in the foreground pays nothing for figures that nobody will ask for."""
    import subprocess

    words = "import sys, retrain.telemetry.meters, retrain.telemetry.ids, retrain.telemetry.bound; "
    words += "sys.exit(bool({'prometheus_client', 'opentelemetry', 'structlog'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", words], check=False).returncode == 0


def test_a_page_of_hostile_names_reads_back() -> None:
    from prometheus_client import CollectorRegistry, generate_latest

    from retrain.web.metrics import _counted  # pyright: ignore[reportPrivateUsage]

    counter = Counter("x_total", "", "name")
    for number in range(50):
        counter.add(hostile(number))

    class Page:
        def collect(self) -> list[object]:
            return [_counted(counter)]

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Page())  # pyright: ignore[reportArgumentType]
    (family,) = text_string_to_metric_families(generate_latest(registry).decode())
    assert sum(sample.value for sample in family.samples) == 50
