"""A bucket that objects are put into."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

import anyio.to_thread
import urllib3
from minio import Minio

from retrain.events import Event
from tests.contract.outside import Server, World
from tests.servers.launch import MinioServer

ACCESS, SECRET = ("minio", "access"), ("minio", "secret")


class _Killable:
    def __init__(self, server: MinioServer) -> None:
        self.kill = server.stop
        self.start = server.start


class Outside(World):
    kind = "minio"
    fixture = "minio_server"
    payload = frozenset({"notification"})
    ordered = False  # a listing goes by key
    first_is_told = True
    public = frozenset({"minioadmin"})  # the access key is in each record, and here it is the secret key, too
    many = 2_000  # MinIO takes some 300 puts in a second here
    nowhere = {"endpoint": "127.0.0.1:1"}

    def __init__(self, folder: Path, server: MinioServer, version: str) -> None:
        super().__init__(folder, server, version)
        self.bucket = f"b-{uuid4().hex[:12]}"
        self.client = Minio(
            endpoint=server.endpoint,
            access_key=server.access_key,
            secret_key=server.secret_key,
            secure=False,
            region="us-east-1",
            http_client=urllib3.PoolManager(retries=False, maxsize=8),
        )

    @property
    def server(self) -> Server | None:
        return _Killable(self.running) if self.running.program else None

    async def prepare(self) -> None:
        await anyio.to_thread.run_sync(self.client.make_bucket, self.bucket)

    def entry(self) -> dict[str, Any]:
        return {
            "endpoint": self.running.endpoint,
            "insecure": True,
            "bucket": {"name": self.bucket},
            "accessKey": {"name": "minio", "key": "access"},
            "secretKey": {"name": "minio", "key": "secret"},
        }

    def secrets(self) -> dict[tuple[str, str], str]:
        return {ACCESS: self.running.access_key, SECRET: self.running.secret_key}

    def wrong_secrets(self) -> dict[tuple[str, str], str]:
        return {ACCESS: self.running.access_key, SECRET: "not-the-secret-key"}

    async def happen(self, name: str) -> None:
        await anyio.to_thread.run_sync(self.put, name)

    async def happen_many(self, names: Sequence[str]) -> None:
        def put_all() -> None:
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(self.put, names))

        await anyio.to_thread.run_sync(put_all)

    def put(self, key: str) -> None:
        content = key.encode()
        self.client.put_object(self.bucket, key, io.BytesIO(content), len(content))

    def name_in(self, event: Event) -> str:
        return unquote_plus(event.data["notification"][0]["s3"]["object"]["key"])
