"""Objects of a cluster become a project: object by object, in whatever order they are seen."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.app.operator.judging import judge
from retrain.app.operator.naming import Names
from retrain.app.operator.watched import Key
from retrain.app.operator.world import World
from retrain.app.projects import plugins

ARGO, OURS = "argoproj.io/v1alpha1", "retrain.dev/v1"
Object = dict[str, Any]
INSTALLED = plugins.installed()


def thing(kind: str, name: str, spec: Any, *, version: str = ARGO, namespace: str = "ml", **metadata: Any) -> Object:
    uid = metadata.pop("uid", f"uid-{version}-{namespace}-{name}")
    given = {"name": name, "namespace": namespace, "uid": uid, "generation": 1, "resourceVersion": "1"} | metadata
    return {"apiVersion": version, "kind": kind, "metadata": given, "spec": spec}


def sensor(name: str = "train", word: str = "say", **more: Any) -> Object:
    dependency = {"name": "d", "eventSourceName": "hooks", "eventName": "orders"}
    trigger: Object = {"template": {"name": word, "log": {}}}
    return thing("Sensor", name, {"dependencies": [dependency], "triggers": [trigger]}, **more)


def source(name: str = "hooks", **more: Any) -> Object:
    return thing("EventSource", name, {"webhook": {"orders": {"endpoint": "/orders", "method": "POST"}}}, **more)


def wrong(name: str = "train", **more: Any) -> Object:
    return thing("Sensor", name, {"dependencies": [], "triggers": [{"template": {"name": "x"}}]}, **more)


def world(*, several: bool = False) -> World:
    names = Names(several)
    return World(lambda found: judge(found, names, INSTALLED))


def shown(seen: World) -> dict[str, str]:
    """What runs: the trigger of each sensor, and of each source its address."""
    project = seen.outlook().project
    sensors = {item.model.name: item.model.spec.triggers[0].template.name for item in project.sensors}
    return sensors | {item.model.name: "source" for item in project.event_sources}


def test_a_wrong_version_leaves_the_last_good_one() -> None:
    seen = world()
    assert seen.see(sensor())
    seen.took(seen.outlook())
    assert seen.see(wrong(generation=2))

    (standing,) = seen.standings.values()
    assert shown(seen) == {"train": "say"}
    assert standing.wanted is not None
    assert (standing.wanted.generation, standing.newest.generation) == (1, 2)
    assert [one.path for one in standing.newest.verdict.findings if one.severity == "error"] != []
    assert seen.see(sensor(word="mended", generation=3))
    assert shown(seen) == {"train": "mended"}


def test_another_object_of_the_name_inherits_no_good_version() -> None:
    seen = world()
    seen.see(sensor())
    seen.see(wrong(uid="another"))

    assert shown(seen) == {}


@pytest.mark.parametrize("levels", [250, 900])
def test_an_object_that_is_nested_beyond_all_use_is_refused_and_ends_nobody(levels: int) -> None:
    """An API server takes thousands of levels from anybody who may create a Sensor."""
    inner: Object = {}
    for _ in range(levels):
        inner = {"a": inner}
    deep = sensor("deep")
    deep["spec"]["triggers"][0]["template"]["log"] = inner
    seen = world()
    seen.see(sensor())

    assert seen.see(deep)
    assert not seen.see(deep | {"status": {"state": "Refused"}})
    assert shown(seen) == {"train": "say"}
    (finding,) = seen.standings[Key("sensors.argoproj.io", "ml", "deep")].newest.verdict.findings
    assert (finding.code, finding.severity) == ("too-deep", "error")


def test_what_stands_beside_an_object_follows_the_version_that_runs() -> None:
    """Its Service must not go because of a manifest that is refused."""
    seen = world()
    good = source() | {"status": {"state": "Listening"}}
    seen.see(good)
    seen.took(seen.outlook())
    seen.see(thing("EventSource", "hooks", {"webhook": {"orders": {"method": "POST"}}}, generation=2))
    seen.see(thing("EventSource", "never-good", {"webhook": {"orders": {"method": "POST"}}}))

    (found,) = seen.objects("EventSource", seen.outlook())

    assert found["spec"] == good["spec"]
    assert found["status"] is None, "the status is that of the newest"


def test_an_event_bus_of_a_cluster_is_not_told_that_files_choose_none() -> None:
    seen = world()
    seen.see(thing("EventBus", "default", {"jetstream": {"version": "2.10.10"}}))

    (standing,) = seen.standings.values()
    assert standing.newest.verdict.findings == ()


def test_what_argo_events_own_controller_writes_into_an_object_is_no_news() -> None:
    """`loggingFields: null` and `url: ""`, as 1.9.7 left them there."""
    seen = world()
    theirs = sensor()
    theirs["spec"]["loggingFields"] = None
    hook = {"orders": {"endpoint": "/orders", "method": "POST", "port": "12000", "url": ""}}
    seen.see(theirs)
    seen.see(thing("EventSource", "hooks", {"webhook": hook}))

    assert [one.newest.verdict.findings for one in seen.standings.values()] == [(), ()]


def test_what_no_user_has_written_changes_nothing() -> None:
    seen = world()
    seen.see(sensor())
    (before,) = seen.outlook().project.sensors
    again = sensor(resourceVersion="2", managedFields=[{"manager": "kubectl"}]) | {"status": {"state": "Active"}}

    assert not seen.see(again)
    (after,) = seen.outlook().project.sensors
    assert after is before, "the very same, so that nothing is compiled anew"
    assert seen.standings[Key("sensors.argoproj.io", "ml", "train")].newest.found["status"] == {"state": "Active"}


def test_a_deletion_that_waits_for_finalizers_counts() -> None:
    seen = world()
    seen.see(sensor())

    assert seen.see(sensor(deletionTimestamp="2026-11-22T08:00:00Z"))
    assert shown(seen) == {}


def test_of_one_name_the_older_runs_whatever_comes_first() -> None:
    old = sensor(word="old", creationTimestamp="2026-01-01T00:00:00Z")
    young = sensor(word="young", version=OURS, creationTimestamp="2026-02-01T00:00:00Z")
    for order in ([old, young], [young, old]):
        seen = world()
        for one in order:
            seen.see(one)
        outlook = seen.outlook()
        assert shown(seen) == {"train": "old"}
        (finding,) = outlook.said[Key("sensors.retrain.dev", "ml", "train")]
        assert (finding.code, finding.severity) == ("duplicate-name", "error")


def test_what_lacks_another_object_is_a_warning() -> None:
    seen = world()
    seen.see(source("others"))
    seen.see(sensor())

    (finding,) = seen.outlook().said[Key("sensors.argoproj.io", "ml", "train")]
    assert (finding.code, finding.severity) == ("unknown-source", "warning")
    assert shown(seen) == {"others": "source", "train": "say"}
    seen.see(source())
    assert seen.outlook().said == {}


def test_what_cannot_be_run_falls_back_and_is_tried_again() -> None:
    seen, key = world(), Key("sensors.argoproj.io", "ml", "train")
    seen.see(sensor())
    seen.took(seen.outlook())
    seen.see(sensor(word="new", generation=2))
    seen.refuse(key, "no ConfigMap")

    assert shown(seen) == {"train": "say"}
    seen.refuse(key, "nor this")
    assert shown(seen) == {}
    assert [one.message for one in seen.standings[key].refused] == ["no ConfigMap"]
    assert seen.reconsider()
    assert shown(seen) == {"train": "new"}


def test_a_list_takes_away_what_is_not_in_it() -> None:
    seen = world()
    seen.settle("sensors.argoproj.io", [sensor("a"), sensor("b")])
    seen.settle("eventsources.argoproj.io", [source()])

    assert seen.settle("sensors.argoproj.io", [sensor("b"), sensor("c")])
    assert shown(seen) == {"b": "say", "c": "say", "hooks": "source"}
    assert not seen.settle("sensors.argoproj.io", [sensor("c"), sensor("b")])


NAMES = ("a", "b", "c")
CHANGE = st.tuples(st.sampled_from(("good", "wrong", "gone", "status")), st.sampled_from(("say", "shout")))
HISTORIES = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(("ml", "qa")), st.sampled_from((ARGO, OURS))),
    st.lists(CHANGE, max_size=5),
    max_size=6,
)


@given(HISTORIES, st.randoms(use_true_random=False), st.booleans())
def test_any_order_of_what_is_seen_gives_the_same_project(
    histories: dict[tuple[str, str, str], list[tuple[str, str]]], dice: Any, several: bool
) -> None:
    """Each object's changes come in their order; how the objects' changes are mixed does not matter."""
    orders: list[list[tuple[str, str, str]]] = []
    for _ in range(2):
        turns = [key for key, changes in histories.items() for _ in changes]
        dice.shuffle(turns)
        orders.append(turns)
    results: list[dict[str, str]] = []
    for turns in orders:
        seen, left = world(several=several), {key: list(enumerate(changes)) for key, changes in histories.items()}
        for key in turns:
            number, change = left[key].pop(0)
            _happen(seen, key, number, change)
        results.append(shown(seen))
    assert results[0] == results[1]


def _happen(seen: World, key: tuple[str, str, str], number: int, change: tuple[str, str]) -> None:
    (name, namespace, version), (what, word) = key, change
    made: Object = {"namespace": namespace, "version": version, "generation": number}
    created = {"creationTimestamp": f"2026-01-0{1 + NAMES.index(name)}T00:00:00Z"}
    match what:
        case "good":
            seen.see(sensor(name, word, **made, **created))
        case "wrong":
            seen.see(wrong(name, **made, **created))
        case "status":
            found = seen.standings.get(Key.of(sensor(name, **made)))
            if found is not None:
                assert not seen.see({**found.newest.found, "status": {"state": word}})
        case _:
            seen.lose(Key.of(sensor(name, **made)))


@pytest.mark.parametrize("several", [False, True])
def test_a_restart_goes_on_with_what_ran(several: bool) -> None:
    before = world(several=several)
    for one in (sensor(), source(), wrong("x")):
        before.see(one)
    outlook = before.outlook()

    after = world(several=several)
    after.restore([version.found for version in outlook.running.values()])
    assert shown(after) == shown(before)
    assert not after.settle("eventsources.argoproj.io", [source()])
    assert after.settle("sensors.argoproj.io", [wrong(generation=2)]), "what it became meanwhile is wrong"
    assert shown(after) == shown(before)
