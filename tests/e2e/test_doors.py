"""Every door of a platform that has promoted one model: health, metrics, the API and the command for each noun."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.crash_world import Receiver, World
from tests.e2e.platform_driver import Platform, git

pytestmark = pytest.mark.integration

NOUNS = ("events", "firings", "runs", "promotions", "sensors", "sources", "deadletters")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One order has gone the whole way: object, event, firing, run, promotion, commit."""
    with Receiver() as receiver:
        made = World.make(tmp_path_factory.mktemp("doors"), receiver, learn=("/bin/echo", "epoch", "1"))
        with made.platform:
            made.send_until_taken(0)
            made.await_settled(1)
            yield made


@pytest.fixture(scope="module")
def platform(world: World) -> Platform:
    return world.platform


def shown(platform: Platform, *words: str) -> Any:
    return json.loads(platform.command(*words, "-o", "json"))


def test_health_is_plain_and_readiness_names_each_part_and_what_it_waits_for(platform: Platform) -> None:
    assert platform.get("/healthz") == {"status": "alive"}
    ready = platform.get("/readyz")
    assert ready["status"] == "ready"
    parts = {part["name"]: part for part in ready["parts"]}
    assert {"bus", "outbox", "sensors", "promotion model", "source shop/orders"} <= set(parts)
    assert all(part["ready"] and part["waitingFor"] is None for part in ready["parts"])


def test_metrics_count_what_is_there(platform: Platform) -> None:
    lines = dict(line.rsplit(" ", 1) for line in platform.get("/metrics").splitlines() if not line.startswith("#"))
    assert float(lines['retrain_firing_attempts_total{result="done"}']) == 4
    ended = {name: value for name, value in lines.items() if name.startswith("retrain_runs_ended_total{")}
    assert [(('phase="Succeeded"' in name), float(value)) for name, value in ended.items()] == [(True, 1)]
    assert float(lines['retrain_git_pushes_total{result="pushed"}']) == 1
    assert float(lines['retrain_events_received_total{kind="webhook",source="shop/orders"}']) == 1
    assert float(lines['retrain_part_ready{part="bus"}']) == 1
    assert float(lines["retrain_bus_lag_events"]) == 0


def test_openapi_describes_every_route_of_the_api(platform: Platform) -> None:
    page = platform.get("/openapi.json")
    assert page["openapi"].startswith("3.")
    operations = [one for path in page["paths"].values() for one in path.values()]
    ids = [one["operationId"] for one in operations]
    assert len(ids) == len(set(ids))
    assert all({"200", "201", "202"} & set(one["responses"]) for one in operations)
    for noun in NOUNS:
        assert f"/api/v1/{noun}" in page["paths"]
    assert "post" in page["paths"]["/api/v1/events"]
    assert "text/event-stream" in json.dumps(page["paths"]["/api/v1/events/tail"])
    named = {part.split('"')[0] for part in json.dumps(page).split("#/components/schemas/")[1:]}
    assert named <= set(page["components"]["schemas"]), "every reference leads somewhere"


def test_lists_have_the_shape_that_scripts_rely_on_and_pages_follow_each_other(platform: Platform) -> None:
    for noun in NOUNS:
        page = platform.get(f"/api/v1/{noun}", **({} if noun in {"sensors", "sources"} else {"limit": 1}))
        assert set(page) == {"items", "next"}
    first = platform.get("/api/v1/firings", limit=3)
    rest = platform.get("/api/v1/firings", limit=3, cursor=first["next"])
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 1, None)
    firing = first["items"][0]
    assert {"id", "sensor", "trigger", "key", "events", "state", "attempts", "created", "result"} <= set(firing)
    (promotion,) = platform.items("promotions")
    names = {"id", "name", "state", "environment", "candidate", "commit", "gates"}
    assert names <= set(promotion)
    (run,) = platform.items("runs")
    assert "nodes" not in run["status"]
    labels = run["metadata"]["labels"]
    assert {"retrain.dev/sensor", "retrain.dev/trigger", "retrain.dev/firing", "retrain.dev/event"} <= set(labels)
    (order,) = platform.items("events", source="shop")
    assert {"specversion", "id", "source", "type", "subject", "time", "data"} <= set(order)


@pytest.mark.parametrize("noun", NOUNS)
def test_every_list_prints_as_table_json_yaml_and_names(platform: Platform, noun: str) -> None:
    items = shown(platform, noun, "list")["items"]
    assert platform.command(noun, "list", "-o", "yaml").startswith("items:")
    names = platform.command(noun, "list", "-o", "name").splitlines()
    assert len(names) == len(items)
    table = platform.command(noun, "list").splitlines()
    if items:
        # Header, rule, one line for each item: nothing is wrapped where no terminal is.
        assert len(table) == len(items) + 2
        assert all(any(name in line for line in table) for name in names if noun != "sources")


def test_one_thing_of_each_noun_can_be_shown(platform: Platform) -> None:
    (order,) = platform.items("events", source="shop")
    event = shown(platform, "events", "show", order["id"])
    assert {one["sensor"]: one["outcome"] for one in event["decisions"]} == {"train": "passed", "tell": "passed"}
    firing = shown(platform, "firings", "show", event["firings"][0])
    assert firing["action"]["kind"] in {"argoWorkflow", "http"}
    assert shown(platform, "sensors", "show", "train")["decisions"][0]["outcome"] == "passed"
    assert shown(platform, "sources", "show", "shop/orders")["items"][0]["state"] == "listening"
    (run,) = platform.items("runs")
    name = run["metadata"]["name"]
    assert shown(platform, "runs", "get", name)["status"]["nodes"]
    assert "learn" in platform.command("runs", "get", name)
    assert shown(platform, "runs", "watch", name)["status"]["phase"] == "Succeeded"
    assert platform.command("runs", "logs", name, "learn(0)") == "epoch 1\n"
    assert "learn(0): epoch 1" in platform.command("runs", "logs", name).splitlines()
    (promotion,) = platform.items("promotions")
    assert shown(platform, "promotions", "show", promotion["commit"])["id"] == promotion["id"]
    diff = platform.command("promotions", "diff", promotion["id"])
    assert "-  uri: none" in diff
    assert "+  uri: s3://models/sha256:" in diff


@pytest.mark.parametrize(
    "words",
    [
        ("events", "show", "nothing"),
        ("firings", "show", "nothing"),
        ("runs", "get", "nothing"),
        ("runs", "logs", "nothing"),
        ("runs", "stop", "nothing"),
        ("promotions", "show", "nothing"),
        ("promotions", "release", "model"),
        ("deadletters", "redrive", "nothing"),
        ("deadletters", "show", "nothing"),
        ("deadletters", "show", "nothing", "--raw"),
        ("sensors", "show", "nothing"),
        ("sources", "show", "nothing"),
        ("trace", "nothing"),
    ],
    ids=" ".join,
)
def test_a_thing_that_is_not_there_is_a_no_and_not_a_bug(platform: Platform, words: tuple[str, ...]) -> None:
    assert platform.command(*words, code=1) == ""


def test_a_run_that_is_over_can_be_neither_stopped_nor_terminated(platform: Platform) -> None:
    (run,) = platform.items("runs")
    for verb in ("stop", "terminate"):
        platform.command("runs", verb, run["metadata"]["name"], code=1)


def test_the_whole_chain_is_found_from_any_id_in_it(world: World) -> None:
    platform = world.platform
    (order,) = platform.items("events", source="shop")
    (promotion,) = platform.items("promotions")
    (run,) = platform.items("runs")
    (firing,) = platform.items("firings", sensor="train")
    (told,) = platform.items("events", subject="promotion.committed")
    commit = promotion["commit"]
    assert commit == git(world.repository, "rev-parse", "main").strip()
    ids = (order["id"], firing["id"], run["metadata"]["uid"], run["metadata"]["name"], promotion["id"], told["id"])

    chains = {name: shown(platform, "trace", name) for name in (*ids, commit, commit[:8])}

    for name, chain in chains.items():
        kinds = {node["kind"] for node in chain["nodes"]}
        assert {"event", "firing", "run", "promotion", "commit"} <= kinds, name
        found = {node["id"] for node in chain["nodes"]}
        assert {order["id"], firing["id"], run["metadata"]["uid"], promotion["id"], commit} <= found, name
        # From the order to the commit there is a path along the edges.
        reached, grown = {order["id"]}, True
        while grown:
            more = {effect for cause, effect in chain["edges"] if cause in reached} - reached
            reached, grown = reached | more, bool(more)
        assert commit in reached, name
    lines = platform.command("trace", commit[:8]).splitlines()
    assert any(commit in line for line in lines)


def test_an_event_names_its_object_and_the_object_finds_the_chain(world: World) -> None:
    platform = world.platform
    event = {"specversion": "1.0", "id": "obj-1", "source": "lake", "type": "t", "retrainobject": "day/ü 1.csv"}
    assert platform.emit(event).status == 202
    platform.wait(lambda: platform.items("events", source="lake"), "the event is seen")
    chain = shown(platform, "trace", "day/ü 1.csv")
    assert [(node["kind"], node["id"]) for node in chain["nodes"]] == [("object", "day/ü 1.csv"), ("event", "obj-1")]
    assert chain["edges"] == [["day/ü 1.csv", "obj-1"]]


def test_events_can_be_sent_from_a_file_or_from_words(platform: Platform, tmp_path: Path) -> None:
    words = ("events", "emit", "--source", "me", "--name", "poke", "--id", "one", "--data", '{"n": 1}')
    assert shown(platform, *words)["items"][0]["duplicate"] is False
    assert shown(platform, *words)["items"][0]["duplicate"] is True
    file = tmp_path / "event.json"
    file.write_text(json.dumps([{"specversion": "1.0", "id": "two", "source": "me", "type": "t"}]))
    assert platform.command("events", "emit", str(file), "-o", "name") == "two\n"
    platform.wait(lambda: len(platform.items("events", source="me")) == 2, "both are seen")
    assert shown(platform, "events", "list", "--source", "me", "--name", "poke")["items"][0]["data"] == {"n": 1}
    platform.command("events", "emit", "--data", "{", "--source", "me", code=2)
    platform.command("events", "emit", code=2)
    platform.command("events", "emit", "--source", "retrain", code=2)


def test_a_plan_shows_the_change_and_changes_nothing(world: World) -> None:
    platform, before = world.platform, git(world.repository, "rev-parse", "main")
    words = ("--input", "digest=sha256:" + "0" * 64, "--input", "uri=s3://models/next")
    plan = shown(platform, "promotions", "plan", str(platform.project / "promotion.yaml"), *words)
    assert plan["changes"][0]["file"] == "model.yaml"
    assert plan["changes"][0]["new"] == "s3://models/next"
    assert "+  uri: s3://models/next" in plan["diff"]
    assert plan["gates"] == []
    assert git(world.repository, "rev-parse", "main") == before


def test_a_plan_takes_the_candidate_that_a_run_has_made(world: World) -> None:
    platform, file = world.platform, str(world.platform.project / "promotion.yaml")
    (promotion,) = platform.items("promotions")

    again = shown(platform, "promotions", "plan", file, "--run", "@latest")
    other = shown(platform, "promotions", "plan", file, "--run", "@latest", "--input", "uri=s3://models/other")

    assert again["changes"] == [], "it is live already"
    assert other["changes"][0]["old"] == promotion["candidate"]["uri"]
    assert other["changes"][0]["new"] == "s3://models/other"
    platform.command("promotions", "plan", file, "--run", "no-such-run", code=1)


def test_z_a_target_is_held_released_and_rolled_back_by_people(world: World) -> None:
    """Last: it changes what the others look at."""
    platform = world.platform
    assert "held" in platform.command("promotions", "hold", "model", "--reason", "a freeze", "--actor", "ada")
    (hold,) = shown(platform, "promotions", "holds")["items"]
    assert (hold["name"], hold["reason"], hold["actor"]) == ("model", "a freeze", "ada")
    assert "released" in platform.command("promotions", "release", "model")
    assert shown(platform, "promotions", "holds")["items"] == []
    platform.command("promotions", "hold", "model", "-e", "nowhere", "--reason", "r", code=2)
    platform.command("promotions", "hold", "modle", "--reason", "r", code=1)

    world.send_until_taken(1)
    platform.wait(lambda: len(platform.items("promotions", state="committed")) == 2, "a second model is live")
    newest = git(world.repository, "show", "main:model.yaml")
    asked = shown(platform, "promotions", "rollback", "model", "--reason", "odd answers", "--actor", "ada")
    platform.wait(
        lambda: platform.get(f"/api/v1/promotions/{asked['id']}")["state"] == "committed", "the rollback is committed"
    )
    assert git(world.repository, "show", "main:model.yaml") != newest
    assert git(world.repository, "show", "main:model.yaml") == git(world.repository, "show", "main~2:model.yaml")
    assert len(shown(platform, "promotions", "holds")["items"]) == 1
