"""The validating webhook, asked by a real API server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from retrain.app.admission.vaults import FileVault
from tests.integration.admission_world import WEBHOOKS, World, lives, reviewed, until
from tests.integration.operator_world import parts, platform
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration

ARGO, OURS = "argoproj.io/v1alpha1", "retrain.dev/v1"


def sensor(name: str = "s", version: str = ARGO, **trigger: Any) -> dict[str, Any]:
    template = {"name": "t", "log": {}}
    spec = {
        "dependencies": [{"name": "a", "eventSourceName": "e", "eventName": "a"}],
        "triggers": [{"template": template, **trigger}],
    }
    return {"apiVersion": version, "kind": "Sensor", "metadata": {"name": name}, "spec": spec}


def impossible(name: str = "s") -> dict[str, Any]:
    body = sensor(name)
    body["spec"]["triggers"][0]["template"]["conditions"] = "a && nobody"
    return body


async def put(world: World, body: dict[str, Any], **more: Any) -> Any:
    return await anyio.to_thread.run_sync(lambda: world.put(body, **more))


async def test_what_can_never_work_is_refused_in_the_words_of_lint(kube_api: KubeApi, tmp_path: Path) -> None:
    async with reviewed(kube_api, tmp_path) as world:
        good, bad = await put(world, sensor()), await put(world, impossible("other"))

        assert good.made
        assert not bad.made
        assert bad.body["code"] == 422
        assert "spec.triggers[0].template.conditions: " in bad.message
        assert "'nobody'" in bad.message
        assert (world.admission.door.asked, world.admission.door.refused) == (2, 1)


async def test_every_error_is_said_at_once_each_with_its_path(kube_api: KubeApi, tmp_path: Path) -> None:
    body = impossible()
    body["spec"]["dependencies"][0]["filters"] = {"data": [{"path": "x", "type": "string", "value": ["("]}]}

    async with reviewed(kube_api, tmp_path) as world:
        lines = (await put(world, body)).message.splitlines()

        assert len(lines) == 2
        assert any("spec.dependencies[0].filters.data[0].value" in line for line in lines)


async def test_a_change_is_reviewed_too_and_one_that_says_the_same_is_let_through(
    kube_api: KubeApi, tmp_path: Path
) -> None:
    """What was there before the webhook can still be annotated: it gets no worse by that."""
    async with reviewed(kube_api, tmp_path) as world:
        await put(world, sensor())
        worse = await put(world, impossible(), method="PATCH", kind="application/merge-patch+json")
        rules = world.get()["webhooks"][0]["rules"]
        world.change("rules", [])
        await until(lambda: world.put(impossible("old")).made)
        world.change("rules", rules)
        await until(lambda: not world.put(impossible("new")).made)
        note = {**impossible("old"), "metadata": {"name": "old", "annotations": {"a": "b"}}}
        same = await put(world, note, method="PATCH", kind="application/merge-patch+json")

        assert not worse.made
        assert same.made
        assert any("nobody" in one for one in same.warnings)


async def test_warnings_come_through_and_refuse_nothing(kube_api: KubeApi, tmp_path: Path) -> None:
    body = sensor(retryStrategy={"steps": 3})
    body["spec"]["triggers"][0]["template"]["policy"] = {"status": {"allow": [200]}}

    async with reviewed(kube_api, tmp_path) as world:
        answer = await put(world, body)

        assert answer.made
        assert any("spec.triggers[0].retryStrategy: without atLeastOnce" in one for one in answer.warnings)
        assert any("unknown field 'policy'; it belongs further out" in one for one in answer.warnings)


async def test_what_another_object_brings_may_come_later(kube_api: KubeApi, tmp_path: Path) -> None:
    """`kubectl apply -f DIR` goes by the names of files: a Sensor may come before its Promotion."""
    body = sensor(version=OURS)
    body["spec"]["triggers"][0]["template"] = {"name": "t", "promotion": {"name": "nowhere-yet"}}

    async with reviewed(kube_api, tmp_path) as world:
        assert (await put(world, body)).made


async def test_a_dry_run_is_reviewed_and_changes_nothing(kube_api: KubeApi, tmp_path: Path) -> None:
    async with reviewed(kube_api, tmp_path) as world:
        before = (tmp_path / "admission.json").read_bytes()

        good = await put(world, sensor(), query="?dryRun=All")
        bad = await put(world, impossible(), query="?dryRun=All")

        assert good.made
        assert not bad.made
        assert (tmp_path / "admission.json").read_bytes() == before
        assert (await put(world, sensor())).made, "the dry run has stored nothing"


async def test_its_certificate_and_its_authority_are_renewed_while_it_is_asked(
    kube_api: KubeApi, tmp_path: Path
) -> None:
    """With `failurePolicy: Fail` a review that could not be trusted for a moment would be an error."""
    async with reviewed(kube_api, tmp_path, lives=lives(9)) as world:
        vault = FileVault(tmp_path / "admission.json")
        first = await vault.load()
        assert first is not None
        asked = 0
        with anyio.fail_after(100):
            while True:
                answer = await put(world, sensor(f"s{asked}"))
                assert answer.made, answer.message
                asked += 1
                now = await vault.load()
                if now is not None and now.authority != first.authority and world.admission.waiting_for is None:
                    break
                await anyio.sleep(0.2)
        await anyio.sleep(3)
        after = await put(world, sensor("after"))

        assert after.made, after.message
        assert now.server != first.server
        assert first.authority.cert in now.trusted


async def test_a_secret_keeps_the_keys_for_all_replicas(kube_api: KubeApi, tmp_path: Path) -> None:
    async with reviewed(kube_api, tmp_path, secret="keys-of-two") as world:
        one = await put(world, sensor())
        kept = kube_api.ask("GET", "/api/v1/namespaces/default/secrets/keys-of-two")
        async with reviewed(kube_api, tmp_path / "other", secret="keys-of-two") as second:
            two = await put(second, sensor())
        again = kube_api.ask("GET", "/api/v1/namespaces/default/secrets/keys-of-two")
        kube_api.ask("DELETE", "/api/v1/namespaces/default/secrets/keys-of-two")

        assert (one.made, two.made) == (True, True)
        assert kept["data"] == again["data"]
        assert not (tmp_path / "admission.json").exists()


async def test_a_bundle_that_somebody_took_away_is_put_back(kube_api: KubeApi, tmp_path: Path) -> None:
    async with reviewed(kube_api, tmp_path) as world:
        taken = [{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]
        kube_api.ask("PATCH", f"{WEBHOOKS}/{world.name}", taken, kind="application/json-patch+json")

        await until(lambda: "caBundle" in world.get()["webhooks"][0]["clientConfig"])


async def test_while_the_webhook_is_down_objects_come_in_where_its_failure_is_ignored(
    kube_api: KubeApi, tmp_path: Path
) -> None:
    async with reviewed(kube_api, tmp_path, failurePolicy="Ignore") as world:
        refused = await put(world, impossible())
        world.change("clientConfig/url", f"https://127.0.0.1:{free_port()}/admission")
        await until(lambda: world.put(impossible()).made)

        assert not refused.made


async def test_the_platform_serves_it_where_its_settings_say_so(kube_api: KubeApi, tmp_path: Path) -> None:
    port = free_port()
    async with reviewed(kube_api, tmp_path / "other") as world:
        world.change("clientConfig/url", f"https://127.0.0.1:{port}/admission")
        variables = {
            "RETRAIN_ADMISSION_PORT": str(port),
            "RETRAIN_ADMISSION_NAMES": '["127.0.0.1"]',
            "RETRAIN_ADMISSION_CONFIGURATION": world.name,
        }
        # Two platforms would tell the API server to trust each their own authority.
        world.admission.wanted = replace(world.admission.wanted, configuration="nobody")

        def run() -> tuple[dict[str, Any], bool, Any]:
            with platform(tmp_path / "up", kube_api.kubeconfig(), "--namespace", world.namespace, **variables) as up:
                part = "admission webhook"
                up.wait(lambda: parts(up)[part]["ready"] and not world.put(impossible()).made, "it reviews")
                return parts(up)[part], world.put(sensor()).made, world.put(impossible())

        state, good, bad = await anyio.to_thread.run_sync(run)

        assert state["ready"]
        assert good
        assert "spec.triggers[0].template.conditions: unknown dependency 'nobody'" in bad.message
        (kept,) = (tmp_path / "up").rglob("admission.json")
        assert kept.stat().st_mode & 0o777 == 0o600
