"""The MinIO source on a real server: streams, gaps, versions, silence, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import anyio
import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from eventsources import trying
from eventsources.objects import minio_client, s3_watch
from retrain.bus import MemoryBus
from retrain.store import Store, events
from retrain.store.events import SeenEvent
from tests.contract.source_world import ARGO, Objects, Secrets, World, bodies, state, until
from tests.servers import launch
from tests.servers.launch import MinioServer

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(memory_bus: MemoryBus, store: Store, minio_server: MinioServer) -> World:
    access, secret = minio_server.access_key, minio_server.secret_key
    return World(memory_bus, store, Secrets({("minio", "access"): access, ("minio", "secret"): secret}))


@pytest.fixture
def objects(minio_server: MinioServer) -> Objects:
    return Objects(minio_server)


def thing(data: Any) -> dict[str, Any]:
    return data["notification"][0]["s3"]["object"]


async def streaming(host: Any) -> None:
    """Wait for the stream; without it the bucket is listed all the time, and a note says so."""
    await until(lambda: host.states()[0].state == "listening" and host.states()[0].note is None)


async def test_a_key_arrives_as_it_is(world: World, objects: Objects) -> None:
    key = "train/a b+ü.csv"
    async with world.running(objects.document(metadata={"m": "1"})) as host:
        await streaming(host)
        await objects.happen(key)
        (record,) = await world.records(1)
    argo = Objects(objects.server, ARGO)
    async with world.running(argo.document()) as host:
        await streaming(host)
        await argo.happen(key)
        upstream = (await world.records(2))[1]

    assert thing(record.event.data)["key"] == key
    assert record.event.data["metadata"] == {"m": "1"}
    assert record.event.extensions["retrainobject"] == f"s3://{objects.bucket}/train/a%20b%2B%C3%BC.csv"
    assert thing(upstream.event.data)["key"] == key  # as this server's stream has it
    told = upstream.event.data["notification"][0]
    assert (told["eventName"], told["eventSource"]) == ("s3:ObjectCreated:Put", "minio:s3")
    assert "metadata" not in upstream.event.data


async def test_keys_that_an_old_server_encodes_are_found_out(
    world: World, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers up to 2020 encoded keys in streams. A key may also look encoded, and not be."""
    told = minio_client.Stream.records

    def encoded(self: minio_client.Stream, *words: Any) -> Any:
        for records in told(self, *words):
            for record in records:
                if "old" in record["s3"]["object"]["key"]:
                    record["s3"]["object"]["key"] = quote_plus(record["s3"]["object"]["key"])
            yield records

    monkeypatch.setattr(minio_client.Stream, "records", encoded)
    async with world.running(objects.document()) as host:
        await streaming(host)
        await objects.happen("old/a b+.csv")
        await objects.happen("new%2Fa+b.csv")
        heard = await world.records(2)
    await world.store.write(lambda c: c.exec_driver_sql("DELETE FROM checkpoints"))
    fresh = World(MemoryBus(), world.store, world.secrets)
    async with fresh.running(objects.document()):
        listed = await fresh.records(2)

    assert {thing(data)["key"] for data in bodies(heard)} == {"old/a b+.csv", "new%2Fa+b.csv"}
    assert {record.event.id for record in heard} == {record.event.id for record in listed}


async def test_listing_and_listening_give_one_version_one_id(world: World, objects: Objects) -> None:
    async with world.running(objects.document()) as host:
        await streaming(host)
        for number in range(20):
            await objects.happen(f"{number}.csv")
        heard = await world.records(20)
    fresh = World(MemoryBus(), world.store, world.secrets)
    await world.store.write(lambda c: c.exec_driver_sql("DELETE FROM checkpoints"))
    async with fresh.running(objects.document()):
        listed = await fresh.records(20)

    assert {record.event.id for record in heard} == {record.event.id for record in listed}
    assert len(heard) == 20


async def test_other_content_and_the_same_a_second_later_are_new_versions(world: World, objects: Objects) -> None:
    async with world.running(objects.document()) as host:
        await streaming(host)
        for content in (b"one", b"two"):
            await anyio.to_thread.run_sync(objects.put, "a", content)
        await world.records(2)
        await anyio.sleep(1.1)  # the promise is about seconds of the server's clock
        await anyio.to_thread.run_sync(objects.put, "a", b"two")
        records = await world.records(3)

    assert len({record.event.id for record in records}) == 3


async def test_versions_and_delete_markers_of_a_bucket_that_keeps_them_are_found_after_a_gap(
    world: World, objects: Objects
) -> None:
    objects.client.set_bucket_versioning(objects.bucket, VersioningConfig(ENABLED))
    spec = objects.document(events=["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
    async with world.running(spec) as host:
        await streaming(host)
        await objects.happen("a")
        await world.records(1)
    for content in (b"2", b"3"):
        objects.put("a", content)
    objects.client.remove_object(objects.bucket, "a")
    async with world.running(spec) as host:
        await state(host, "listening")
        records = await world.records(4)

    names = sorted(data["notification"][0]["eventName"] for data in bodies(records)[1:])
    assert names == ["s3:ObjectCreated:Put", "s3:ObjectCreated:Put", "s3:ObjectRemoved:DeleteMarkerCreated"]
    assert len({thing(data)["versionId"] for data in bodies(records)}) == 4


async def test_prefix_suffix_and_kinds_of_events_choose_on_both_ways(world: World, objects: Objects) -> None:
    spec = objects.document(filter={"prefix": "in/", "suffix": ".csv"}, events=["s3:ObjectCreated:*"])
    for name in ("in/1.csv", "in/1.txt", "out/1.csv"):
        await objects.happen(name)
    async with world.running(spec) as host:
        await streaming(host)
        for name in ("in/2.csv", "in/2.txt", "out/2.csv"):
            await objects.happen(name)
        objects.client.remove_object(objects.bucket, "in/2.csv")
        await objects.happen("in/3.csv")
        records = await world.records(3)

    assert sorted(thing(data)["key"] for data in bodies(records)) == ["in/1.csv", "in/2.csv", "in/3.csv"]


async def test_what_the_platform_has_read_before_is_not_told_again(world: World, objects: Objects) -> None:
    async with world.running(objects.document()) as host:
        await streaming(host)
        await objects.happen("a")
        (record,) = await world.records(1)
    seen = SeenEvent(record.event, record.position, record.received)
    await world.store.write(lambda connection: events.add(connection, [seen]))
    forgetful = World(MemoryBus(), world.store, world.secrets)  # a bus whose window for duplicates is over
    async with forgetful.running(objects.document()) as host:
        await streaming(host)
        await objects.happen("b")
        records = await forgetful.records(1)

    assert [thing(data)["key"] for data in bodies(records)] == ["b"]


async def test_wrong_keys_and_missing_buckets_are_said_and_waited_for(
    world: World, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trying, "LAST_S", 0.5)
    missing = objects.document(bucket={"name": "not-there-yet"})
    async with world.running(missing) as host:
        waiting = await state(host, "waiting")
        objects.client.make_bucket("not-there-yet")
        await state(host, "listening")
    objects.client.remove_bucket("not-there-yet")
    assert "there is no bucket 'not-there-yet'" in (waiting.waiting_for or "")

    right = dict(world.secrets.values)
    for secrets, words in (
        ({}, "no secret 'minio'"),
        ({**right, ("minio", "secret"): "wrong-secret"}, "secret key is wrong"),
        ({**right, ("minio", "access"): "nobody"}, "does not know the access key"),
    ):
        world.secrets.values = secrets
        async with world.running(objects.document()) as host:
            waiting = await state(host, "waiting")
        assert words in (waiting.waiting_for or "")
        assert "wrong-secret" not in str(waiting)


async def test_a_host_that_is_not_there_is_waited_for(world: World, objects: Objects) -> None:
    async with world.running(objects.document(endpoint=f"127.0.0.1:{launch.free_port()}")) as host:
        waiting = await state(host, "waiting")

    assert "not reached: Connection refused" in (waiting.waiting_for or "").replace("[Errno 111] ", "")


async def test_what_is_put_while_the_server_restarts_is_found(
    world: World, minio_server: MinioServer, tmp_path: Path
) -> None:
    if minio_server.program is None:
        pytest.skip("this MinIO is not ours to restart")
    for server in launch.started(minio_server.program, tmp_path / "minio"):
        objects = Objects(server)
        async with world.running(objects.document()) as host:
            await streaming(host)
            await objects.happen("before")
            await world.records(1)
            await anyio.to_thread.run_sync(server.stop)
            await until(lambda host=host: host.states()[0].state == "waiting" or host.states()[0].note is not None)
            await anyio.to_thread.run_sync(server.start)
            await objects.happen("after")
            records = await world.records(2)
            await state(host, "listening")
        assert [thing(data)["key"] for data in bodies(records)] == ["before", "after"]


async def test_a_silent_stream_is_noticed_said_and_made_up_for_by_listing(
    world: World, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What servers of 2025-10 and later do: they keep even the head of the answer until 4 KiB are full."""

    def silent(self: minio_client.Stream, *words: Any) -> Any:
        self._closed.wait(10)
        raise minio_client.Transient("the server was silent for too long")
        yield

    monkeypatch.setattr(minio_client.Stream, "records", silent)
    async with world.running(objects.document()) as host:
        listening = await state(host, "listening")
        await objects.happen("a")
        (record,) = await world.records(1)

    assert "the bucket is listed every" in (listening.note or "")
    assert thing(record.event.data)["key"] == "a"


async def test_a_server_that_never_flushes_its_stream_loses_nothing(world: World, tmp_path: Path) -> None:
    newer = [program for program in launch.minio_programs() if "minio-v0.0.0-2026" in program]
    if not newer:
        pytest.skip(
            "no newer MinIO here: MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c tests/servers/minio.sh install"
        )
    for server in launch.started(newer[0], tmp_path / "minio"):
        objects = Objects(server)
        async with world.running(objects.document()) as host:
            await state(host, "listening")
            await objects.happen("a")
            await world.records(1)
            assert "no notifications" in (host.states()[0].note or "")


async def test_objects_that_the_stream_did_not_tell_of_are_found_and_counted(
    world: World, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(self: minio_client.Stream, *words: Any) -> Any:
        assert self._pool.on_stream is not None
        self._pool.on_stream()
        self._closed.wait(30)
        raise minio_client.Transient("closed")
        yield

    monkeypatch.setattr(minio_client.Stream, "records", deaf)
    monkeypatch.setattr(s3_watch, "LATE_S", 0.0)
    async with world.running(objects.document(reconcile={"every": "1s"})) as host:
        await streaming(host)
        await anyio.sleep(0.1)
        await objects.happen("a")
        await world.records(1)
        await until(lambda: "missed 1 objects" in (host.states()[0].note or ""))


async def test_many_objects_at_once_are_all_told(world: World, objects: Objects) -> None:
    async with world.running(objects.document()) as host:
        await streaming(host)
        limiter = anyio.CapacityLimiter(8)

        async def put(number: int) -> None:
            async with limiter:
                await objects.happen(f"{number}.csv")

        async with anyio.create_task_group() as tasks:
            for number in range(300):
                tasks.start_soon(put, number)
        records = await world.records(300)

    assert len({thing(data)["key"] for data in bodies(records)}) == 300
    assert len(await world.all()) == 300
