"""What becomes of the Services, ports and buses that objects of a cluster ask for; without a cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.app.operator.buses import Bus, InUse, Key, chosen, credentials, meant, settings_of
from retrain.app.operator.doors import BEFORE, MANAGED_BY, NOBODY, SWITCH, Place, decide, wanted
from retrain.app.operator.ports import FIRST, MANY, moved, rewritten
from retrain.bus.settings import BusSettings
from retrain.errors import ConfigError

WORDS = ("ports", "port", "targetPort", "name", "metadata", "labels", "annotations", "clusterIP", "x")
HERE = Place("ml", {"app": "retrain"}, "10.0.0.7")
FAR = Place("retrain", {"app": "retrain"}, "10.0.0.7")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=8,
)
PORT = ANYTHING | st.fixed_dictionaries({}, optional={"port": ANYTHING, "targetPort": ANYTHING})
BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def source(name: str = "e", *, age: int = 0, **spec: Any) -> dict[str, Any]:
    created = f"{BEGIN + timedelta(seconds=age):%Y-%m-%dT%H:%M:%SZ}"
    metadata = {"name": name, "namespace": "ml", "uid": f"uid-{name}", "creationTimestamp": created}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "EventSource", "metadata": metadata, "spec": spec}


def served(name: str = "e", **more: Any) -> dict[str, Any]:
    return source(name, service={"ports": [{"port": 12000, "targetPort": 12000}], **more})


def hook(name: str, age: int, port: int = 12000, endpoint: str = "/push", **more: Any) -> dict[str, Any]:
    return source(name, age=age, webhook={"w": {"port": str(port), "endpoint": endpoint, **more}})


def made(asked: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A Service as the server has it that was made so."""
    spec = {**asked["spec"], "clusterIP": "10.96.0.9"}
    return {**asked, "metadata": {**asked["metadata"], "resourceVersion": "1", **metadata}, "spec": spec}


# --- services ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [{}, {"service": None}, {"service": {}}, {"service": {"ports": []}}, {"service": "x"}])
def test_without_ports_there_is_no_service(spec: dict[str, Any]) -> None:
    assert wanted(source(**spec), HERE) is None


def test_what_is_as_it_is_wanted_is_left_alone_and_what_is_not_is_changed() -> None:
    asked = wanted(served(), HERE)
    assert asked is not None
    there = made(asked.service)
    other = {**there, "spec": {**there["spec"], "selector": {"app": "old"}}}

    assert decide(served(), asked, None).create
    assert decide(served(), asked, there).change is None
    change = decide(served(), asked, other).change
    assert change is not None
    assert change["spec"]["selector"] == {"app": "retrain"}
    assert decide(served(), None, there).delete


def test_a_selector_that_gives_way_leaves_nothing_behind() -> None:
    asked = wanted(served(), HERE)
    assert asked is not None
    there = made(asked.service)
    there["spec"]["selector"] = {"app": "old", "role": "x"}

    change = decide(served(), asked, there).change

    assert change is not None
    assert change["spec"]["selector"] == {"app": "retrain", "role": None}


@pytest.mark.parametrize("owner", [None, {"kind": "EventSource", "uid": "uid-of-another", "controller": True}])
def test_what_is_somebody_elses_is_never_touched_whatever_its_labels_say(owner: dict[str, Any] | None) -> None:
    asked = wanted(served(), HERE)
    assert asked is not None
    theirs = made(asked.service, ownerReferences=[owner] if owner else [], labels={MANAGED_BY: "retrain"})

    act = decide(served(), asked, theirs)

    assert (act.create, act.change, act.delete, act.reason) == (False, None, False, "ForeignService")


def test_a_service_of_argo_events_goes_over_and_back_to_what_it_was() -> None:
    switching = served()
    switching["metadata"]["annotations"] = {SWITCH: "switch"}
    asked = wanted(switching, HERE)
    assert asked is not None
    there = made(asked.service, labels={MANAGED_BY: "eventsource-controller"}, annotations={"resource-spec-hash": "h"})
    there["spec"]["selector"] = {"eventsource-name": "e"}

    left = decide(served(), asked, there)
    over = decide(switching, asked, there)
    assert over.change is not None
    after = {**there, "spec": {**there["spec"], "selector": {"app": "retrain"}}}
    after["metadata"] = {**there["metadata"], "annotations": over.change["metadata"]["annotations"]}
    back = decide(served(), asked, after)

    assert (left.change, left.reason) == (None, "ServiceOfArgoEvents")
    assert json.loads(over.change["metadata"]["annotations"][BEFORE])["selector"] == {"eventsource-name": "e"}
    assert back.change is not None
    assert back.change["spec"]["selector"] == {"eventsource-name": "e", "app": None}
    assert back.change["metadata"]["annotations"] == {BEFORE: None}


def test_in_another_namespace_a_slice_holds_the_address() -> None:
    asked = wanted(served(), Place("retrain", {"app": "retrain"}, "fd00::7"))

    assert asked is not None
    assert asked.slice is not None
    assert asked.service["spec"]["selector"] == NOBODY
    assert (asked.slice["addressType"], asked.slice["endpoints"][0]["addresses"]) == ("IPv6", ["fd00::7"])


def switching() -> dict[str, Any]:
    found = served()
    found["metadata"]["annotations"] = {SWITCH: "switch"}
    return found


def of_argo_events(asked: dict[str, Any]) -> dict[str, Any]:
    """The Service that Argo Events has made for the same object."""
    there = made(asked, labels={"controller": "eventsource-controller"})
    there["spec"]["selector"] = {"eventsource-name": "e"}
    return there


def test_a_service_is_not_switched_to_an_address_that_nobody_knows() -> None:
    asked = wanted(switching(), Place("retrain", {"app": "retrain"}))
    assert asked is not None

    act = decide(switching(), asked, of_argo_events(asked.service))

    assert (act.change, act.reason, act.elsewhere) == (None, "NoAddress", True)


def test_a_switched_service_follows_the_ports_that_the_object_says() -> None:
    asked = wanted(switching(), HERE)
    assert asked is not None
    there = of_argo_events(asked.service)
    there["spec"] |= {"selector": {"app": "retrain"}, "ports": [{"port": 80, "targetPort": 12000, "protocol": "TCP"}]}

    change = decide(switching(), asked, there).change

    assert change is not None
    assert change["spec"]["ports"] == [{"port": 12000, "targetPort": 12000, "protocol": "TCP"}]


@pytest.mark.parametrize("ours", [switching(), served()], ids=["switched", "not switched"])
def test_an_endpoint_slice_of_ours_stands_beside_no_service_that_leads_elsewhere(ours: dict[str, Any]) -> None:
    asked = wanted(ours, FAR)
    assert asked is not None
    there = of_argo_events(asked.service)
    foreign = made(asked.service, ownerReferences=[], labels={})
    back = {
        **there,
        "metadata": {**there["metadata"], "annotations": {BEFORE: json.dumps({"selector": {}, "ports": []})}},
    }

    assert decide(ours, asked, there).elsewhere is (SWITCH not in ours["metadata"].get("annotations", {}))
    assert decide(ours, asked, foreign).elsewhere
    assert decide(served(), asked, back).elsewhere


@given(st.fixed_dictionaries({"ports": st.lists(PORT, max_size=2), "metadata": ANYTHING}) | ANYTHING)
def test_whatever_stands_under_service_ends_nobody(service: Any) -> None:
    """Argo Events' kinds take anything: the API server refuses what is no Service."""
    asked = wanted(source(service=service), FAR)

    assert asked is None or asked.slice is not None


# --- ports ---------------------------------------------------------------------------------------------------------


def test_the_younger_of_two_that_mean_one_request_is_served_elsewhere() -> None:
    found = moved([hook("young", 2), hook("old", 1)])

    assert set(found) == {("ml", "young")}
    assert list(found["ml", "young"]) == [12000]
    assert FIRST <= found["ml", "young"][12000] < FIRST + MANY


def test_two_that_share_a_port_and_no_path_stay() -> None:
    assert moved([hook("a", 1), hook("b", 2, endpoint="/other")]) == {}


def test_a_port_shows_one_certificate() -> None:
    secure = hook("b", 2, endpoint="/other", serverCertSecret={"name": "tls", "key": "crt"})

    assert set(moved([hook("a", 1), secure])) == {("ml", "b")}


@given(st.lists(st.tuples(st.sampled_from([12000, 12001, 13000]), st.sampled_from(["/a", "/b"])), max_size=12))
def test_no_request_means_two_sources_and_who_was_there_first_stays(wishes: list[tuple[int, str]]) -> None:
    sources = [hook(f"s{n:02}", n, port, path) for n, (port, path) in enumerate(wishes)]

    found = moved(sources)
    served = [rewritten(one, found.get(("ml", one["metadata"]["name"]), {}))["spec"]["webhook"]["w"] for one in sources]

    assert len({(one["port"], one["endpoint"]) for one in served}) == len(sources)
    assert moved(list(reversed(sources))) == found
    for n in range(len(sources)):
        known = moved(sources[:n])
        assert all(name in found for name in known)


# --- buses ---------------------------------------------------------------------------------------------------------


def bus(name: str = "default", **spec: Any) -> dict[str, Any]:
    return {"kind": "EventBus", "metadata": {"name": name, "namespace": "ml"}, "spec": spec}


EXOTIC: dict[str, Any] = {"jetstreamExotic": {"url": "nats://n:4222", "accessSecret": {"name": "s", "key": "k"}}}


@pytest.mark.parametrize(
    ("spec", "means"),
    [
        ({"jetstream": {"version": "latest"}}, Bus()),
        ({"nats": {"native": {}}}, Bus()),
        (EXOTIC, Bus("nats://n:4222", Key("s", "k"))),
        ({"jetstreamExotic": {"url": "nats://n:4222"}}, Bus("nats://n:4222")),
        ({"kafka": {"url": "k:9092"}}, "spec.kafka"),
        ({"nats": {"exotic": {}}}, "spec.nats.exotic"),
        ({"jetstreamExotic": {}}, "spec.jetstreamExotic.url"),
        (
            {"jetstreamExotic": {"url": "nats://n,nats://m", "tls": {"caCertSecret": {"name": "s", "key": "ca"}}}},
            Bus("tls://n,tls://m", ca=Key("s", "ca")),
        ),
        ({"jetstreamExotic": {"url": "n:1", "tls": {"insecureSkipVerify": True}}}, Bus("n:1", insecure=True)),
        (
            {"jetstreamExotic": {"url": "n", "tls": {"clientKeySecret": {"name": "s"}}}},
            "clientCertSecret and clientKey",
        ),
        ({}, "names no bus"),
    ],
)
def test_what_an_event_bus_means(spec: dict[str, Any], means: Bus | str) -> None:
    found = meant(bus(**spec))

    if isinstance(means, Bus):
        assert (found.bus, found.refused) == (means, "")
    else:
        assert found.bus is None
        assert means in found.refused


def test_the_default_alone_chooses_and_only_where_there_is_one_choice() -> None:
    other: dict[str, Any] = {"jetstreamExotic": {"url": "nats://other:4222"}}

    assert chosen([bus(**EXOTIC), bus("second", **other)]) == Bus("nats://n:4222", Key("s", "k"))
    assert chosen([bus(**EXOTIC), bus(**other)]) == Bus()
    assert chosen([]) == Bus()


def test_credentials_are_read_as_argo_events_writes_them_and_never_shown() -> None:
    settings = settings_of(
        Bus("nats://n:4222", Key("s", "k")), "username: ann\npassword: hunter22\n", {}, BusSettings()
    )

    assert (settings.url, settings.user) == ("nats://n:4222", "ann")
    assert settings.password is not None
    assert settings.password.get_secret_value() == "hunter22"
    assert credentials("token: t") == {"token": "t"}
    for wrong in ("hunter22", "password: hunter22", "{hunter22", "[hunter22]", "user: [hunter22"):
        with pytest.raises(ConfigError) as refused:
            credentials(wrong)
        assert "hunter22" not in str(refused.value)


async def test_credentials_in_an_address_are_not_said() -> None:
    (said,) = await InUse(Bus("nats://ann:hunter22@n:4222,nats://m:4222")).settle([bus(jetstream={})])

    assert "hunter22" not in said.message
    assert "n:4222" in said.message


async def test_each_bus_is_told_what_it_came_to() -> None:
    running = InUse(Bus("nats://n:4222", Key("s", "k")))

    said = await running.settle([bus(**EXOTIC), bus("b", **EXOTIC), bus("c", jetstream={}), bus("d", kafka={})])
    again = await running.settle([bus(jetstream={})])
    by_setting = await InUse(Bus("nats://x"), by_setting=True).settle([bus(**EXOTIC)])

    assert [one.reason for one in (*said, *again, *by_setting)] == [
        *("Running", "Running", "OneBus", "NotBuilt"),
        "RestartNeeded",
        "BySetting",
    ]
    assert [one.status for one in said] == [True, True, False, False]
