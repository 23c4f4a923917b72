"""How much of each limit is used, and until when: the figures that the gates themselves decide by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from retrain.app.looking.queries import stamp
from retrain.app.sensing.limits import limits_of
from sensors import SensorDocument
from sensors.core.cells import Active, Lane, Spent

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def document(version: str = "retrain.dev/v1", **limits: Any) -> SensorDocument:
    trigger = {"template": {"name": "t", "log": {}}, **limits}
    spec = {"dependencies": [{"name": "a", "eventSourceName": "s", "eventName": "n"}], "triggers": [trigger]}
    return SensorDocument.model_validate({"apiVersion": version, "kind": "Sensor", "metadata": {}, "spec": spec})


def limit(lane: Lane, **limits: Any) -> dict[str, Any]:
    (found,) = limits_of(document(**limits), {"t": lane}, NOW)
    return found


def test_an_idle_trigger_shows_its_limits_too() -> None:
    found = limits_of(document(concurrency={"limit": 2}, cooldown="6h", budget={"runs": 3, "per": "day"}), {}, NOW)

    assert [(one["kind"], one["used"], one["limit"], one["full"]) for one in found] == [
        ("concurrency", 0, 2, False),
        ("cooldown", None, None, False),
        ("budget", 0, 3, False),
    ]


def test_concurrency_by_key_the_fullest_first() -> None:
    active = tuple(Active(f"f{n}", key, NOW) for n, key in enumerate(["eu", "us", "us"]))
    found = limits_of(document(concurrency={"limit": 2, "key": "region"}), {"t": Lane(active=active)}, NOW)

    assert [(one["key"], one["used"], one["full"]) for one in found] == [("us", 2, True), ("eu", 1, False)]


def test_a_cooldown_says_until_when() -> None:
    found = limit(Lane(fired=(NOW - HOUR,)), cooldown="6h")
    assert (found["full"], found["until"]) == (True, stamp(NOW + 5 * HOUR))
    assert limit(Lane(fired=(NOW - 7 * HOUR,)), cooldown="6h")["full"] is False


def test_a_rate_counts_its_unit_only() -> None:
    fired = (NOW - 2 * HOUR, NOW - timedelta(minutes=50), NOW - timedelta(minutes=5))
    found = limit(Lane(fired=fired), rateLimit={"unit": "Hour", "requestsPerUnit": 2})

    assert (found["used"], found["limit"], found["full"]) == (2, 2, True)
    assert found["until"] == stamp(NOW + timedelta(minutes=10))


def test_a_budget_of_gpu_hours_reserves_for_what_runs() -> None:
    lane = Lane(
        active=(Active("f", "", NOW),), spent=(Spent(NOW - HOUR, 4.0), Spent(NOW - 30 * HOUR, 9.0)), known=(2.0,)
    )
    found = limit(lane, budget={"gpuHours": 7, "per": "day"})

    assert (found["used"], found["reserved"], found["limit"], found["unit"]) == (4.0, 2.0, 7, "GPU hours")
    assert found["full"] is True


def test_hours_say_when_they_begin() -> None:
    found = limit(Lane(), schedule={"open": [{"start": "20:00", "stop": "22:00"}]})
    assert (found["full"], found["until"]) == (True, "2026-11-22T20:00:00Z")


def test_under_argos_name_only_what_argo_has() -> None:
    found = limits_of(document("argoproj.io/v1alpha1", cooldown="6h", rateLimit={"requestsPerUnit": 1}), {}, NOW)
    assert [one["kind"] for one in found] == ["rateLimit"]


@given(st.lists(st.integers(0, 100), max_size=12), st.integers(1, 5))
def test_a_budget_of_runs_is_full_exactly_if_it_is_used_up(minutes: list[int], most: int) -> None:
    fired = tuple(NOW - timedelta(minutes=one) for one in sorted(minutes, reverse=True))
    found = limit(Lane(fired=fired), budget={"runs": most, "per": "hour"})

    assert found["full"] == (found["used"] >= most)
    assert found["used"] == sum(one < 60 for one in minutes)
    assert (found["until"] is not None) == found["full"]
