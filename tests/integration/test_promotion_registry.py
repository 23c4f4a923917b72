"""Candidates from a real MLflow registry, and its alias and tags that follow what is live."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import pytest
from aiohttp import web

from deploy.folder import digest_of_folder
from deploy.git import AuthFailed
from deploy.git.access import Vault
from deploy.registry import marker
from deploy.registry.candidates import resolve
from deploy.registry.marks import Kept
from deploy.registry.spec import Registry
from retrain import faults
from retrain.errors import ConfigError, NotFound, Permanent, Refused, Transient
from tests.integration.promotion_world import Remote, World, document, git, world
from tests.servers.launch import free_port
from tests.servers.program import Program
from tests.support.mlflow_world import FILES, MlflowWorld

pytestmark = [pytest.mark.integration, pytest.mark.slow]

VAULT = Vault(None, {}, Path())


@pytest.fixture
def mlflow(mlflow_server: Program) -> MlflowWorld:
    made = MlflowWorld(f"http://{mlflow_server.address}", f"m-{uuid4().hex[:12]}")
    made.create()
    return made


def registry(mlflow: MlflowWorld, **changes: Any) -> dict[str, Any]:
    return {"mlflow": {"url": mlflow.url, "model": mlflow.model, **changes}}


async def found(mlflow: MlflowWorld, asked: Any, more: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    spec = Registry.model_validate(registry(mlflow, **changes))
    return await resolve(spec, {"mlflow": asked, **(more or {})}, VAULT)


async def test_a_version_is_a_candidate_with_its_digest_its_figures_and_where_it_is_from(
    mlflow: MlflowWorld, tmp_path: Path
) -> None:
    version = mlflow.register(accuracy=0.93)
    for name, body in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(body)

    candidate = await found(mlflow, {"version": int(version)})

    assert candidate["digest"] == digest_of_folder(tmp_path)
    assert candidate["uri"].endswith("/artifacts/model")
    assert (candidate["version"], candidate["metrics"], candidate["parameters"]) == (
        version,
        {"accuracy": 0.93},
        {"depth": "3"},
    )
    assert candidate["evaluation"] == {"dataset": "holdout@d1"}
    assert len(candidate["run"]) == 32
    assert candidate["registered"] == {"model": mlflow.model, "version": version, "alias": None}


async def test_an_alias_is_pinned_to_the_version_that_it_points_to(mlflow: MlflowWorld) -> None:
    first, second = mlflow.register(), mlflow.register({**FILES, "data/model.pkl": b"others"})
    mlflow.point("challenger", first)
    before = await found(mlflow, {"alias": "challenger"})
    mlflow.point("challenger", second)

    after = await found(mlflow, {"alias": "challenger"})

    assert before["registered"] == {"model": mlflow.model, "version": first, "alias": "challenger"}
    assert after["registered"]["version"] == second
    assert before["digest"] != after["digest"]
    assert (await found(mlflow, {"version": first}))["digest"] == before["digest"]


async def test_what_stands_beside_it_counts_first_and_a_digest_must_be_right(mlflow: MlflowWorld) -> None:
    version = mlflow.register()
    digest = (await found(mlflow, {"version": version}))["digest"]

    candidate = await found(
        mlflow, {"version": version}, {"digest": digest, "uri": "s3://elsewhere/m", "events": ["e"]}
    )

    assert (candidate["digest"], candidate["uri"], candidate["events"]) == (digest, "s3://elsewhere/m", ["e"])
    with pytest.raises(Refused, match="has the digest"):
        await found(mlflow, {"version": version}, {"digest": f"sha256:{'0' * 64}"})


async def test_a_digest_may_be_a_tag(mlflow: MlflowWorld) -> None:
    version, digest = mlflow.register(), f"sha256:{'7' * 64}"
    with pytest.raises(Permanent, match=r"its tag retrain\.dev/digest is not set"):
        await found(mlflow, {"version": version}, digest="tag")
    for value, right in (("sha256:7", False), (digest, True)):
        key = "retrain.dev/digest"
        mlflow.api("model-versions/set-tag", name=mlflow.model, version=version, key=key, value=value)
        if not right:
            with pytest.raises(Permanent, match="is no digest"):
                await found(mlflow, {"version": version}, digest="tag")

    assert (await found(mlflow, {"version": version}, digest="tag"))["digest"] == digest


async def test_what_is_not_there_is_told_apart(mlflow: MlflowWorld) -> None:
    version = mlflow.register()
    outside = mlflow.api("model-versions/create", name=mlflow.model, source="s3://elsewhere/model")
    for asked, error, words in (
        ({"model": "nobody", "version": "1"}, NotFound, "has no registered model 'nobody'"),
        ({"model": "nobody", "alias": "a"}, NotFound, "has no registered model 'nobody'"),
        ({"version": "99"}, NotFound, "has no version 99"),
        ({"alias": "nobody"}, NotFound, "has no alias 'nobody'"),
        ({"version": outside["model_version"]["version"]}, Permanent, "digest: tag"),
        ({"alias": "a", "version": version}, ConfigError, "one of the two"),
        ({"alias": "../x"}, ConfigError, "is no alias"),
        ({"alias": "v3"}, ConfigError, "reserved"),
    ):
        with pytest.raises(error, match=words):
            await found(mlflow, asked)
    away = Registry.model_validate({"mlflow": {"url": "http://127.0.0.1:1", "model": "m"}})
    with pytest.raises(Transient, match="cannot be reached"):
        await resolve(away, {"mlflow": {"version": "1"}}, VAULT)
    with pytest.raises(ConfigError, match=r"no spec\.registry"):
        await resolve(None, {"mlflow": {"version": "1"}}, VAULT)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, '{"message": "s3cret is no token"}', AuthFailed),
        (403, '{"error_code": "PERMISSION_DENIED", "message": "no"}', AuthFailed),
        (302, "", Permanent),
        (429, "", Transient),
        (500, "<html>", Transient),
        (200, "<html>a page</html>", Transient),
        (200, '{"something": "else"}', Permanent),
    ],
)
async def test_what_a_server_says_instead_is_told_apart_and_shows_no_token(
    status: int, body: str, error: type[Exception]
) -> None:
    port = free_port()

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer s3cret"
        return web.Response(status=status, text=body, headers={"Location": "/x"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        url = f"http://127.0.0.1:{port}"
        spec = Registry.model_validate({"mlflow": {"url": url, "model": "m", "token": {"env": "TOKEN"}}})
        with pytest.raises(error) as raised:
            await resolve(spec, {"mlflow": {"version": "1"}}, Vault(None, {"TOKEN": "s3cret"}, Path()))
    finally:
        await runner.cleanup()

    assert "s3cret" not in str(raised.value)


async def test_a_plan_looks_it_up_too(mlflow: MlflowWorld, tmp_path: Path) -> None:
    version = mlflow.register(accuracy=0.95)
    remote = Remote.create(tmp_path / "remote.git")
    one = document(remote.path, registry=registry(mlflow))
    async with world(tmp_path / "data", one, run=False) as planned:
        found_ = await planned.promoter.plan(one, {"mlflow": {"version": version}})

    assert found_["outcome"] == "commit"
    assert f"Model-Registered: {mlflow.model}/{version}" in found_["message"]
    assert {gate["verdict"] for gate in found_["gates"]} == {"pass"}


@asynccontextmanager
async def marked(tmp_path: Path, mlflow: MlflowWorld, **changes: Any) -> AsyncGenerator[tuple[World, Remote]]:
    remote = Remote.create(tmp_path / "remote.git")
    mark = {"alias": "champion", "tags": {"stage": "production"}}
    one = document(remote.path, registry=registry(mlflow), mark=mark, **changes)
    async with world(tmp_path / "data", one) as running:
        yield running, remote


async def promoted(running: World, mlflow: MlflowWorld, version: str) -> Any:
    spec = running.documents["digits"].spec.registry
    row = await running.promote(await resolve(spec, {"mlflow": {"model": mlflow.model, "version": version}}, VAULT))
    assert row.state == "committed", row.reason
    return row


async def until(running: World, met: Callable[[Kept], bool]) -> Kept:
    """Wait until the registry's side stands so."""
    with anyio.fail_after(60):
        while True:
            kept = await running.store.read(lambda c: marker.kept_of(c, "digits", "staging"))
            if kept is not None and met(kept):
                return kept
            running.store.signals.notify(marker.TOPIC)
            await anyio.sleep(0.1)


def done_by(row: Any) -> Callable[[Kept], bool]:
    return lambda kept: kept.standing == "done" and kept.wish is not None and kept.wish.promotion == row.id


async def test_alias_and_tags_follow_what_is_live_and_go_back_with_it(mlflow: MlflowWorld, tmp_path: Path) -> None:
    first, second = mlflow.register(), mlflow.register({**FILES, "data/model.pkl": b"others"}, accuracy=0.97)
    async with marked(tmp_path, mlflow) as (running, remote):
        one = await promoted(running, mlflow, first)
        await until(running, done_by(one))
        assert (mlflow.alias("champion"), mlflow.tags(first)) == (first, {"stage": "production"})

        two = await promoted(running, mlflow, second)
        await until(running, done_by(two))
        assert (mlflow.alias("champion"), mlflow.tags(first)) == (second, {})
        assert mlflow.tags(second) == {"stage": "production"}
        assert f"Model-Registered: {mlflow.model}/{second}" in git(remote.path, "log", "-1", "--format=%B", "main")

        await running.promoter.rollback("digits", reason="worse", actor="ada")
        await until(running, done_by(one))
        assert (mlflow.alias("champion"), mlflow.tags(second)) == (first, {})
        told = [one.data["mark"]["version"] for one in await running.events() if one.subject == "promotion.marked"]
        assert told == [first, second, first]


async def test_a_registry_that_is_away_holds_nothing_up_and_is_told_later(mlflow: MlflowWorld, tmp_path: Path) -> None:
    version = mlflow.register()
    async with marked(tmp_path, mlflow) as (running, _):
        right = running.promoter.documents["digits"]
        candidate = await resolve(right.spec.registry, {"mlflow": {"version": version}}, VAULT)
        away = Registry.model_validate({"mlflow": {"url": "http://127.0.0.1:1", "model": mlflow.model}})
        spec = right.spec.model_copy(update={"registry": away})
        running.promoter.documents["digits"] = right.model_copy(update={"spec": spec})

        row = await running.promote(candidate)
        kept = await until(running, lambda one: one.standing == "waiting")

        assert row.state == "committed"
        assert "cannot be reached" in kept.reason
        running.promoter.documents["digits"] = right
        await until(running, done_by(row))
        assert mlflow.alias("champion") == version


def die(data: str, remote: str, mlflow: MlflowWorld, version: str) -> None:
    """Promote, and be killed when the registry knows of it and the store does not."""

    async def main() -> None:
        faults.arm("promotion.after_mark")
        mark = {"alias": "champion", "tags": {"stage": "production"}}
        one = document(remote, registry=registry(mlflow), mark=mark)
        async with world(Path(data), one) as running:
            await promoted(running, mlflow, version)
            await anyio.sleep(30)

    anyio.run(main)


async def test_a_kill_between_registry_and_store_tells_it_again_and_once(mlflow: MlflowWorld, tmp_path: Path) -> None:
    version = mlflow.register()
    remote = Remote.create(tmp_path / "remote.git")
    arguments = (str(tmp_path / "data"), str(remote.path), mlflow, version)
    process = multiprocessing.get_context("spawn").Process(target=die, args=arguments)
    process.start()
    await anyio.to_thread.run_sync(process.join, 60)
    assert process.exitcode == -signal.SIGKILL
    assert mlflow.alias("champion") == version

    mark = {"alias": "champion", "tags": {"stage": "production"}}
    async with world(tmp_path / "data", document(remote.path, registry=registry(mlflow), mark=mark)) as running:
        kept = await until(running, lambda one: one.standing == "done")

        assert kept.done is not None
        assert kept.done.version == version
        assert [one.subject for one in await running.events()].count("promotion.marked") == 1


async def test_a_version_that_is_gone_is_told_and_tried_again(mlflow: MlflowWorld, tmp_path: Path) -> None:
    version = mlflow.register()
    async with marked(tmp_path, mlflow) as (running, _):
        candidate = await resolve(running.documents["digits"].spec.registry, {"mlflow": {"version": version}}, VAULT)
        mlflow.call("DELETE", "/api/2.0/mlflow/model-versions/delete", {"name": mlflow.model, "version": version})

        assert (await running.promote(candidate)).state == "committed"
        assert f"has no version {version}" in (await until(running, lambda one: one.standing == "waiting")).reason


async def test_an_alias_that_somebody_moves_is_told_and_not_fought(
    mlflow: MlflowWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from deploy.registry import marks

    monkeypatch.setattr(marks, "CHECK", timedelta())
    first, second = mlflow.register(), mlflow.register({"MLmodel": b"others"}, accuracy=0.97)
    async with marked(tmp_path, mlflow) as (running, _):
        await until(running, done_by(await promoted(running, mlflow, first)))
        mlflow.point("champion", second)

        kept = await until(running, lambda one: one.standing == "moved")

        assert f"points to version {second}" in kept.reason
        assert mlflow.alias("champion") == second
        assert [one.subject for one in await running.events()].count("promotion.mark-moved") == 1
        mlflow.point("champion", first)
        await until(running, lambda one: one.standing == "done")


async def test_a_model_that_is_not_registered_is_said_and_the_alias_stays(mlflow: MlflowWorld, tmp_path: Path) -> None:
    from tests.integration.promotion_world import candidate

    async with marked(tmp_path, mlflow) as (running, _):
        row = await running.promote(candidate("a"))

        assert row.state == "committed"
        assert "no `registered`" in (await until(running, lambda one: one.standing == "nothing")).reason
