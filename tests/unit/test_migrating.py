"""What becomes of Argo Events' objects: verdicts by the loader's findings and the facts, and the order of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain.app.migrating.facts import FACTS, Verdict
from retrain.app.migrating.facts.beside import Beside, events_of
from retrain.app.migrating.reading import of_paths
from retrain.app.migrating.report import Gathered, Report, report
from retrain.app.migrating.surroundings import around
from retrain.manifests import Loaded
from retrain.manifests.objects import document_of

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
DATA = ROOT / "tests" / "data"
ARGO = "argoproj.io/v1alpha1"
UPSTREAM_REFUSED = {
    *("azure-events-hub", "bitbucketserver", "gerrit", "nsq", "pulsar"),
    *("azure-event-hubs-sensor", "complete-trigger-parameterization", "custom-trigger", "trigger-openwhisk"),
}


def sensor(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": ARGO, "kind": "Sensor", "metadata": {"name": "s", "namespace": "ml"}, "spec": spec}


def source(name: str = "e", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": ARGO, "kind": "EventSource", "metadata": {"name": name, "namespace": "ml"}, "spec": spec}


def waits(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "eventSourceName": "e", "eventName": name} for name in names]


def acts(template: dict[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
    return [{"template": {"name": "t", "log": {}, **(template or {})}, **more}]


def judged(*bodies: dict[str, Any], objects: tuple[dict[str, Any], ...] = ()) -> Report:
    documents = [document_of(body, f"ml/{body['kind']}/{body['metadata']['name']}") for body in bodies]
    return report(Gathered([Loaded((), (), tuple(documents), ())], False, around(objects), ["ml"]))


def codes(made: Report) -> dict[str, Verdict]:
    return {note.code: note.verdict for one in made.objects for note in one.notes}


# --- verdicts ------------------------------------------------------------------------------------------------------


def test_what_is_the_same_works_as_is() -> None:
    made = judged(
        source(webhook={"a": {"endpoint": "/a", "port": "12000"}}), sensor(dependencies=waits("a"), triggers=acts())
    )

    assert [one.verdict for one in made.objects] == [Verdict.AS_IS, Verdict.AS_IS]
    assert not made.refused


def test_what_argo_events_loses_works_better() -> None:
    made = judged(source(calendar={"a": {"interval": "1h"}}))

    assert codes(made) == {"found-later": Verdict.BETTER}
    assert made.objects[0].verdict is Verdict.BETTER
    assert made.objects[0].notes[0].path == "spec.calendar.a"


def test_what_is_not_built_is_refused_with_its_reason_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(source(pulsar={"a": {"url": "x"}}), sort_keys=False))

    made = report(of_paths([tmp_path]))

    (one,) = made.objects
    assert one.verdict is Verdict.REFUSED
    assert (one.notes[0].code, one.notes[0].line) == ("unsupported-kind", 7)
    assert "KoP" in one.notes[0].message
    assert made.refused


def test_a_text_that_is_no_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: argoproj.io/v1alpha1\nkind: [")

    assert report(of_paths([tmp_path])).refused


def test_a_second_object_of_one_name_differs_for_a_cluster_would_keep_the_last(tmp_path: Path) -> None:
    text = yaml.safe_dump_all([source(webhook={"a": {"endpoint": "/a"}})] * 2)
    (tmp_path / "a.yaml").write_text(text)

    made = report(of_paths([tmp_path]))

    assert [one.verdict for one in made.objects] == [Verdict.AS_IS, Verdict.DIFFERS]


@pytest.mark.parametrize(
    ("conditions", "value", "crashes"),
    [("a || b", None, True), ("a && b", None, False), ("a || b", "none", False), ("a", None, False)],
)
def test_a_payload_crashes_upstream_where_its_dependency_may_be_missing(
    conditions: str, value: str | None, crashes: bool
) -> None:
    """Only a condition that can hold without the dependency, and no value that stands in."""
    src = {"dependencyName": "b" if "b" in conditions else "a", "dataKey": "x"} | ({"value": value} if value else {})
    template: dict[str, Any] = {
        "conditions": conditions,
        "http": {"url": "http://x", "payload": [{"src": src, "dest": "x"}]},
    }
    template["log"] = None

    made = judged(sensor(dependencies=waits("a", "b"), triggers=acts(template)))

    assert ("missing-half" in codes(made)) is crashes


@pytest.mark.parametrize(
    ("conditions", "waiting", "twice"),
    [(None, True, False), ("a && b", True, False), ("a || b", False, True), ("(a && b) || a", True, True)],
)
def test_halves_and_double_actions_follow_from_the_condition(
    conditions: str | None, waiting: bool, twice: bool
) -> None:
    template = {"conditions": conditions} if conditions else {}

    found = codes(judged(sensor(dependencies=waits("a", "b"), triggers=acts(template))))

    assert ("halves" in found, "twice-by-or" in found) == (waiting, twice)


def test_a_service_account_is_something_to_do_and_no_difference() -> None:
    made = judged(sensor(dependencies=waits("a"), triggers=acts(), template={"serviceAccountName": "runs"}))

    assert codes(made) == {"account": Verdict.AS_IS}
    assert "runs" in made.plan[0].why


def test_a_template_that_shapes_a_pod_differs_and_labels_alone_do_not() -> None:
    shaped = judged(source(webhook={"a": {"endpoint": "/a"}}, template={"container": {"env": [{"name": "A"}]}}))
    labelled = judged(source(webhook={"a": {"endpoint": "/a"}}, template={"metadata": {"labels": {"a": "b"}}}))

    assert shaped.objects[0].verdict is Verdict.DIFFERS
    assert labelled.objects[0].verdict is Verdict.AS_IS


def test_a_bus_that_is_not_built_is_refused_by_name() -> None:
    kafka = {"apiVersion": ARGO, "kind": "EventBus", "metadata": {"name": "default"}, "spec": {"kafka": {"url": "k"}}}

    made = judged(kafka)

    assert made.refused
    assert made.objects[0].notes[0].path == "spec.kafka"


@pytest.mark.parametrize(
    ("more", "verdict"), [({}, Verdict.DIFFERS), ({"service": {"ports": [{"port": 12000}]}}, Verdict.AS_IS)]
)
def test_a_port_that_two_sources_name_is_told_of_and_differs_where_no_service_of_ours_leads_there(
    more: dict[str, Any], verdict: Verdict
) -> None:
    hook = {"webhook": {"a": {"endpoint": "/a", "port": "12000"}}}

    made = judged(source("first", **hook), source("second", **hook, **more))

    assert [one.verdict for one in made.objects] == [Verdict.AS_IS, verdict]
    assert codes(made) == {"same-port": verdict}


# --- facts ---------------------------------------------------------------------------------------------------------


def rows() -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for line in (ROOT / "docs/compatibility.md").read_text().splitlines():
        cells = [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|")]
        if line.startswith("|") and len(cells) >= 2:
            found.add((cells[0], cells[1]))
    return found


def test_every_fact_is_a_row_of_the_page_in_the_same_words() -> None:
    facts = [one for facts in FACTS.values() for one in facts]

    assert [one.code for one in facts if (one.there, one.here) not in rows()] == []
    assert len(facts) > 40


# --- around, and the plan ------------------------------------------------------------------------------------------


def owned(kind: str, name: str, owner: str, of: str, **spec: Any) -> dict[str, Any]:
    owners = [{"apiVersion": ARGO, "kind": owner, "name": of, "uid": "u", "controller": True}]
    return {"kind": kind, "metadata": {"name": name, "namespace": "ml", "ownerReferences": owners}, "spec": spec}


CONTROLLER = {
    "kind": "Deployment",
    "metadata": {"name": "controller-manager", "namespace": "argo-events"},
    "spec": {
        "template": {
            "spec": {"containers": [{"image": "quay.io/argoproj/argo-events:v1.9.11", "args": ["controller"]}]}
        }
    },
}


def test_what_runs_there_is_found_by_its_owner_and_its_image() -> None:
    found = around(
        [
            owned("Deployment", "e-eventsource-x7", "EventSource", "e", replicas=2),
            owned("StatefulSet", "eventbus-default-js", "EventBus", "default", replicas=3),
            owned("Service", "e-eventsource-svc", "EventSource", "e"),
            {
                "kind": "Service",
                "metadata": {"name": "mine", "namespace": "ml"},
                "spec": {"selector": {"eventsource-name": "e"}},
            },
            {"kind": "Service", "metadata": {"name": "other", "namespace": "ml"}, "spec": {"selector": {"app": "x"}}},
            {"kind": "Deployment", "metadata": {"name": "theirs", "namespace": "ml"}, "spec": {}},
            CONTROLLER,
        ]
    )

    assert [(one.role, one.name, one.of, one.replicas) for one in found] == [
        ("pods", "e-eventsource-x7", "EventSource e", 2),
        ("bus", "eventbus-default-js", "EventBus default", 3),
        ("service", "e-eventsource-svc", "EventSource e", None),
        ("own service", "mine", "EventSource e", None),
        ("controller", "controller-manager", "", 1),
    ]


def test_what_the_real_controller_made_is_recognized_and_chosen_by_its_labels() -> None:
    recorded = list(yaml.safe_load_all((DATA / "argo_events_made.yaml").read_text()))
    webhook = source("data", webhook={"push": {"endpoint": "/push", "port": "12000"}})

    found = around(recorded)
    of_files = judged(webhook, sensor(dependencies=waits("push"), triggers=acts())).plan

    assert [(one.role, one.kind, one.of) for one in found] == [
        ("pods", "Deployment", "EventSource data"),
        ("pods", "Deployment", "Sensor train"),
        ("bus", "StatefulSet", "EventBus default"),
        ("service", "Service", "EventSource data"),
        ("bus", "Service", "EventBus default"),
    ]
    chosen = {
        command.split(" -l ")[1].split()[0] for step in of_files for command in step.commands if " -l " in command
    }
    labels = [one["metadata"]["labels"] for one in recorded if one["kind"] == "Deployment"]
    assert chosen == {f"controller={one['controller']}" for one in labels}


def test_the_intake_moves_only_when_the_new_platform_collects_and_does_not_act() -> None:
    webhook = source(webhook={"a": {"endpoint": "/a"}}, service={"ports": [{"port": 12000}]})
    objects = (
        owned("Deployment", "s-sensor-1", "Sensor", "s"),
        owned("Deployment", "e-1", "EventSource", "e"),
        CONTROLLER,
    )

    titles = [
        step.title for step in judged(webhook, sensor(dependencies=waits("a"), triggers=acts()), objects=objects).plan
    ]

    assert [next(i for i, title in enumerate(titles) if word in title) for word in (
        "controller", "Suspend", "Start Retrain", "Services", "Stop the sources", "Stop the sensors", "remove"
    )] == list(range(7))  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "who"),
    [
        ({"webhook": {"a": {"endpoint": "/a"}}}, Beside.CALLED),
        ({"sqs": {"a": {"queue": "q"}}}, Beside.SHARED),
        ({"kafka": {"a": {"consumerGroup": {"groupName": "g"}}}}, Beside.SHARED),
        ({"kafka": {"a": {"partition": "0"}}}, Beside.BOTH),
        ({"calendar": {"a": {"interval": "1h"}}, "template": {"container": {}}}, Beside.BOTH),
    ],
)
def test_who_gets_an_event_while_both_run_is_told_by_the_kind(spec: dict[str, Any], who: Beside) -> None:
    assert [found for _, _, found in events_of(source(**spec))] == [who]


# --- upstream's own examples ---------------------------------------------------------------------------------------


def test_of_upstreams_examples_only_what_is_not_built_is_refused() -> None:
    examples = CORPUS / "argo-events/examples"
    if not examples.is_dir():
        pytest.skip("the corpus of upstream's examples is not beside this checkout")

    made = report(of_paths([examples]))

    assert {one.name for one in made.objects if one.verdict is Verdict.REFUSED} == UPSTREAM_REFUSED
    assert sum(made.counts.values()) == len(made.objects) > 80
    assert all(note.line > 0 for one in made.objects for note in one.notes)


def test_the_finalizers_of_a_controller_that_is_gone_go_too() -> None:
    """With them nobody could delete an object any more, nor its namespace."""
    held = source("e", webhook={"w": {"endpoint": "/w", "port": "12000"}})
    held["metadata"] |= {"namespace": "ml", "finalizers": ["eventsource-controller", "keep.example.com/it"]}
    bus: dict[str, Any] = source("default", jetstream={"version": "2.10.10"}) | {"kind": "EventBus"}
    bus["metadata"] |= {"namespace": "ml", "finalizers": ["eventbus-controller"]}
    free = sensor(dependencies=waits("a"), triggers=acts())

    last = judged(held, bus, free).plan[-1]

    assert last.commands == (
        "kubectl -n ml patch eventsources.argoproj.io e --type merge -p "
        """'{"metadata":{"finalizers":["keep.example.com/it"]}}'""",
        """kubectl -n ml patch eventbus.argoproj.io default --type merge -p '{"metadata":{"finalizers":null}}'""",
    )
    assert "finalizers" in last.why
