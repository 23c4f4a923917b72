"""The sftp source against a real OpenSSH server, and asyncssh's own for passwords and other keys."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncssh
import pytest

from eventsources import SourceState
from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import ARGO, OURS, Platform, Secrets, bodies, document, state, until
from tests.servers.launch import free_port

if TYPE_CHECKING:
    from tests.servers.program import Program

pytestmark = pytest.mark.integration


class Remote:
    """A folder on the server."""

    def __init__(self, server: Program) -> None:
        self.server = server
        self.folder = server.data / "files" / uuid4().hex
        self.folder.mkdir()

    def document(self, version: str = OURS, **more: Any) -> Any:
        names = {"username": "user", "sshKeySecret": "private", "address": "address"}
        keys = {field: {"name": "sftp", "key": key} for field, key in names.items()}
        watch = {"directory": str(self.folder), "pathRegexp": "[.]csv$"}
        spec = {**keys, "watchPathConfig": watch, "pollIntervalDuration": "100ms", "eventType": "CREATE", **more}
        return document(version=version, sftp={"thing": spec})

    def secrets(self) -> dict[tuple[str, str], str]:
        private = (self.server.data / "client_key").read_text()
        values = {"user": getpass.getuser(), "private": private, "address": self.server.address}
        return {("sftp", key): value for key, value in values.items()}


@pytest.fixture
def remote(sshd: Program) -> Remote:
    return Remote(sshd)


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store, remote: Remote) -> Platform:
    return Platform(memory_bus, store, Secrets(remote.secrets()))


async def test_what_comes_changes_and_goes_is_told(platform: Platform, remote: Remote) -> None:
    async with platform.running(remote.document(eventType="CREATE|REMOVE", settle="0s")) as host:
        await state(host, "listening")
        (remote.folder / "a.csv").write_text("x")
        (remote.folder / "a.txt").write_text("x")
        await platform.records(1)
        (remote.folder / "a.csv").write_text("longer")
        await platform.records(2)
        (remote.folder / "a.csv").unlink()
        found = bodies(await platform.records(3))

    assert [(data["name"], data["op"], data["size"]) for data in found] == [
        ("a.csv", 1, 1),
        ("a.csv", 1, 6),
        ("a.csv", 4, None),
    ]
    assert found[0]["path"] == str(remote.folder / "a.csv")


async def test_what_goes_while_nobody_looks_is_told(platform: Platform, remote: Remote) -> None:
    argo = remote.document(ARGO, eventType="REMOVE")
    (remote.folder / "a.csv").write_text("x")
    async with platform.running(argo) as host:
        await state(host, "listening")
    (remote.folder / "a.csv").unlink()
    async with platform.running(argo):
        (record,) = await platform.records(1)

    assert record.event.data == {"name": "a.csv", "op": 4, "metadata": None}


async def test_a_file_is_told_once_it_does_not_grow_any_more(platform: Platform, remote: Remote) -> None:
    async with platform.running(remote.document(settle="1s")) as host:
        await state(host, "listening")
        for size in range(1, 8):
            (remote.folder / "a.csv").write_text("x" * size)
            errors = host.states()[0].received
            assert errors == 0
        (record,) = await platform.records(1)

    assert record.event.data["size"] == 7


async def test_folders_below_are_looked_at_where_that_is_asked_for(platform: Platform, remote: Remote) -> None:
    (remote.folder / "2026" / "11").mkdir(parents=True)
    (remote.folder / "2026" / "11" / "a.csv").write_text("x")
    (remote.folder / "loop").symlink_to(remote.folder)
    async with platform.running(remote.document(recursive=True, settle="0s")) as host:
        await state(host, "listening")
        await until(lambda: host.states()[0].received == 1)
        (record,) = await platform.records(1)

    assert record.event.data["path"] == str(remote.folder / "2026/11/a.csv")


async def test_a_name_that_is_no_text_is_told(platform: Platform, remote: Remote) -> None:
    (remote.folder / os.fsdecode(b"b\xff \n.csv")).write_text("x")
    async with platform.running(remote.document(settle="0s")):
        (record,) = await platform.records(1)

    assert record.event.data["name"] == "b%FF \n.csv"


async def test_a_server_with_another_key_than_it_should_have_is_not_spoken_to(
    platform: Platform, remote: Remote
) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    platform.secrets.values["sftp", "host"] = other
    async with platform.running(remote.document(hostKey={"name": "sftp", "key": "host"})) as host:
        waiting = await state(host, "waiting")
        platform.secrets.values["sftp", "host"] = (remote.server.data / "host_key.pub").read_text()
        listening = await state(host, "listening")

    assert "another host key" in (waiting.waiting_for or "")
    assert listening.note is None


async def test_a_directory_that_is_missing_is_waited_for(platform: Platform, remote: Remote) -> None:
    remote.folder.rmdir()
    async with platform.running(remote.document(settle="0s")) as host:
        waiting = await state(host, "waiting")
        remote.folder.mkdir()
        await state(host, "listening")

    assert "is not there" in (waiting.waiting_for or "")


class Passwords(asyncssh.SSHServer):
    """Takes ann:hunter22."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("ann", "hunter22")


async def test_the_key_that_a_server_shows_first_is_the_one_it_must_keep(
    platform: Platform, remote: Remote, tmp_path: Path
) -> None:
    """With a password, as Argo's documents have it, which name no host key."""
    port = free_port()
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(2)]
    platform.secrets.values |= {("sftp", "user"): "ann", ("sftp", "password"): "hunter22"}
    platform.secrets.values["sftp", "address"] = f"127.0.0.1:{port}"
    names = {"username": "user", "password": "password", "address": "address"}
    spec = {field: {"name": "sftp", "key": key} for field, key in names.items()}
    watch = {"directory": str(tmp_path), "pathRegexp": "[.]csv$"}
    argo = document(version=ARGO, sftp={"thing": {**spec, "watchPathConfig": watch, "eventType": "CREATE"}})

    async def seen(key: asyncssh.SSHKey, wanted: str) -> SourceState:
        """The source's state beside a server with this key."""
        server = await asyncssh.create_server(Passwords, "127.0.0.1", port, server_host_keys=[key], sftp_factory=True)
        try:
            async with platform.running(argo) as host:
                return await state(host, wanted)
        finally:
            server.close()
            await server.wait_closed()

    note = (await seen(keys[0], "listening")).note or ""
    waiting = await seen(keys[1], "waiting")

    assert keys[0].export_public_key().decode().split()[1] in note
    assert "another host key" in (waiting.waiting_for or "")
