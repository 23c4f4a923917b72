"""A directory of a real OpenSSH server that files are dropped into."""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio.to_thread
import asyncssh

from retrain.events import Event
from tests.contract.outside import World

if TYPE_CHECKING:
    from tests.servers.program import Program


class Outside(World):
    kind = "sftp"
    fixture = "sshd"
    payload = frozenset({"name", "op"})
    ordered = False  # a listing has no order
    first_is_told = True
    public = frozenset({"root", getpass.getuser()})
    nowhere = {"address": {"name": "sftp", "key": "nowhere"}}

    def __init__(self, folder: Path, server: Program, version: str) -> None:
        super().__init__(folder, server, version)
        self.directory = server.data / "files" / uuid4().hex

    async def prepare(self) -> None:
        self.directory.mkdir(exist_ok=True)

    def entry(self) -> dict[str, Any]:
        keys = {
            "username": {"name": "sftp", "key": "user"},
            "sshKeySecret": {"name": "sftp", "key": "private"},
            "address": {"name": "sftp", "key": "address"},
        }
        watch = {"directory": str(self.directory), "pathRegexp": ".*"}
        more = {"hostKey": {"name": "sftp", "key": "host"}, "settle": "0s"} if self.ours else {}
        return {**keys, **more, "watchPathConfig": watch, "eventType": "CREATE", "pollIntervalDuration": "200ms"}

    def secrets(self) -> dict[tuple[str, str], str]:
        data = self.running.data
        return {
            ("sftp", "user"): getpass.getuser(),
            ("sftp", "private"): (data / "client_key").read_text(),
            ("sftp", "host"): (data / "host_key.pub").read_text(),
            ("sftp", "address"): self.running.address,
            ("sftp", "nowhere"): "127.0.0.1:1",
        }

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
        return {**self.secrets(), ("sftp", "private"): other}

    async def happen(self, name: str) -> None:
        await self.happen_many([name])

    async def happen_many(self, names: Sequence[str]) -> None:
        def write() -> None:
            for name in names:
                # Renamed into its place: what is there is whole.
                whole = self.directory.parent / f"{self.directory.name}.part"
                whole.write_bytes(os.fsencode(name))
                whole.rename(self.directory / name)

        await anyio.to_thread.run_sync(write)

    def name_in(self, event: Event) -> str:
        return event.data["name"]
