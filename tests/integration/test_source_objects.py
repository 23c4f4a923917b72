"""Objects in buckets of a real MinIO: all ways of its notifications, odd keys, removals, several buckets, data sets."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import nats
import pytest
import structlog
from click.testing import CliRunner
from minio.commonconfig import CopySource

from retrain.app.sensing.source_setup import set_up
from retrain.bus import MemoryBus
from retrain.cli.sources import sources
from retrain.store import Store
from tests.contract.source_world import Objects, Platform, Secrets, document, state, until
from tests.servers import launch
from tests.servers.brokers import NatsServer
from tests.servers.launch import MinioServer, free_port
from tests.support.size import size

log = structlog.get_logger()
pytestmark = pytest.mark.integration

ODD = (
    "plain.csv",
    "a/b c+d%2F.csv",
    "100%.csv",
    "per%20cent",
    "plus+plus",
    "q?x=1&y=2#z",
    "é/ü/日本/😀.csv",
    "line\nbreak.csv",
    "tab\tand'quote\"",
    "folder/",
)
BOTH = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


def world_of(store: Store, server: MinioServer, bus: MemoryBus | None = None) -> Platform:
    access, secret = server.access_key, server.secret_key
    secrets = {("minio", "access"): access, ("minio", "secret"): secret}
    return Platform(
        bus or MemoryBus(), store, Secrets({**secrets, ("nats", "user"): "ann", ("nats", "pw"): "hunter22"})
    )


@pytest.fixture
def world(memory_bus: MemoryBus, store: Store, minio_server: MinioServer) -> Platform:
    return world_of(store, minio_server, memory_bus)


@pytest.fixture
def objects(minio_server: MinioServer) -> Objects:
    return Objects(minio_server)


def key_of(event: Any) -> str:
    return event.data["notification"][0]["s3"]["object"]["key"]


def happened(event: Any) -> tuple[str, str]:
    return key_of(event), event.data["notification"][0]["eventName"].removeprefix("s3:")


async def heard(host: Any) -> None:
    """Notifications come: nothing is listed all the time any more."""
    await until(lambda: host.states()[0].state == "listening" and host.states()[0].note is None)


# --- keys, on every way ----------------------------------------------------------------------------------------------


async def test_odd_keys_come_as_they_are_from_the_stream_and_from_listings(
    world: Platform, objects: Objects, store: Store
) -> None:
    async with world.running(objects.document()) as host:
        await heard(host)
        for key in ODD:
            await anyio.to_thread.run_sync(objects.put, key, b"" if key.endswith("/") else b"x")
        told = [record.event for record in await world.records(len(ODD))]
    await store.write(lambda c: c.exec_driver_sql("DELETE FROM checkpoints"))
    fresh = Platform(MemoryBus(), store, world.secrets)
    async with fresh.running(objects.document()):
        found = [record.event for record in await fresh.records(len(ODD))]

    assert sorted(map(key_of, told)) == sorted(map(key_of, found)) == sorted(ODD)
    assert {event.id for event in told} == {event.id for event in found}


@pytest.fixture(params=range(2), ids=["2025", "2026"])
def build(request: pytest.FixtureRequest) -> str:
    """A program of MinIO: one whose stream streams, and one whose stream does not."""
    programs = launch.minio_programs()
    if len(programs) <= request.param:
        launch.absent("only one build of MinIO here: MINIO_VERSION=... tests/servers/minio.sh install")
    return programs[request.param]


@pytest.fixture
async def targets(
    build: str, tmp_path: Path, nats_outside: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[MinioServer, int, str]]:
    """A MinIO with a webhook and a JetStream target: (server, port of the webhook, name of the stream)."""
    port, stream = free_port(), f"minio-{uuid4().hex[:8]}"
    client = await nats.connect(nats_outside.url, user="ann", password="hunter22")
    await client.jetstream().add_stream(name=stream, subjects=[stream])
    settings = {
        "WEBHOOK_ENABLE_ONE": "on",
        "WEBHOOK_ENDPOINT_ONE": f"http://127.0.0.1:{port}/minio",
        "WEBHOOK_AUTH_TOKEN_ONE": "a-token-of-tests",
        "WEBHOOK_QUEUE_DIR_ONE": str(tmp_path / "queue-one"),
        "NATS_ENABLE_TWO": "on",
        "NATS_ADDRESS_TWO": nats_outside.address,
        "NATS_SUBJECT_TWO": stream,
        "NATS_USERNAME_TWO": "ann",
        "NATS_PASSWORD_TWO": "hunter22",
        "NATS_JETSTREAM_TWO": "on",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"MINIO_NOTIFY_{name}", value)
    for server in _started(build, tmp_path / "minio"):
        yield server, port, stream
    await client.close()


def _started(program: str, data: Path) -> Iterator[MinioServer]:
    yield from launch.started(program, data)


def notified(objects: Objects, way: str, port: int, stream: str, nats_url: str) -> dict[str, Any]:
    webhook = {
        "webhook": {"endpoint": "/minio", "port": str(port), "authSecret": {"name": "hook", "key": "token"}},
        "arn": "arn:minio:sqs::ONE:webhook",
    }
    auth = {"basic": {"username": {"name": "nats", "key": "user"}, "password": {"name": "nats", "key": "pw"}}}
    jetstream = {
        "jetstream": {"url": nats_url, "stream": stream, "auth": auth},
        "arn": "arn:minio:sqs::TWO:nats",
    }
    return objects.document(notifications=webhook if way == "webhook" else jetstream, events=BOTH).model_dump(
        by_alias=True, exclude_unset=True
    )


@pytest.mark.parametrize("way", ["webhook", "jetstream"])
async def test_the_servers_own_targets_tell_the_same_events(
    targets: tuple[MinioServer, int, str],
    way: str,
    store: Store,
    tmp_path: Path,
    nats_outside: NatsServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rule is written by `sources setup`. What was put while nobody listened is in the target's own queue."""
    server, port, stream = targets
    objects = Objects(server)
    world = world_of(store, server)
    world.secrets.values["hook", "token"] = "a-token-of-tests"
    written = notified(objects, way, port, stream, nats_outside.url)
    project = tmp_path / "project"
    project.mkdir()
    (project / "source.json").write_text(json.dumps(written))
    for name, value in {"ACCESS": server.access_key, "SECRET": server.secret_key}.items():
        monkeypatch.setenv(f"RETRAIN_SECRET_MINIO_{name}", value)

    (dry,) = set_up(str(project), "es", dry_run=True)
    (first,) = set_up(str(project), "es/thing")
    (second,) = set_up(str(project), "es")
    shown = CliRunner().invoke(sources, ["setup", "es", str(project), "-o", "json"])
    spec = document("es", **written["spec"])
    async with world.running(spec) as host:
        await heard(host)
        for key in ODD:
            await anyio.to_thread.run_sync(objects.put, key, b"" if key.endswith("/") else b"x")
        told = [record.event for record in await world.records(len(ODD))]
        await anyio.to_thread.run_sync(objects.client.remove_object, objects.bucket, ODD[0])
        removed = (await world.records(len(ODD) + 1))[-1].event
    await store.write(lambda c: c.exec_driver_sql("DELETE FROM checkpoints"))
    fresh = Platform(MemoryBus(), store, world.secrets)
    async with fresh.running(objects.document()):
        found = [record.event for record in await fresh.records(len(ODD) - 1)]

    assert [one["outcome"] for one in (dry, first, second)] == ["would be written", "written", "was there"]
    assert json.loads(shown.stdout)["items"][0]["outcome"] == "was there"
    assert sorted(map(key_of, told)) == sorted(ODD)
    assert happened(removed) == (ODD[0], "ObjectRemoved:Delete")
    assert {event.id for event in found} == {event.id for event in told if key_of(event) != ODD[0]}


async def test_a_target_that_is_away_is_bridged_by_listing(
    world: Platform, objects: Objects, nats_outside: NatsServer
) -> None:
    entry = notified(objects, "jetstream", 0, "no-such-stream", nats_outside.url)
    async with world.running(document("es", **entry["spec"])) as host:
        await until(lambda: "no stream 'no-such-stream'" in (host.states()[0].note or ""))
        await objects.happen("a.csv")
        (record,) = await world.records(1)

    assert key_of(record.event) == "a.csv"


# --- removals --------------------------------------------------------------------------------------------------------


async def test_removals_are_told_once_whether_somebody_listened_or_not(world: Platform, objects: Objects) -> None:
    spec = objects.document(events=BOTH)
    remove = objects.client.remove_object
    async with world.running(spec) as host:
        await heard(host)
        for key in ("a", "b", "c"):
            await objects.happen(key)
        await world.records(3)
        await anyio.to_thread.run_sync(remove, objects.bucket, "a")
        await world.records(4)
    remove(objects.bucket, "b")
    async with world.running(spec) as host:
        await world.records(5)
        await state(host, "listening")
    async with world.running(spec) as host:
        await heard(host)
        await anyio.to_thread.run_sync(objects.put, "b", b"another")  # again, and gone again: other events
        await world.records(6)
        await anyio.to_thread.run_sync(remove, objects.bucket, "b")
        await world.records(7)
        await objects.happen("d")
        events = [record.event for record in await world.records(8)]

    assert sorted(map(happened, events[:3])) == [(key, "ObjectCreated:Put") for key in ("a", "b", "c")]
    assert [happened(event) for event in events[3:]] == [
        ("a", "ObjectRemoved:Delete"),
        ("b", "ObjectRemoved:Delete"),
        ("b", "ObjectCreated:Put"),
        ("b", "ObjectRemoved:Delete"),
        ("d", "ObjectCreated:Put"),
    ]


async def test_objects_that_come_with_old_times_are_new_though_the_first_start_skipped_others(
    world: Platform, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replication and long uploads bring objects that are older than the first start. (Here: in the same second.)"""
    await objects.happen("z-old")
    async with world.running(objects.document(existing="skip")) as host:
        await state(host, "listening")
    client = objects.client
    client.copy_object(objects.bucket, "a-copy", CopySource(objects.bucket, "z-old"))
    async with world.running(objects.document(existing="skip")) as host:
        await state(host, "listening")
        records = await world.records(1)

    assert [key_of(record.event) for record in records] == ["a-copy"]


# --- several buckets -------------------------------------------------------------------------------------------------


async def test_several_buckets_are_watched_and_one_that_is_missing_holds_no_other_up(
    world: Platform, objects: Objects
) -> None:
    other, missing = (f"b-{uuid4().hex[:12]}" for _ in range(2))
    objects.client.make_bucket(other)
    async with world.running(objects.document(buckets=[other, missing])) as host:
        waiting = await state(host, "waiting")
        await objects.happen("here.csv")
        objects.client.put_object(other, "there.csv", io.BytesIO(b"x"), 1)
        await world.records(2)
        objects.client.make_bucket(missing)
        objects.client.put_object(missing, "late.csv", io.BytesIO(b"x"), 1)
        records = await world.records(3)
        await state(host, "listening")

    assert f"{missing}: there is no bucket" in (waiting.waiting_for or "")
    assert {record.event.extensions["retrainobject"] for record in records} == {
        f"s3://{objects.bucket}/here.csv",
        f"s3://{other}/there.csv",
        f"s3://{missing}/late.csv",
    }


# --- data sets -------------------------------------------------------------------------------------------------------


async def put_all(objects: Objects, *keys: str) -> None:
    for key in keys:
        await objects.happen(key)


async def test_a_set_is_one_event_when_its_marker_comes_and_again_when_parts_come_late(
    world: Platform, objects: Objects, store: Store
) -> None:
    spec = objects.document(marker="_SUCCESS", filter={"prefix": "out/", "suffix": ".csv"}, stable={"quiet": "1s"})
    async with world.running(spec) as host:
        await heard(host)
        await put_all(objects, "out/1/a.csv", "out/1/x/b.csv", "out/1/a.crc", "out/2/a.csv", "elsewhere/_SUCCESS")
        await objects.happen("out/1/_SUCCESS")
        first = (await world.records(1))[0].event
        await put_all(objects, "out/1/c.csv", "out/1/d.csv")
        second = (await world.records(2))[1].event
    await put_all(objects, "out/1/e.csv", "out/2/_SUCCESS")
    async with world.running(spec) as host:
        rest = [record.event for record in (await world.records(4))[2:]]
    async with world.running(spec) as host:
        await state(host, "listening")
        objects.client.remove_object(objects.bucket, "out/1/e.csv")  # taken away: nothing new to learn from
        await put_all(objects, "out/3/a.csv", "out/3/_SUCCESS")
        last = [record.event for record in await world.records(5)][4:]

    assert first.data["folder"] == "out/1/"
    assert [part["key"] for part in first.data["parts"]] == ["out/1/a.csv", "out/1/x/b.csv"]
    assert (first.data["count"], first.data["bytes"], first.data["marker"]) == (2, 24, "out/1/_SUCCESS")
    assert first.data["digest"].startswith("sha256:")
    assert first.extensions["retrainobject"] == f"s3://{objects.bucket}/out/1/"
    assert second.data["count"] == 4
    assert second.data["digest"] != first.data["digest"]
    assert sorted((event.data["folder"], event.data["count"]) for event in rest) == [("out/1/", 5), ("out/2/", 1)]
    assert [event.data["folder"] for event in last] == ["out/3/"]


async def test_a_set_is_one_event_when_nothing_has_changed_for_a_while(world: Platform, objects: Objects) -> None:
    spec = objects.document(stable={"quiet": "1500ms", "folder": "days/*/"})
    async with world.running(spec) as host:
        await heard(host)
        for number in range(8):
            await objects.happen(f"days/1/{number}.csv")
            await anyio.sleep(0.3)  # the promise is about pauses in what comes
        assert await world.all() == []
        first = (await world.records(1))[0].event
        await objects.happen("days/2/a.csv")
    async with world.running(spec):  # it was not quiet yet when the platform ended
        second = (await world.records(2))[1].event

    assert (first.data["folder"], first.data["count"]) == ("days/1/", 8)
    assert (second.data["folder"], second.data["count"]) == ("days/2/", 1)


async def test_sets_that_are_there_at_the_first_start_are_passed_over_where_asked(
    world: Platform, objects: Objects
) -> None:
    spec = objects.document(marker="_OK", existing="skip")
    await put_all(objects, "old/a", "old/_OK", "half/a")
    async with world.running(spec) as host:
        await heard(host)
        await objects.happen("half/_OK")
        records = await world.records(1)

    assert [record.event.data["folder"] for record in records] == ["half/"]


# --- many ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_what_is_put_while_the_platform_is_down_and_while_minio_restarts_is_each_one_event(
    store: Store, tmp_path: Path
) -> None:
    """Thousands of objects while the platform is down; half as many while it runs and MinIO restarts twice."""
    away, here = size(2_500, 10_000), size(1_200, 5_000)
    programs = launch.minio_programs()
    if not programs:
        launch.absent("no MinIO of our own to restart")
    for server in launch.started(programs[0], tmp_path / "minio"):
        objects, world = Objects(server), world_of(store, server)
        async with world.running(objects.document()) as host:
            await state(host, "listening")
        await anyio.to_thread.run_sync(put_many, objects, "away", range(away))
        async with world.running(objects.document()) as host:
            await until(lambda host=host: host.states()[0].received >= away, deadline_s=300)
            for part in range(3):
                await anyio.to_thread.run_sync(
                    put_many, objects, "here", range(part * here // 3, (part + 1) * here // 3)
                )
                if part < 2:
                    await anyio.to_thread.run_sync(server.stop)
                    await anyio.to_thread.run_sync(server.start)
            await until(lambda host=host: host.states()[0].received >= away + here, deadline_s=300)
            await state(host, "listening")
        found = [(record.event.id, key_of(record.event)) for record in await world.all()]

    wanted = {f"away/{n:05}" for n in range(away)} | {f"here/{n:05}" for n in range(here)}
    keys = [key for _, key in found]
    log.info("minio.counted", put=len(wanted), lost=len(wanted - set(keys)), doubled=len(keys) - len(set(keys)))
    assert len(found) == len({event_id for event_id, _ in found}) == away + here
    assert set(keys) == wanted


def put_many(objects: Objects, folder: str, numbers: range) -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = objects.client

    def put(number: int) -> None:
        client.put_object(objects.bucket, f"{folder}/{number:05}", io.BytesIO(b"x"), 1)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, numbers))
