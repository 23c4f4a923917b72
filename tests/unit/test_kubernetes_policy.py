"""What an event may not choose of an object that it shapes: hostile ones by the file, and those that mean no harm."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kubernetes.guarded_fields import FIELDS, Choice, Rule
from pipelines.kubernetes.policy import Allow, Written, check, from_json
from retrain.errors import Permanent
from retrain.events import Event
from sensors.actions.match import Match
from sensors.actions.render import compile_trigger
from sensors.filtering.content import Content
from sensors.trigger_spec import Trigger

NOW = datetime(2026, 11, 20, tzinfo=UTC)
HOSTILE = sorted((Path(__file__).parents[1] / "data" / "hostile").glob("*.yaml"))
ARGO = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}
SPEC: dict[str, Any] = {
    "entrypoint": "main",
    "serviceAccountName": "trainer",
    "volumes": [{"name": "keys", "secret": {"secretName": "keys"}}, {"name": "node", "hostPath": {"path": "/data"}}],
    "arguments": {"parameters": [{"name": "day", "value": "none"}, {"name": "who", "value": "trainer"}]},
    "templates": [{"name": "main", "container": {"image": "busybox", "securityContext": {"privileged": True}}}],
}


def rendered(trigger: dict[str, Any], body: Any) -> dict[str, Any]:
    event = Event(id="1", source="src", type="webhook", subject="x", data={"body": body})
    match = Match("f-1", "", {"d": [event.key]}, NOW, NOW, "", lambda _name, _key: Content(event))
    return compile_trigger(Trigger.model_validate(trigger))(match)


def argo(parameters: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    resource = {**ARGO, "metadata": {"generateName": "train-"}, "spec": {**SPEC, **spec}}
    return {"template": {"name": "t", "argoWorkflow": {"source": {"resource": resource}, "parameters": parameters}}}


def put(key: str, dest: str, *, raw: bool = True) -> dict[str, Any]:
    return {"src": {"dependencyName": "d", "dataKey": f"body.{key}", "useRawData": raw}, "dest": dest}


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 20


@pytest.mark.parametrize("file", HOSTILE, ids=lambda file: file.stem)
def test_what_a_hostile_event_chooses_is_named_and_refused(file: Path) -> None:
    case = yaml.safe_load(file.read_text())

    chosen = from_json(rendered(case["trigger"], case["event"]).get("chosen"))

    assert {(one.path, one.rule.value) for one in chosen} == {(one["path"], one["rule"]) for one in case["refused"]}
    with pytest.raises(Permanent, match=r"an event may not choose"):
        check(chosen, Allow(), "ml")


HARMLESS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "an argument": ([put("day", "spec.arguments.parameters.0.value", raw=False)], {"day": "2026-11-20"}),
    "an image, a command, a name": (
        [put("image", "spec.templates.0.container.image"), put("name", "metadata.name")],
        {"image": "train:2", "name": "train-7"},
    ),
    "placement and resources": (
        [put("where", "spec.nodeSelector"), put("gpus", "spec.templates.0.container.resources")],
        {"where": {"gpu": "a100"}, "gpus": {"limits": {"nvidia.com/gpu": 4}}},
    ),
    "labels of its own": ([put("labels", "metadata.labels")], {"labels": {"team": "churn"}}),
    "restrictions": (
        [put("context", "spec.securityContext"), put("token", "spec.automountServiceAccountToken")],
        {"context": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}, "token": False},
    ),
    "a claim, and a directory of the pod's own": (
        [put("volume", "spec.volumes.-1")],
        {"volume": {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}},
    ),
    "the whole spec with the same rights": ([put("spec", "spec")], {"spec": {**SPEC, "parallelism": 3}}),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_gives_no_rights_is_the_events_to_choose(name: str) -> None:
    parameters, body = HARMLESS[name]

    assert "chosen" not in rendered(argo(parameters), body)


def test_what_the_sensor_itself_says_is_not_the_events_choice() -> None:
    """Today's Sensors have service accounts, Secrets and privileged steps of their own."""
    said = argo([put("day", "spec.arguments.parameters.0.value", raw=False)])

    assert "chosen" not in rendered(said, {"day": "1"})


def test_an_argument_of_the_sensors_own_may_name_the_account_beside_one_of_the_events() -> None:
    said = argo(
        [put("day", "spec.arguments.parameters.0.value", raw=False)], serviceAccountName="{{workflow.parameters.who}}"
    )

    assert "chosen" not in rendered(said, {"day": "1"})


def test_memory_by_an_argument_into_a_patch_of_the_pod_gives_no_rights() -> None:
    patch = '{"containers":[{"name":"main","resources":{"limits":{"memory":"{{workflow.parameters.day}}"}}}]}'
    said = argo([put("memory", "spec.arguments.parameters.0.value", raw=False)], podSpecPatch=patch)

    assert "chosen" not in rendered(said, {"memory": "2Gi"})


def test_variables_filled_from_an_event_are_its_choice_too() -> None:
    said = argo(
        [],
        serviceAccountName="{{workflow.parameters.who}}",
        arguments={"parameters": [{"name": "who", "value": "{{inputs.parameters.d-who}}"}]},
    )

    assert rendered(said, {"who": "root"})["chosen"] == [
        {"path": "spec.serviceAccountName", "rule": "serviceAccountName", "value": "root"}
    ]


@pytest.mark.parametrize(
    ("namespace", "value", "taken"),
    [("ml", "train-a", True), ("ml", "admin", False), ("other", "train-a", False), ("team-7", "anything", True)],
)
def test_what_is_listed_for_the_namespace_may_be_chosen(namespace: str, value: str, taken: bool) -> None:
    allow = Allow({"ml": {Rule.SERVICE_ACCOUNT: ("train-*",)}, "team-*": {Rule.SERVICE_ACCOUNT: ("*",)}})

    assert allow.takes(Choice("spec.serviceAccountName", Rule.SERVICE_ACCOUNT, value), namespace) is taken


@pytest.mark.parametrize(("path", "taken"), [("/data/a", True), ("/data/../etc", False), ("/data//b/./c", True)])
def test_a_host_path_is_where_it_leads(path: str, taken: bool) -> None:
    assert Allow({"ml": {Rule.HOST_PATH: ("/data/*",)}}).takes(Choice("p", Rule.HOST_PATH, path), "ml") is taken


@pytest.mark.parametrize(("listed", "taken"), [("/data/*", False), ("*", True)])
def test_where_a_value_leads_that_is_filled_later_nobody_knows(listed: str, taken: bool) -> None:
    value = "/data/{{inputs.parameters.x}}"

    assert Allow({"ml": {Rule.HOST_PATH: (listed,)}}).takes(Choice("p", Rule.HOST_PATH, value), "ml") is taken


def test_each_of_several_secrets_must_be_listed() -> None:
    pull = [put("pull", "spec.imagePullSecrets")]

    chosen = from_json(rendered(argo(pull), {"pull": [{"name": "registry-a"}, {"name": "admin"}]})["chosen"])

    assert [one.value for one in chosen] == ["registry-a", "admin"]


def test_a_user_that_is_listed_is_not_a_group() -> None:
    allow = Allow({"ml": {Rule.SECURITY: ("runAsUser=1000",)}})
    context = [put("context", "spec.securityContext")]

    chosen = from_json(rendered(argo(context), {"context": {"runAsUser": 1000, "runAsGroup": 1000}})["chosen"])

    assert [allow.takes(one, "ml") for one in chosen] == [True, False]


def test_a_refusal_names_field_rule_value_and_where_it_could_be_listed() -> None:
    with pytest.raises(Permanent) as caught:
        check([Choice("spec.serviceAccountName", Rule.SERVICE_ACCOUNT, "admin")], Allow(), "ml")

    assert str(caught.value) == (
        "an event may not choose spec.serviceAccountName = 'admin' (rule serviceAccountName): write it into the "
        "sensor, or list it in kubernetes.allow of namespace ml; nothing was made or changed"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab{}", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "spec", "templates", "volumes", "name", *FIELDS]), inner, max_size=3)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(["spec", "metadata", "kind", "patch"]), JSON, max_size=4)


@given(OBJECTS)
def test_an_object_that_is_equal_has_nothing_chosen(document: dict[str, Any]) -> None:
    again = yaml.safe_load(yaml.safe_dump(document))

    assert Written(document).chosen(again) == []


@given(OBJECTS, st.sampled_from(sorted(FIELDS)), st.lists(st.sampled_from(["a", "spec", "x"]), min_size=1, max_size=4))
def test_a_guarded_field_is_found_wherever_it_is_put(document: dict[str, Any], name: str, path: list[str]) -> None:
    value: Any = {name: "chosen"}
    for part in reversed(path):
        value = {part: value}

    chosen = Written(document).chosen({**document, "zzz": value})

    assert (".".join(["zzz", *path, name]), FIELDS[name]) in [(one.path, one.rule) for one in chosen]
