"""Buckets on S3 and MinIO.

Files go up in parts of 16 MiB, three at a time, so memory is flat; an object is there when its last part is.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import urllib3
from minio import Minio
from minio.credentials.providers import AWSConfigProvider, ChainedProvider, EnvAWSProvider, IamAwsProvider
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from pipelines.artifacts.body import body_of
from pipelines.artifacts.place import CHUNK
from pipelines.artifacts.port import ArtifactMissing
from retrain.errors import ConfigError, Permanent, Transient

PART = 16 * 1024 * 1024
MAX_PARTS = 10_000
PARALLEL = 3
CONNECT_S = 10.0
READ_S = 60.0
_CLIENTS = 16

_BUSY = frozenset(
    {"SlowDown", "SlowDownRead", "SlowDownWrite", "InternalError", "ServiceUnavailable", "RequestTimeout", "ServerBusy",
     "XMinioServerNotInitialized", "Throttling", "RequestLimitExceeded", "XMinioBackendDown", "OperationAborted"}
)  # fmt: skip
_WORDS = {
    "NoSuchBucket": "there is no bucket {bucket!r}",
    "InvalidAccessKeyId": "the server does not know the access key",
    "SignatureDoesNotMatch": "the secret key is wrong",
    "AccessDenied": "access is denied",
    "InvalidBucketName": "{bucket!r} is no name for a bucket",
}


@dataclass(frozen=True, slots=True)
class Server:
    """Where buckets are, and how to get in. Without keys and without `sdk_credentials` as nobody."""

    endpoint: str
    secure: bool = True
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    session_token: str | None = None
    ca: str | None = None
    sdk_credentials: bool = False
    """Take what the environment, the AWS configuration file or the machine's role says."""
    addressing: str | None = None

    def __repr__(self) -> str:
        return f"Server({self.endpoint})"  # a traceback that shows its locals must not show the keys


class S3Bucket:
    """One bucket."""

    def __init__(self, server: Server, bucket: str, make: bool = False) -> None:
        self._server = server
        self._bucket = bucket
        self._make = make

    def get(self, key: str, to: Path) -> None:
        with self._told(key), self._object(key) as answer, to.open("xb") as file:
            for chunk in answer.stream(CHUNK):
                file.write(chunk)

    def put(self, key: str, file: Path) -> None:
        size = file.stat().st_size
        part = max(PART, -(-size // MAX_PARTS))
        with self._told(key):
            if self._make:
                self._make_bucket()
            self._client().fput_object(
                bucket_name=self._bucket, object_name=key, file_path=str(file), part_size=part,
                num_parallel_uploads=PARALLEL,
            )  # fmt: skip

    def open(self, key: str) -> BinaryIO:
        with self._told(key):
            answer = self._client().get_object(bucket_name=self._bucket, object_name=key)
        return body_of(answer, lambda: self._told(key))

    def list(self, prefix: str) -> Iterator[str]:
        with self._told(prefix):
            for item in self._client().list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True):
                yield str(item.object_name)

    def has(self, key: str) -> bool:
        try:
            with self._told(key):
                self._client().stat_object(bucket_name=self._bucket, object_name=key)
        except ArtifactMissing:
            return False
        return True

    def delete(self, key: str) -> None:
        with self._told(key):
            self._client().remove_object(bucket_name=self._bucket, object_name=key)

    def _make_bucket(self) -> None:
        client = self._client()
        if not client.bucket_exists(bucket_name=self._bucket):
            try:
                client.make_bucket(bucket_name=self._bucket)
            except S3Error as error:
                if error.code not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                    raise

    @contextmanager
    def _object(self, key: str) -> Generator[Any]:
        answer = self._client().get_object(bucket_name=self._bucket, object_name=key)
        try:
            yield answer
        finally:
            answer.close()
            answer.release_conn()

    def _client(self) -> Minio:
        return _client(self._server)

    @contextmanager
    def _told(self, key: str) -> Generator[None]:
        """The client's errors as ours."""
        where = f"S3 {self._server.endpoint}, bucket {self._bucket!r}, key {key!r}"
        try:
            yield
        except S3Error as error:
            raise self._meaning(error, where) from error
        except (ServerError, InvalidResponseError) as error:
            raise Transient(f"{where}: the server answered with an error: {_short(error)}") from error
        except MinioException as error:
            raise Permanent(f"{where}: {_short(error)}") from error
        except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            raise Transient(f"{where}: the server cannot be reached: {_short(error)}") from error
        except ValueError as error:  # the client's own checks of names
            raise ConfigError(f"{where}: {error}") from error

    def _meaning(self, error: S3Error, where: str) -> Exception:
        code = error.code or ""
        if code in ("NoSuchKey", "NoSuchObject", "ResourceNotFound", "NotFound"):
            return ArtifactMissing(f"{where}: there is no such object")
        if code in _BUSY:
            return Transient(f"{where}: the server is busy ({code})")
        words = _WORDS.get(code, "{message}").format(bucket=self._bucket, message=error.message)
        return Permanent(f"{where}: {words} ({code})")


_lock = threading.Lock()
_clients: dict[Server, Minio] = {}


def _client(server: Server) -> Minio:
    """One client for each server: it keeps connections. Clients are made to be shared by threads."""
    with _lock:
        if server not in _clients:
            if len(_clients) >= _CLIENTS:
                _clients.pop(next(iter(_clients)))
            _clients[server] = _open_client(server)
        return _clients[server]


def _open_client(server: Server) -> Minio:
    more: dict[str, Any] = {}
    if server.secure:
        more["ssl_context"] = ssl.create_default_context(cadata=server.ca)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S), retries=False, maxsize=8 * PARALLEL, **more
    )
    provider = None
    if server.sdk_credentials:
        provider = ChainedProvider([EnvAWSProvider(), AWSConfigProvider(), IamAwsProvider()])
    try:
        client = Minio(
            endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key,
            session_token=server.session_token, secure=server.secure, region=server.region, credentials=provider,
            http_client=pool,
        )  # fmt: skip
    except (ValueError, ssl.SSLError) as error:
        raise ConfigError(f"S3 {server.endpoint}: {error}") from error
    if server.addressing == "path":
        client.disable_virtual_style_endpoint()
    elif server.addressing == "virtual-hosted":
        client.enable_virtual_style_endpoint()
    return client


def _short(error: Exception) -> str:
    return json.dumps(str(error))[1:300].removesuffix('"')
