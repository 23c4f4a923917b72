"""The `k8s` trigger on a real API server: any object made, changed and deleted, and what becomes of each refusal."""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from retrain.errors import ConfigError
from retrain.store import deadletters
from retrain.store.firings import FiringState
from retrain.store.runs import RunFilter, listing
from tests.integration.object_world import MERGE, World, install, uninstall, world
from tests.servers.kube_proxy import kube_proxy, spoil
from tests.servers.kube_server import KubeApi
from triggers.kube_objects import KubeObjects
from triggers.object_request import APPLY, JSON, STRATEGIC

pytestmark = pytest.mark.integration

POD = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox", "command": ["true"]}]}
DONE, DEAD, PENDING = FiringState.DONE, FiringState.DEAD, FiringState.PENDING


def a_job(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": POD}}}


def settings(name: str = "s", data: Any = None, **metadata: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return body if data is None else {**body, "data": data}


@pytest.fixture
async def here(kube_api: KubeApi, tmp_path: Path) -> AsyncIterator[World]:
    async with world(kube_api, tmp_path) as found:
        yield found


# ---- made, changed, deleted ----


async def test_any_object_is_made_under_a_name_that_its_firing_gives(here: World) -> None:
    row = await here.fire(a_job(generateName="train-", labels={"team": "churn"}))

    name = row.result["object"]
    found = await here.get("batch/v1", "Job", name)
    run = await here.run(row)
    assert row.state == DONE
    assert name.startswith("train-")
    assert found["metadata"]["uid"] == row.result["uid"]
    labels = found["metadata"]["labels"]
    assert labels["retrain.dev/firing"] == row.id
    assert (labels["team"], labels["retrain.dev/run"]) == ("churn", run.id)
    assert (run.engine, run.name, run.namespace, run.workflow) == ("object", name, here.space, "train")


async def test_what_was_made_by_an_attempt_that_died_is_found_again(here: World) -> None:
    """The answer of the first attempt was lost: the second one finds the object, and it is one run."""
    first = await here.fire(a_job(generateName="train-"))
    await here.die(first)

    again = await here.redrive(first)

    listed = await here.cluster.get((await here.cluster.resource("batch/v1", "Job")).at(here.space))
    assert again.result == first.result
    assert len(listed["items"]) == 1
    assert (await here.run(again)).name == first.result["object"]


async def test_an_object_of_that_name_which_is_anothers_is_a_dead_letter(here: World) -> None:
    await here.fire(a_job(name="train"))

    row = await here.fire(a_job(name="train"))

    assert row.state == DEAD
    assert f"there is a Job {here.space}/train already, and this firing has not made it" in (row.error or "")


async def test_an_object_whose_end_nobody_knows_is_no_run(here: World) -> None:
    row = await here.fire(settings(data={"a": "1"}))

    assert "run" not in row.result
    assert "retrain.dev/run" not in (await here.get("v1", "ConfigMap", "s"))["metadata"]["labels"]
    assert (await here.store.read(lambda c: listing(c, RunFilter()))).items == []


async def test_an_update_goes_over_the_object_and_makes_it_where_there_is_none(here: World) -> None:
    await here.fire(settings(data={"a": "1", "b": "2"}), "update")
    await here.fire(settings(data={"a": "3", "b": None}, annotations={"x": "y"}), "update")

    found = await here.get("v1", "ConfigMap", "s")
    assert found["data"] == {"a": "3", "b": "2"}
    assert found["metadata"]["annotations"] == {"x": "y"}


@pytest.mark.parametrize(
    ("strategy", "body", "data"),
    [
        (MERGE, {"data": {"a": None, "b": "2"}}, {"b": "2"}),
        (STRATEGIC, {"data": {"b": "2"}}, {"a": "1", "b": "2"}),
        (APPLY, {"data": {"b": "2"}}, {"a": "1", "b": "2"}),
        (JSON, {"patch": [{"op": "move", "from": "/data/a", "path": "/data/b"}]}, {"b": "1"}),
    ],
)
async def test_a_patch_is_made_in_each_way(here: World, strategy: str, body: Any, data: Any) -> None:
    await here.fire(settings(data={"a": "1"}))

    row = await here.fire({**settings(), **body}, "patch", patchStrategy=strategy)

    assert row.state == DONE, row.error
    assert (await here.get("v1", "ConfigMap", "s"))["data"] == data


@pytest.mark.parametrize("strategy", [MERGE, STRATEGIC, APPLY])
async def test_a_patch_of_nothing_makes_the_object_and_it_is_a_run(here: World, strategy: str) -> None:
    row = await here.fire(a_job(name="train"), "patch", patchStrategy=strategy)
    again = await here.fire({**a_job(name="train", labels={"a": "b"})}, "patch", patchStrategy=strategy)

    assert (await here.run(row)).name == "train"
    assert "run" not in again.result
    labels = (await here.get("batch/v1", "Job", "train"))["metadata"]["labels"]
    assert labels["retrain.dev/run"] == row.result["run"]
    assert labels["a"] == "b"


async def test_a_json_patch_is_made_once_for_each_firing(here: World) -> None:
    await here.fire(settings(data={"a": "1"}))
    steps = [{"op": "copy", "from": "/data/a", "path": "/data/b"}, {"op": "remove", "path": "/data/a"}]
    first = await here.fire({**settings(), "patch": steps}, "patch", patchStrategy=JSON)
    await here.die(first)

    again = await here.redrive(first)
    other = await here.fire({**settings(), "patch": steps}, "patch", patchStrategy=JSON)

    assert (first.state, again.state) == (DONE, DONE)
    assert other.state == DEAD  # there is no /data/a any more
    assert (await here.get("v1", "ConfigMap", "s"))["data"] == {"b": "1"}


async def test_a_live_object_gets_values_put_into_what_is_there_once(here: World) -> None:
    job = a_job(name="train")
    job["spec"]["suspend"] = True
    await here.fire({**job, "metadata": {"name": "train", "annotations": {"seen": "a"}}}, track=False)
    live = [
        {"dest": "metadata.annotations.seen", "value": "b", "operation": "append"},
        {"dest": "spec.template.spec.nodeSelector.gpu", "value": "a100", "operation": "overwrite"},
    ]
    identity = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "train"}}

    first = await here.fire(identity, "update", liveObject=True, live=live)
    await here.die(first)
    again = await here.redrive(first)

    found = await here.get("batch/v1", "Job", "train")
    assert (first.state, again.state) == (DONE, DONE), first.error
    assert found["metadata"]["annotations"]["seen"] == "ab"
    assert found["spec"]["template"]["spec"]["nodeSelector"] == {"gpu": "a100"}
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox"


async def test_a_deletion_takes_the_object_and_is_content_where_there_is_none(here: World) -> None:
    await here.fire(settings())

    first, second = await here.fire(settings(), "delete"), await here.fire(settings(), "delete")

    assert (first.state, second.state) == (DONE, DONE)
    assert first.result == {"object": "s"}
    with pytest.raises(Exception, match="not found"):
        await here.get("v1", "ConfigMap", "s")


async def test_an_object_without_a_namespace_is_made_too(here: World) -> None:
    name = f"c-{uuid.uuid4().hex[:8]}"
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 7}

    made = await here.fire(priority)
    changed = await here.fire({**priority, "metadata": {"name": name, "labels": {"a": "b"}}}, "update")
    deleted = await here.fire(priority, "delete")

    assert [one.state for one in (made, changed, deleted)] == [DONE] * 3, made.error


async def test_without_a_cluster_it_is_said_what_to_do(tmp_path: Path) -> None:
    async def none() -> Any:
        raise ConfigError("there is no kubeconfig that can be read")

    objects = KubeObjects(none, none)

    with pytest.raises(ConfigError, match=r"a Job of batch/v1 is an object of a cluster.*set kubernetes\.kubeconfig"):
        await objects.create({**a_job(name="train")})


# ---- policy ----


async def test_a_policy_waits_for_labels_conditions_and_values(here: World) -> None:
    policy = {
        "k8s": {
            "labels": {"seen": "yes"},
            "conditions": {"Ready": "True"},
            "jsonPath": {"{.status.phase}": "Up"},
            "backoff": {"duration": "100ms", "steps": 200, "factor": 1, "jitter": 0},
            "errorOnBackoffTimeout": True,
        }
    }
    install(here.server, "inferenceservices.serving.kserve.io")
    body: dict[str, Any] = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "m"},
    }
    row = await here.send({**body, "spec": {}}, policy=policy)
    waits = await here.until(row.id, lambda one: bool(one.error))
    path = (await here.cluster.resource(body["apiVersion"], body["kind"])).at(here.space, "m")

    await here.cluster.patch(path, {"metadata": {"labels": {"seen": "yes"}}})
    await here.until(row.id, lambda one: "label" not in (one.error or ""))
    status = {"phase": "Up", "conditions": [{"type": "Ready", "status": "True"}]}
    await here.say(body["apiVersion"], body["kind"], "m", status)
    done = await here.until(row.id, lambda one: one.state == DONE)

    assert waits.error == "waits until m has label seen=yes and no condition Ready=True and no value {.status.phase}=Up"
    assert waits.attempts == 0
    assert done.result["object"] == "m"


# ---- refusals ----


async def test_who_may_not_is_a_dead_letter_that_names_the_rule(kube_api: KubeApi, tmp_path: Path) -> None:
    space = f"objects-{uuid.uuid4().hex[:8]}"
    kube_api.make_namespace(space)
    account = f"/api/v1/namespaces/{space}/serviceaccounts"
    kube_api.ask("POST", account, {"metadata": {"name": "nobody"}})
    token = kube_api.ask("POST", f"{account}/nobody/token", {"spec": {}})["status"]["token"]

    async with world(kube_api, tmp_path, token=token) as here:
        row = await here.fire(a_job(name="train"))

    assert row.state == DEAD
    assert 'cannot create resource "jobs" in API group "batch"' in (row.error or "")
    rule = '{apiGroups: ["batch"], resources: ["jobs"], verbs: ["create"]}'
    assert f"a Role in {here.space} with the rule {rule}" in (row.error or "")
    assert token not in (row.error or "")


async def test_a_quota_that_is_used_up_is_waited_for(here: World) -> None:
    """Without a quota controller its status is written here."""
    none: dict[str, Any] = {"hard": {"count/jobs.batch": "0"}}
    path = f"/api/v1/namespaces/{here.space}/resourcequotas"
    quota = {"metadata": {"name": "q"}, "spec": none}
    here.server.ask("POST", path, quota)
    here.server.ask("PUT", f"{path}/q/status", {**quota, "status": {**none, "used": {"count/jobs.batch": "0"}}})

    row = await here.fire(a_job(name="train"), retryStrategy={"steps": 1})
    here.server.ask("DELETE", f"{path}/q")
    await here.hurry(row)
    done = await here.until(row.id, lambda one: one.state == DONE)

    assert (row.state, row.attempts) == (PENDING, 0)
    assert "exceeded quota: q" in (row.error or "")
    assert done.result["object"] == "train"


async def test_a_quota_that_nobody_has_counted_yet_is_waited_for(here: World) -> None:
    """For a moment after a quota is changed its controller has not said what is used."""
    path, one = f"/api/v1/namespaces/{here.space}/resourcequotas", {"hard": {"count/jobs.batch": "1"}}
    quota = {"metadata": {"name": "q"}, "spec": one}
    here.server.ask("POST", path, quota)
    here.server.ask("PUT", f"{path}/q/status", {**quota, "status": one})

    row = await here.fire(a_job(name="train"), retryStrategy={"steps": 1})

    assert "status unknown for quota: q" in (row.error or "")
    assert (row.state, row.attempts) == (PENDING, 0)


async def test_what_the_cluster_keeps_secret_is_in_no_dead_letter(here: World) -> None:
    """The object is looked at again for its policy, and it is more than the sensor has said."""
    kept = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"password": "hunter22"}}
    here.server.ask("POST", f"/api/v1/namespaces/{here.space}/secrets", kept)
    wanted = {"k8s": {"labels": {"ready": "yes"}, "backoff": {"steps": 1}, "errorOnBackoffTimeout": True}}
    said = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys", "labels": {"seen": "yes"}}}

    row = await here.fire(said, "update", policy=wanted)

    (letter,) = await here.store.read(lambda c: deadletters.listing(c).items)
    assert row.state == DEAD
    assert "created" not in json.loads(letter.body)["action"]
    assert b64encode(b"hunter22") not in letter.body


async def test_what_a_rule_of_the_cluster_does_not_let_in_is_a_dead_letter(here: World) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    here.server.ask("PATCH", f"/api/v1/namespaces/{here.space}", {"metadata": {"labels": labels}}, MERGE)
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": POD}

    row = await here.fire(pod)

    assert row.state == DEAD
    assert "violates PodSecurity" in (row.error or "")


async def test_what_is_invalid_is_a_dead_letter_that_names_the_fields(here: World) -> None:
    install(here.server, "pytorchjobs.kubeflow.org")
    bad = a_job(name="train")
    bad["spec"]["template"] = {"spec": {**POD, "restartPolicy": "Always"}}
    torch = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "t"}, "spec": {"replicas": 2}}

    job, training = await here.fire(bad), await here.fire(torch)

    assert (job.state, training.state) == (DEAD, DEAD)
    assert "spec.template.spec.restartPolicy" in (job.error or "")
    assert "spec.pytorchReplicaSpecs: Required value" in (training.error or "")


async def test_a_namespace_that_is_not_there_is_a_dead_letter(here: World) -> None:
    made = await here.fire(a_job(name="train", namespace="nowhere"))
    changed = await here.fire(settings(namespace="nowhere", data={}), "update")
    deleted = await here.fire(settings(namespace="nowhere"), "delete")

    assert (made.state, changed.state, deleted.state) == (DEAD, DEAD, DONE)
    assert 'namespaces "nowhere" not found' in (made.error or "")


async def test_a_kind_that_is_installed_later_is_found_by_a_redrive(here: World) -> None:
    job = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "ray"}, "spec": {}}
    uninstall_if_there(here, "rayjobs.ray.io")
    row = await here.fire(job)
    install(here.server, "rayjobs.ray.io")

    done = row
    for _ in range(50):  # the server serves a new kind a moment after it has taken it
        if (done := await here.redrive(row)).state == DONE:
            break

    assert row.state == DEAD
    assert "the cluster knows no RayJob of ray.io/v1: install its CRD" in (row.error or "")
    assert (await here.run(done)).manifest["kind"] == "RayJob"


def uninstall_if_there(here: World, name: str) -> None:
    known = json.dumps(here.server.ask("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"))
    if f'"{name}"' in known:
        uninstall(here.server, name)


async def test_a_server_that_says_when_it_has_time_again_is_not_asked_before(kube_api: KubeApi, tmp_path: Path) -> None:
    async with kube_proxy(kube_api) as proxy, world(kube_api, tmp_path, server=f"https://{proxy.address}") as here:
        proxy.spoils = (spoil("answer", "create", status=429, after_s=40.0, part="/jobs"),)
        row = await here.fire(a_job(name="train"), retryStrategy={"steps": 1})
        asked = proxy.done["answer"]
        proxy.spoils = ()
        await here.hurry(row)
        done = await here.until(row.id, lambda one: one.state == DONE)

    assert asked == 1
    assert (row.state, row.attempts) == (PENDING, 0)
    assert "answers 429" in (row.error or "")
    assert row.next_attempt is not None
    assert row.next_attempt >= row.created + timedelta(seconds=40)
    assert done.result["object"] == "train"


async def test_an_object_that_many_change_at_once_is_changed_later(kube_api: KubeApi, tmp_path: Path) -> None:
    """After some tries of its own the server says 409 to a patch that is about no version."""
    async with kube_proxy(kube_api) as proxy, world(kube_api, tmp_path, server=f"https://{proxy.address}") as here:
        await here.fire(settings(data={"a": "1"}))
        proxy.spoils = (spoil("answer", "patch", status=409, part="/configmaps"),)
        row = await here.fire(settings(data={"a": "2"}), "update", retryStrategy={"steps": 2, "duration": "1h"})
        proxy.spoils = ()
        await here.hurry(row)
        await here.until(row.id, lambda one: one.state == DONE)

        assert "is changed all the time by somebody else" in (row.error or "")
        assert (await here.get("v1", "ConfigMap", "s"))["data"] == {"a": "2"}


async def test_an_answer_that_is_lost_makes_no_second_object(kube_api: KubeApi, tmp_path: Path) -> None:
    async with kube_proxy(kube_api) as proxy, world(kube_api, tmp_path, server=f"https://{proxy.address}") as here:
        proxy.spoils = (spoil("lose", "create", part="/jobs"),)
        row = await here.fire(a_job(generateName="train-"))
        proxy.spoils = ()
        await here.hurry(row)
        done = await here.until(row.id, lambda one: one.state == DONE)

        listed = await here.cluster.get((await here.cluster.resource("batch/v1", "Job")).at(here.space))

    assert row.state == PENDING
    assert [one["metadata"]["name"] for one in listed["items"]] == [done.result["object"]]
