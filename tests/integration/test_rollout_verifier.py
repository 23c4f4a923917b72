"""What has been committed is looked at: on a real API server, Prometheus and HTTP server, over restarts and kills.

The API server has no controllers here: the tests write what Argo CD, Flux and KServe would. With a real Argo CD and
Flux: tests/e2e/test_rollout_argocd.py and test_rollout_flux.py.
"""

from __future__ import annotations

import multiprocessing
import signal
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import yaml

from retrain.store import promotions
from tests.integration import rollout_verifying
from tests.integration.promotion_world import Remote, candidate
from tests.integration.rollout_verifying import smoke, verifying, watched
from tests.servers.http_server import HttpServer, http_server
from tests.servers.kube_server import KubeApi
from tests.servers.prometheus_server import PASSWORD, USER, PrometheusServer
from tests.support.dying import end_of

pytestmark = pytest.mark.integration

CRDS = Path(__file__).parents[1] / "data" / "crds" / "rollout.yaml"
SECRET = {"name": "cluster", "key": "config"}
MERGE = "application/merge-patch+json"
# Children of one that has imported everything: a process costs nothing then.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.integration.rollout_verifying"])


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote.create(tmp_path / "deploy.git")


@pytest.fixture
def model() -> Iterator[HttpServer]:
    """What serves the model. It is not there yet."""
    with http_server(etags=False) as server:
        yield server


class Space:
    """A namespace of an API server that knows the kinds, for objects that nobody but the test changes."""

    def __init__(self, server: KubeApi) -> None:
        self.server = server
        self.name = f"t{uuid.uuid4().hex[:10]}"
        known = server.ask("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
        for crd in yaml.safe_load_all(CRDS.read_text()):
            if crd["metadata"]["name"] not in {one["metadata"]["name"] for one in known}:
                server.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        server.make_namespace(self.name)

    def path(self, api: str, plural: str, name: str = "") -> str:
        return f"/apis/{api}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    async def make(self, api: str, plural: str, kind: str, name: str, **more: Any) -> None:
        body = {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **more}
        with anyio.fail_after(30):
            while True:
                try:
                    await anyio.to_thread.run_sync(self.server.ask, "POST", self.path(api, plural), body)
                    return
                except OSError:  # the kind is a moment younger than we are
                    await anyio.sleep(0.1)

    async def say(self, api: str, plural: str, name: str, status: Any, *, sub: bool = True) -> None:
        """Write a status, as the controller would."""
        path = self.path(api, plural, name) + ("/status" if sub else "")
        await anyio.to_thread.run_sync(self.server.ask, "PATCH", path, {"status": status}, MERGE)

    async def annotation(self, api: str, plural: str, name: str, key: str) -> str:
        """Wait for an annotation; its value."""
        with anyio.fail_after(30):
            while True:
                one = await anyio.to_thread.run_sync(self.server.ask, "GET", self.path(api, plural, name))
                if key in one["metadata"].get("annotations", {}):
                    return one["metadata"]["annotations"][key]
                await anyio.sleep(0.05)


@pytest.fixture
def space(kube_api: KubeApi) -> Space:
    return Space(kube_api)


@pytest.fixture
def secrets(kube_api: KubeApi) -> dict[str, dict[str, str]]:
    return {"cluster": {"config": kube_api.kubeconfig()}}


ARGO = ("argoproj.io/v1alpha1", "applications")


def synced(space: Space) -> dict[str, Any]:
    return {"name": "synced", "kind": "argocd", "application": "a", "namespace": space.name, "kubeconfig": SECRET}


def at(commit: str, health: str = "Healthy") -> dict[str, Any]:
    operation = {"phase": "Succeeded", "syncResult": {"revision": commit}}
    return {"sync": {"status": "Synced", "revision": commit}, "health": {"status": health}, "operationState": operation}


async def test_it_is_live_when_argo_cd_has_synced_a_commit_on_top_of_it(
    tmp_path: Path, remote: Remote, space: Space, secrets: Any
) -> None:
    await space.make(*ARGO, "Application", "a", status=at(remote.tip()))

    async with watched(tmp_path / "data", verifying(remote.path, synced(space)), secrets=secrets) as world:
        row = await world.committed()
        refresh = await space.annotation(*ARGO, "a", "argocd.argoproj.io/refresh")
        await world.seen(row.id, "synced", "not at the commit")
        await space.say(*ARGO, "a", at(remote.human({"README.md": "by hand\n"})), sub=False)
        verified = await world.verified(row.id)
        events = [event.subject for event in await world.events()]

    assert refresh == "normal"
    assert (verified.state, verified.owner) == ("live", None)
    assert verified.verification["outcome"] == "passed"
    assert verified.verification["checks"][0]["figures"]["revision"] == remote.tip()
    assert events.count("promotion.live") == 1


async def test_degraded_at_the_commit_is_unhealthy(tmp_path: Path, remote: Remote, space: Space, secrets: Any) -> None:
    await space.make(*ARGO, "Application", "a", status=at(remote.tip()))
    check = {**synced(space), "degradedFor": "300ms"}
    document = verifying(remote.path, check, onFailure="nothing")

    async with watched(tmp_path / "data", document, secrets=secrets) as world:
        row = await world.committed()
        await space.say(*ARGO, "a", at(row.commit_sha, "Degraded"), sub=False)
        verified = await world.verified(row.id)

    assert verified.state == "unhealthy"
    assert f"Degraded at {row.commit_sha[:7]}" in verified.reason


async def test_a_sync_that_never_comes_is_a_time_out_that_says_what_was_missing(
    tmp_path: Path, remote: Remote, space: Space, secrets: Any
) -> None:
    await space.make(*ARGO, "Application", "a", status=at(remote.tip()))
    document = verifying(remote.path, synced(space), verifyWithin="1s")

    async with watched(tmp_path / "data", document, secrets=secrets) as world:
        row = await world.committed()
        verified = await world.verified(row.id)

    assert (verified.state, verified.verification["outcome"]) == ("unhealthy", "timeout")
    assert "not verified within 1s: synced: not at the commit: Argo CD looks at" in verified.reason
    assert len(remote.commits()) == 2, "nothing was taken back"


async def test_a_cluster_that_does_not_let_us_in_is_an_error_that_may_heal(
    tmp_path: Path, remote: Remote, space: Space, kube_api: KubeApi
) -> None:
    await space.make(*ARGO, "Application", "a", status=at(remote.tip()))
    closed = {"cluster": {"config": kube_api.kubeconfig(token="nobody")}}

    async with watched(tmp_path / "data", verifying(remote.path, synced(space)), secrets=closed) as world:
        row = await world.committed()
        await world.seen(row.id, "synced", "answers 401")
        state: Any = world.promoter.state()["digits"]
        await space.say(*ARGO, "a", at(row.commit_sha), sub=False)
        good = {"metadata": {"name": "cluster"}, "stringData": {"config": kube_api.kubeconfig()}}
        world.secrets.replace([good], [])
        verified = await world.verified(row.id)

    assert (state["ready"], "answers 401" in state["reason"]) == (False, True)
    assert verified.state == "live"
    assert world.promoter.state()["digits"] == {"ready": True, "reason": ""}


FLUX = ("kustomize.toolkit.fluxcd.io/v1", "kustomizations")
SOURCE = ("source.toolkit.fluxcd.io/v1", "gitrepositories")


async def test_flux_is_asked_and_followed(tmp_path: Path, remote: Remote, space: Space, secrets: Any) -> None:
    ref = {"sourceRef": {"kind": "GitRepository", "name": "deploy"}, "wait": True}
    await space.make(*SOURCE, "GitRepository", "deploy", spec={})
    await space.make(*FLUX, "Kustomization", "apps", spec=ref)
    check = {"name": "f", "kind": "flux", "kustomization": "apps", "namespace": space.name, "kubeconfig": SECRET}

    async with watched(tmp_path / "data", verifying(remote.path, check), secrets=secrets) as world:
        row = await world.committed()
        asked = await space.annotation(*SOURCE, "deploy", "reconcile.fluxcd.io/requestedAt")
        revision = f"main@sha1:{row.commit_sha}"
        await space.say(*SOURCE, "deploy", {"artifact": {"revision": revision}})
        await world.seen(row.id, "f", "its source has the commit")
        ready = {"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded"}
        status = {"lastAppliedRevision": revision, "lastAttemptedRevision": revision, "conditions": [ready]}
        await space.say(*FLUX, "apps", {**status, "observedGeneration": 1})
        verified = await world.verified(row.id)

    assert asked == row.verification["since"]
    assert verified.state == "live"
    assert verified.verification["checks"][0]["figures"]["applied"] == revision


async def test_kserve_must_have_loaded_the_model_that_was_promoted(
    tmp_path: Path, remote: Remote, space: Space, secrets: Any
) -> None:
    kserve = ("serving.kserve.io/v1beta1", "inferenceservices")
    spec = {"predictor": {"model": {"storageUri": "s3://models/digits/v0"}}}
    await space.make(*kserve, "InferenceService", "digits", spec=spec)
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "modelStatus": {"transitionStatus": "UpToDate"}}
    await space.say(*kserve, "digits", ready)
    check = {"name": "k", "kind": "kserve", "service": "digits", "namespace": space.name, "kubeconfig": SECRET}

    async with watched(tmp_path / "data", verifying(remote.path, check), secrets=secrets) as world:
        row = await world.committed()
        await world.seen(row.id, "k", "not the promoted one")
        new = {"spec": {"predictor": {"model": {"storageUri": "s3://models/digits/a"}}}}
        path = space.path(*kserve, "digits")
        await anyio.to_thread.run_sync(space.server.ask, "PATCH", path, new, MERGE)
        verified = await world.verified(row.id)

    assert verified.state == "live"
    assert verified.verification["checks"][0]["figures"]["uri"] == "s3://models/digits/a"


async def test_a_smoke_test_waits_for_the_server_and_judges_its_answers(
    tmp_path: Path, remote: Remote, model: HttpServer
) -> None:
    samples = tmp_path / "data" / "samples.ndjson"
    samples.parent.mkdir()
    samples.write_text('{"x": 1}\n{"x": 2}\n')
    url = f"{model.url}/v/{{{{candidate.run}}}}/infer"
    document = smoke(remote.path, url, expect="body.digit == 3", samples="samples.ndjson", passes=2)

    async with watched(tmp_path / "data", document) as world:
        row = await world.committed()
        await world.seen(row.id, "smoke", "not there yet: answered 404")
        model.bodies.clear()
        model.documents["/v/r-a/infer"] = b'{"digit": 3}'
        verified = await world.verified(row.id)

    assert verified.state == "live"
    assert [one for one in model.bodies if one == b'{"x":2}'] == [b'{"x":2}'] * 2, "every sample, in each round"


async def test_a_model_that_answers_right_is_live_and_one_that_answers_wrong_is_not(
    tmp_path: Path, remote: Remote, model: HttpServer
) -> None:
    url = f"{model.url}/v/{{{{candidate.run}}}}"
    check = {"name": "smoke", "kind": "http", "url": url, "expect": "body.digit == 3", "bearer": SECRET, "passes": 4}
    document = verifying(remote.path, check, onFailure="nothing")

    async with watched(tmp_path / "data", document, secrets={"cluster": {"config": "t0ken\n"}}) as world:
        first = await world.committed("a")
        await world.seen(first.id, "smoke", "not there yet: answered 404")
        model.documents["/v/r-a"] = b'{"digit": 3}'
        good = await world.verified(first.id)
        model.documents["/v/r-b"] = b'{"digit": 5}'
        bad = await world.verified((await world.committed("b")).id)

    assert (good.state, bad.state) == ("live", "unhealthy")
    assert good.verification["checks"][0]["figures"]["passes"] == 4
    assert "3 times in a row: body.digit == 3 is false of" in bad.reason
    assert model.requests[-1]["authorization"] == "Bearer t0ken"
    assert "t0ken" not in f"{good} {bad}"


async def test_figures_are_watched_for_a_while(tmp_path: Path, remote: Remote, prometheus: PrometheusServer) -> None:
    series = f"rollout-{uuid.uuid4().hex[:8]}"
    prometheus.figures[series, "errors"] = 0.01
    prometheus.show()
    query = f'score{{test="{series}"}} * {{{{step.number}}}}'
    check = {"name": "errors", "kind": "prometheus", "url": prometheus.url, "query": query, "max": 0.05, "for": "1s"}
    document = verifying(remote.path, {**check, "basic": SECRET, "consecutiveErrorLimit": 100}, onFailure="nothing")

    async with watched(tmp_path / "data", document, secrets={"cluster": {"config": f"{USER}:{PASSWORD}"}}) as world:
        good = await world.verified((await world.committed("a")).id)
        later = await world.committed("b")
        await world.seen(later.id, "errors", "the last: 0.01")
        prometheus.figures[series, "errors"] = 0.5
        prometheus.show()
        bad = await world.verified(later.id)

    assert (good.state, bad.state) == ("live", "unhealthy")
    assert good.verification["checks"][0]["figures"]["good"] >= 11
    assert "0.5 is more than 0.05" in bad.reason


async def test_what_a_newer_commit_has_replaced_is_looked_at_no_more(
    tmp_path: Path, remote: Remote, model: HttpServer
) -> None:
    async with watched(tmp_path / "data", smoke(remote.path, model.url)) as world:
        first = await world.committed("a")
        await world.seen(first.id, "smoke", "not there yet")
        # Another process's, which did not wait for this one.
        newer = replace(first, id="p-newer", intent_key="newer", ended=datetime.now(UTC), verification=None)
        await world.store.write(lambda c: promotions.propose(c, newer))
        replaced = await world.until(first.id, lambda row: row.verification["outcome"] == "superseded")

    assert replaced.state == "committed"
    assert replaced.verification["reason"] == "p-newer came into the branch after it"


async def test_a_person_who_goes_back_does_not_wait_for_the_verdict(
    tmp_path: Path, remote: Remote, model: HttpServer
) -> None:
    document = smoke(remote.path, f"{model.url}/v/{{{{candidate.run}}}}")

    async with watched(tmp_path / "data", document) as world:
        first = await world.committed("a")
        await world.seen(first.id, "smoke", "not there yet")
        back = await world.verified(await world.promoter.rollback("digits", reason="odd", actor="ann"))
        gone = await world.verified(first.id)

    assert (back.state, gone.state) == ("live", "rolled-back")
    assert "what was restored is none" in back.verification["reason"]


async def test_one_that_is_slow_keeps_no_other_waiting(tmp_path: Path, remote: Remote, model: HttpServer) -> None:
    other = Remote.create(tmp_path / "other.git")
    model.documents["/"] = b"{}"
    # An address of the documentation's network: nobody answers there.
    slow = smoke(remote.path, "http://192.0.2.1/", timeout="60s", name="slow")
    quick = smoke(other.path, f"{model.url}/", name="quick")

    async with watched(tmp_path / "data", slow, quick) as world:
        await world.propose(candidate("a"), name="slow")
        promotion = await world.propose(candidate("b"), name="quick")
        verified = await world.verified(promotion)

    assert verified.state == "live"


async def test_a_promotion_that_is_to_be_verified_no_more_is_live_as_it_is(
    tmp_path: Path, remote: Remote, model: HttpServer
) -> None:
    from tests.integration.promotion_world import document

    async with watched(tmp_path / "data", smoke(remote.path, model.url)) as world:
        row = await world.committed()
        await world.seen(row.id, "smoke", "not there yet")
        await world.promoter.take({"digits": document(remote.path)})
        left = await world.verified(row.id)

    assert left.state == "live"
    assert "manifest says no more" in left.verification["reason"]


def kill(point: str, data: Path, remote: Path, url: str) -> int | None:
    """Promote in a process of its own that dies at that point; what it ended with."""
    return end_of(FORKS.Process(target=rollout_verifying.run, args=(point, str(data), str(remote), url)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "before"),
    [("verification.after_save:1", 1), ("verification.after_save:3", 3), ("promotion.before_verdict", 3)],
)
async def test_a_kill_loses_nothing_of_what_was_seen_and_tells_nothing_twice(
    tmp_path: Path, remote: Remote, model: HttpServer, point: str, before: int
) -> None:
    model.documents["/"] = b"{}"
    url, data = f"{model.url}/", tmp_path / "data"

    ended = await anyio.to_thread.run_sync(kill, point, data, remote.path, url)
    asked = len(model.asked)
    async with watched(data, smoke(remote.path, url)) as world:
        (row,) = (await world.store.read(lambda c: promotions.listing(c, promotions.PromotionFilter()))).items
        verified = await world.verified(row.id)
        events = [event.subject for event in await world.events()]

    assert ended == -signal.SIGKILL
    assert row.verification["checks"][0]["figures"]["passes"] == before
    assert len(model.asked) - asked == 4 - before, "it goes on where it was"
    assert verified.state == "live"
    assert events.count("promotion.live") == 1
    assert len(remote.commits()) == 2
