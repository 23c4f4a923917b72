"""The server that Retrain starts for itself, under kill -9, and the bus on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import anyio
import nats
import psutil
import pytest
from pydantic import SecretStr

from retrain.bus import BusSettings, NatsBus, Record, embedded, open_nats
from retrain.bus.connection import Connection, Link
from retrain.bus.datadir import servers
from retrain.bus.embedded import config_file
from retrain.bus.port import Published
from retrain.errors import BusError, ConfigError, Refused
from retrain.events import Event

pytestmark = pytest.mark.integration

DEADLINE_S = 60

OWNER = """
import sys, anyio, structlog
from pathlib import Path
from retrain.bus import embedded, open_nats
from retrain.events import Event

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    async with embedded(Path(sys.argv[1])) as server, open_nats(server.url, server.settings) as bus:
        for number in range(100):
            await bus.publish(Event(id=str(number), source="owner", type="t"))
        print(server.pid, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


def start_owner(directory: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", OWNER, str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def command_of(pid: int | None) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()


async def freeze(pid: int | None) -> int:
    """Stop a process with all its threads: it holds its connections and answers nothing."""
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    with anyio.fail_after(DEADLINE_S):
        while not all_stopped(pid):  # noqa: ASYNC110 - another's threads tell nobody
            await anyio.sleep(0.001)
    return pid


def all_stopped(pid: int) -> bool:
    states = [task.read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


def event(name: str | int) -> Event:
    return Event(id=str(name), source="test", type="test.event", data={"n": name})


async def everything(bus: NatsBus) -> list[Record]:
    found: list[Record] = []
    while page := await bus.read(found[-1].position if found else 0):
        found += page
    return found


async def until_published(bus: NatsBus, wanted: Event) -> None:
    while True:
        with contextlib.suppress(BusError):
            await bus.publish(wanted)
            return
        await anyio.sleep(0.01)


async def until_none(mark: str) -> None:
    with anyio.fail_after(DEADLINE_S):
        while list(servers(mark)):  # noqa: ASYNC110 - another's child tells nobody of its end
            await anyio.sleep(0.01)


async def test_a_client_that_closes_without_a_word_is_replaced(tmp_path: Path) -> None:
    """nats-py forgets its callback when flushing to a server that was just killed fails: seen once under load."""
    async with embedded(tmp_path) as server, open_nats(server.url, server.settings) as bus:
        first = await bus.publish(event(1))
        lost = await bus._link.connection()
        lost.client._closed_cb = None

        with anyio.fail_after(DEADLINE_S):
            await lost.client.close()
            while await bus._link.connection() is lost:  # noqa: ASYNC110 - it sets no event of its own
                await anyio.sleep(0.01)
            second = await bus.publish(event(2))

        assert second.position == first.position + 1


@pytest.mark.parametrize("sync", ["interval", "always"])
async def test_kill_9_of_the_server_under_load_loses_and_doubles_nothing(
    tmp_path: Path, sync: Literal["interval", "always"]
) -> None:
    acknowledged: dict[str, int] = {}
    followed: list[Record] = []
    halfway = anyio.Event()

    async def publish(bus: NatsBus, lane: int) -> None:
        for number in range(lane, 6000, 40):
            while str(number) not in acknowledged:
                with contextlib.suppress(BusError):
                    acknowledged[str(number)] = (await bus.publish(event(number))).position
            if len(acknowledged) > 1500:
                halfway.set()

    async def follow(bus: NatsBus) -> None:
        async with bus.tail(0) as batches:
            async for batch in batches:
                followed.extend(batch)
                if len({record.event.id for record in followed}) == 6000:
                    return

    async with embedded(tmp_path, BusSettings(sync=sync)) as server, open_nats(server.url, server.settings) as bus:
        url, token = server.url, server.token
        with anyio.fail_after(DEADLINE_S):
            async with anyio.create_task_group() as group:
                group.start_soon(follow, bus)
                for lane in range(40):
                    group.start_soon(publish, bus, lane)
                await halfway.wait()
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
        assert server.restarts >= 1
        assert (server.url, server.token) == (url, token)
        assert server.waiting_for is None
        records = await everything(bus)
    at = {record.event.id: record.position for record in records}
    assert len(records) == len(at) == 6000, "each event is there once"
    assert at == acknowledged, "at the position that was acknowledged"
    assert [record.position for record in followed] == [record.position for record in records]
    assert [record.event for record in followed] == [record.event for record in records]


async def test_a_tail_that_waits_lives_through_a_restart_of_the_server(tmp_path: Path) -> None:
    async with embedded(tmp_path) as server, open_nats(server.url, server.settings) as bus, bus.tail(0) as batches:
        with anyio.fail_after(DEADLINE_S):
            for number in range(3):
                await bus.publish(event(number))
                assert [record.event.id for record in await anext(batches)] == [str(number)]
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
            await bus.publish(event("after"))
            assert [record.event.id for record in await anext(batches)] == ["after"]


async def test_a_publish_while_the_server_is_away_fails_within_its_time(tmp_path: Path) -> None:
    settings = BusSettings(publish_timeout_s=0.3, read_timeout_s=0.3)
    async with embedded(tmp_path, settings) as server, open_nats(server.url, server.settings) as bus:
        await bus.publish(event("before"))
        pid = await freeze(server.pid)
        try:
            with anyio.fail_after(DEADLINE_S):
                with pytest.raises(BusError, match="not confirmed within"):
                    await bus.publish(event("stopped"))
                with pytest.raises(BusError, match="not confirmed within"):
                    await bus.publish_many([event(f"many-{number}") for number in range(2000)])
                with pytest.raises(BusError):
                    await bus.read(0)
        finally:
            os.kill(pid, signal.SIGCONT)
        with anyio.fail_after(DEADLINE_S):
            await until_published(bus, event("again"))
        assert [record.event.id for record in await everything(bus)].count("again") == 1


async def test_a_bus_whose_server_is_gone_says_what_it_waits_for(tmp_path: Path) -> None:
    settings = BusSettings(publish_timeout_s=0.3, connect_timeout_s=0.3)
    async with embedded(tmp_path, settings) as server:
        bus = NatsBus(server.url, server.settings)
        await bus.open()
        last = server.settings
    try:
        with anyio.fail_after(DEADLINE_S):
            with pytest.raises(BusError, match=r"not confirmed within 0\.3 s: nats://127\.0\.0\.1"):
                await bus.publish(event("late"))
        assert not bus.connected
        assert bus.waiting_for is not None
        assert last.url is not None
        assert last.url in bus.waiting_for
    finally:
        await bus.aclose()
    with anyio.fail_after(DEADLINE_S):
        with pytest.raises(BusError, match="the bus is away"):
            async with open_nats(last.url, last):
                pass


async def test_what_waits_for_the_bus_is_bounded(tmp_path: Path) -> None:
    settings = BusSettings(publish_timeout_s=5, max_waiting_bytes=10_000)
    async with embedded(tmp_path, settings) as server, open_nats(server.url, server.settings) as bus:
        pid = await freeze(server.pid)
        try:
            with pytest.raises(BusError, match="bytes wait for the bus already"):
                await bus.publish_many([event(number) for number in range(400)])
        finally:
            os.kill(pid, signal.SIGCONT)
        with anyio.fail_after(DEADLINE_S):
            await until_published(bus, event("fine"))


async def test_no_server_outlives_a_killed_owner_and_the_data_is_found_again(tmp_path: Path) -> None:
    for turn in range(3):
        owner = start_owner(tmp_path)
        assert owner.stdout is not None
        try:
            pid = int(await anyio.to_thread.run_sync(owner.stdout.readline))
            assert list(servers(str(config_file(tmp_path)))) == [pid]
        finally:
            owner.kill()
        if turn == 0:
            await until_none(str(config_file(tmp_path)))
        # In the other turns the next start meets whatever is left, at once, and the owner's remains are not reaped.
        async with embedded(tmp_path) as server, open_nats(server.url, server.settings) as bus:
            assert [record.event.id for record in await bus.read(0)] == [str(number) for number in range(100)]
            again = await bus.publish(Event(id="7", source="owner", type="t"))
            assert (again.position, again.duplicate) == (8, True)
        owner.communicate()
    await until_none(str(config_file(tmp_path)))


async def test_a_server_that_outlived_its_owner_is_ended_before_a_new_one_starts(tmp_path: Path) -> None:
    owner = start_owner(tmp_path)
    assert owner.stdout is not None
    pid = int(await anyio.to_thread.run_sync(owner.stdout.readline))
    await freeze(pid)  # SIGTERM of its owner's death waits
    owner.kill()
    owner.communicate()
    with anyio.fail_after(DEADLINE_S):
        async with embedded(tmp_path) as server, open_nats(server.url, server.settings) as bus:
            assert server.pid != pid
            assert len(await bus.read(0)) == 100


async def test_a_second_server_on_one_directory_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    async with embedded(tmp_path) as server:
        with pytest.raises(Refused, match=f"process {os.getpid()} on .* runs a bus there"):
            async with embedded(tmp_path):
                pass
        _, errors = await anyio.to_thread.run_sync(start_owner(tmp_path).communicate)
        assert b"Refused" in errors
        assert str(os.getpid()).encode() in errors
        async with open_nats(server.url, server.settings) as bus:
            await bus.publish(event("the first one goes on"))


async def test_nobody_connects_without_the_credential(tmp_path: Path) -> None:
    async with embedded(tmp_path) as server:
        for token in (None, SecretStr("wrong")):
            with pytest.raises(BusError, match="refused the credentials"):
                async with open_nats(server.url, BusSettings(connect_timeout_s=0.5, token=token)):
                    pass


async def test_a_link_closes_though_a_cancellation_was_swallowed_on_its_way(tmp_path: Path) -> None:
    """As nats-py does while it flushes, and `asyncio.wait_for` of Python 3.11 when its future is done already."""
    reached = anyio.Event()

    async def deaf(_: Connection) -> None:
        reached.set()
        with contextlib.suppress(asyncio.CancelledError):
            await anyio.sleep_forever()

    async with embedded(tmp_path) as server:
        link = Link(server.url, server.settings, deaf)
        link.start()
        with anyio.fail_after(DEADLINE_S):
            await reached.wait()
            await link.aclose()
        assert link.current is None


async def test_the_credential_is_in_no_command_line_log_or_message(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with embedded(tmp_path) as server, open_nats(server.url, server.settings) as bus:
        await bus.publish(event("a"))
        secret = server.token.get_secret_value()
        assert secret.encode() not in command_of(server.pid)
        assert secret not in server.log_file.read_text()
        assert secret not in f"{server.settings!r} {server.token}"
        assert secret in config_file(tmp_path).read_text()
        assert config_file(tmp_path).stat().st_mode & 0o777 == 0o600
    said = capfd.readouterr()
    assert secret not in said.out + said.err


async def test_credentials_in_a_url_are_not_shown(tmp_path: Path) -> None:
    async with embedded(tmp_path) as server:
        secret = server.token.get_secret_value()
        async with open_nats(server.url.replace("://", f"://{secret}@"), BusSettings()) as bus:
            await bus.publish(event("a"))
    with pytest.raises(ConfigError) as told:
        NatsBus("http://hunter2@host:1", BusSettings())
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("name", ["with space", "dätä 🧀", 'quo"te\\back', "$HOME {x: 1} # no"])
async def test_a_directory_of_any_name_will_do(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name / "bus"
    for turn in range(2):
        async with embedded(directory) as server, open_nats(server.url, server.settings) as bus:
            assert (await bus.publish(event("a"))).duplicate == bool(turn)
    assert (directory / "jetstream").is_dir()
    assert [str(entry.name) async for entry in anyio.Path(tmp_path).iterdir()] == [name]


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "jetstream").write_text("in the way")
    with pytest.raises(BusError, match="ended at its start"):
        async with embedded(tmp_path):
            pass
    (tmp_path / "jetstream").unlink()
    async with embedded(tmp_path):
        pass


async def test_stopping_leaves_no_process_and_no_lock(tmp_path: Path) -> None:
    for _ in range(3):
        async with embedded(tmp_path) as server:
            pid = server.pid
        assert pid is not None
        assert pid not in psutil.pids()
    with pytest.raises(ValueError, match="the body's own"):
        async with embedded(tmp_path):
            raise ValueError("the body's own")
    assert not list(servers(str(config_file(tmp_path))))


async def test_junk_in_the_stream_is_skipped_and_counted(tmp_path: Path) -> None:
    async with embedded(tmp_path) as server, open_nats(server.url, server.settings) as bus:
        await bus.publish(event(1))
        stranger = await nats.connect(server.url, token=server.token.get_secret_value())
        for junk in (b"", b"\xff\xfe", b"{}", b"[1, 2]", b'{"specversion": "1.0", "id": 7}'):
            await stranger.jetstream().publish("retrain.events.junk.x", junk)
        await stranger.close()
        await bus.publish(event(2))
        # A page as small as the junk must not look like the end of the log.
        assert [record.position for record in await bus.read(0, limit=2)] == [1, 7]
        assert [record.position for record in await bus.read(1, limit=2)] == [7]
        found: list[Record] = []
        async with bus.tail(0, limit=2) as batches:
            with anyio.fail_after(DEADLINE_S):
                while len(found) < 2:
                    found += await anext(batches)
        assert [record.position for record in found] == [1, 7]
        assert bus.skipped == 15


async def test_deleted_messages_are_gaps(tmp_path: Path) -> None:
    async with embedded(tmp_path) as server, open_nats(server.url, server.settings) as bus:
        await bus.publish_many([event(number) for number in range(10)])
        admin = await nats.connect(server.url, token=server.token.get_secret_value())
        for position in (1, 4, 5, 10):
            await admin.jsm().delete_msg("RETRAIN", position)
        await admin.close()
        left = [2, 3, 6, 7, 8, 9]
        assert [record.position for record in await everything(bus)] == left
        async with bus.tail(0) as batches:
            assert [record.position for record in await anext(batches)] == left
            await bus.publish(event("next"))
            assert [record.position for record in await anext(batches)] == [11]
        assert ((await bus.bounds()).first, (await bus.bounds()).last) == (2, 11)


async def test_changed_settings_reach_the_stream_and_the_rest_of_it_stays(tmp_path: Path) -> None:
    async with embedded(tmp_path) as server:
        async with open_nats(server.url, server.settings) as bus:
            await bus.publish(event("kept"))
        admin = await nats.connect(server.url, token=server.token.get_secret_value())
        config = (await admin.jsm().stream_info("RETRAIN")).config
        assert (config.max_age, config.duplicate_window, config.max_msgs) == (30 * 86400, 600, -1)
        await admin.jsm().update_stream(config.evolve(description="by hand"))
        changed = server.settings.model_copy(update={"max_age_s": 7200.0, "duplicate_window_s": 60.0})
        async with open_nats(server.url, changed) as bus:
            assert len(await bus.read(0)) == 1
        config = (await admin.jsm().stream_info("RETRAIN")).config
        assert (config.max_age, config.duplicate_window, config.description) == (7200, 60, "by hand")
        await admin.close()


async def test_every_acknowledged_event_is_synced_when_that_is_asked_for(tmp_path: Path) -> None:
    settings = BusSettings(sync="always")
    async with embedded(tmp_path, settings) as server, open_nats(server.url, server.settings) as bus:
        assert len(await bus.publish_many([event(number) for number in range(50)])) == 50
        admin = await nats.connect(server.url, token=server.token.get_secret_value())
        stored = await admin.jsm().get_msg("RETRAIN", 30)
        await admin.close()
    assert 'sync_interval: "always"' in config_file(tmp_path).read_text()
    assert stored.headers
    assert stored.headers["Nats-Batch-Sequence"] == "30", "they went together"


async def test_a_group_with_events_that_are_there_already_keeps_the_others(tmp_path: Path) -> None:
    """JetStream refuses such a batch as a whole."""
    async with (
        embedded(tmp_path, BusSettings(sync="always")) as server,
        open_nats(server.url, server.settings) as bus,
    ):
        first = await bus.publish_many([event(number) for number in range(0, 200, 2)])
        again = await bus.publish_many([event(number) for number in range(200)])
        assert [one.duplicate for one in again] == [number % 2 == 0 for number in range(200)]
        assert again[::2] == [Published(one.position, duplicate=True) for one in first]
        records = await everything(bus)
        assert {record.event.id: record.position for record in records} == {
            str(number): one.position for number, one in enumerate(again)
        }


async def test_a_stream_that_vanished_is_a_bus_error_not_a_hang(tmp_path: Path) -> None:
    async with embedded(tmp_path) as server, open_nats(server.url, server.settings) as bus:
        await bus.publish(event(1))
        admin = await nats.connect(server.url, token=server.token.get_secret_value())
        await admin.jsm().delete_stream("RETRAIN")
        await admin.close()
        with anyio.fail_after(DEADLINE_S):
            with pytest.raises(BusError, match="no stream took the event"):
                await bus.publish(event(2))
            with pytest.raises(BusError):
                await bus.read(0)
            with pytest.raises(BusError):
                await bus.bounds()


async def test_two_buses_on_one_server_see_each_other(tmp_path: Path) -> None:
    async with (
        embedded(tmp_path) as server,
        open_nats(server.url, server.settings) as one,
        open_nats(server.url, server.settings) as other,
        other.tail(0) as batches,
    ):
        await one.publish(event("hello"))
        with anyio.fail_after(DEADLINE_S):
            assert [record.event.id for record in await anext(batches)] == ["hello"]
        assert (await other.publish(event("hello"))).duplicate


@pytest.fixture(autouse=True)
async def _no_server_is_left(tmp_path: Path) -> AsyncIterator[None]:
    yield
    left = list(servers(str(config_file(tmp_path))))
    assert not left, json.dumps(left)
