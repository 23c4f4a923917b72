"""Buckets on Google Cloud Storage, by its JSON API; the service account's key comes from a Secret.

Source: https://cloud.google.com/storage/docs/json_api/v1 and
https://developers.google.com/identity/protocols/oauth2/service-account
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import urllib3
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15

from pipelines.artifacts.body import body_of
from pipelines.artifacts.place import CHUNK
from pipelines.artifacts.port import ArtifactMissing
from retrain.errors import ConfigError, Permanent, Transient

CONNECT_S = 10.0
READ_S = 60.0
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_LIFE_S = 3600
_EARLY_S = 120


@dataclass(slots=True)
class Account:
    """A service account: turns its key into tokens, and keeps the one in use. None of it is shown."""

    key: Mapping[str, Any] = field(repr=False)
    _token: str = field(default="", repr=False)
    _until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def read(cls, text: str) -> Account:
        """From the JSON that Google gives out, also in base64.

        Raises:
            ConfigError: it is none.
        """
        try:
            plain = text if text.lstrip().startswith("{") else base64.b64decode(text, validate=True).decode()
            key = json.loads(plain)
            RSA.import_key(key["private_key"])
            return cls({name: str(key[name]) for name in ("client_email", "private_key", "token_uri")})
        except (ValueError, KeyError, TypeError, IndexError):
            raise ConfigError("gcs: serviceAccountKeySecret holds no key of a service account (JSON)") from None

    def token(self, pool: urllib3.PoolManager) -> str:
        """A token that is good for at least two minutes."""
        with self._lock:
            if time.time() > self._until - _EARLY_S:
                answer = self._ask(pool)
                self._token = str(answer["access_token"])
                self._until = time.time() + float(answer.get("expires_in", _LIFE_S))
            return self._token

    def _ask(self, pool: urllib3.PoolManager) -> Mapping[str, Any]:
        now = int(time.time())
        claims = {
            "iss": self.key["client_email"], "scope": _SCOPE, "aud": self.key["token_uri"],
            "iat": now, "exp": now + _LIFE_S,
        }  # fmt: skip
        body = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._signed(claims)}
        answer = pool.request("POST", self.key["token_uri"], fields=body, encode_multipart=False)
        if answer.status != 200:
            raise Permanent(f"gcs: the account {self.key['client_email']} gets no token (status {answer.status})")
        return json.loads(answer.data)

    def _signed(self, claims: Mapping[str, Any]) -> str:
        head = _coded(json.dumps({"alg": "RS256", "typ": "JWT"}).encode())
        text = f"{head}.{_coded(json.dumps(claims).encode())}"
        signature = pkcs1_15.new(RSA.import_key(self.key["private_key"])).sign(SHA256.new(text.encode()))
        return f"{text}.{_coded(signature)}"


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class GcsBucket:
    """One bucket; without an account as nobody, which does for public ones."""

    def __init__(self, pool: urllib3.PoolManager, url: str, bucket: str, account: Account | None) -> None:
        self._pool = pool
        self._url = url.rstrip("/")
        self._bucket = bucket
        self._account = account

    def get(self, key: str, to: Path) -> None:
        with self._told(key), self._asked("GET", self._object(key) + "?alt=media", key) as answer, to.open("xb") as out:
            for chunk in answer.stream(CHUNK):
                out.write(chunk)

    def put(self, key: str, file: Path) -> None:
        url = f"{self._url}/upload/storage/v1/b/{quote(self._bucket, safe='')}/o?"
        url += urlencode({"uploadType": "media", "name": key})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
        with self._told(key), file.open("rb") as body, self._asked("POST", url, key, headers, body):
            pass

    def open(self, key: str) -> BinaryIO:
        with self._told(key):
            answer = self._ask("GET", self._object(key) + "?alt=media", key)
        return body_of(answer, lambda: self._told(key))

    def list(self, prefix: str) -> Iterator[str]:
        page = ""
        while True:
            query = {"prefix": prefix, "fields": "items/name,nextPageToken", **({"pageToken": page} if page else {})}
            url = f"{self._url}/storage/v1/b/{quote(self._bucket, safe='')}/o?{urlencode(query)}"
            with self._told(prefix), self._asked("GET", url, prefix) as answer:
                found = json.loads(answer.read())
            for item in found.get("items") or ():
                yield str(item["name"])
            page = found.get("nextPageToken") or ""
            if not page:
                return

    def has(self, key: str) -> bool:
        try:
            with self._told(key), self._asked("GET", self._object(key), key):
                return True
        except ArtifactMissing:
            return False

    def delete(self, key: str) -> None:
        try:
            with self._told(key), self._asked("DELETE", self._object(key), key):
                pass
        except ArtifactMissing:
            pass

    def _object(self, key: str) -> str:
        return f"{self._url}/storage/v1/b/{quote(self._bucket, safe='')}/o/{quote(key, safe='')}"

    @contextmanager
    def _asked(
        self, method: str, url: str, key: str, headers: Mapping[str, str] | None = None, body: BinaryIO | None = None
    ) -> Generator[urllib3.BaseHTTPResponse]:
        answer = self._ask(method, url, key, headers, body)
        try:
            yield answer
        finally:
            answer.close()
            answer.release_conn()

    def _ask(
        self, method: str, url: str, key: str, headers: Mapping[str, str] | None = None, body: BinaryIO | None = None
    ) -> urllib3.BaseHTTPResponse:
        sent = dict(headers or {})
        if self._account is not None:
            sent["Authorization"] = f"Bearer {self._account.token(self._pool)}"
        answer = self._pool.request(
            method, url, headers=sent, body=body, preload_content=False, retries=False, redirect=False
        )
        if answer.status < 300:
            return answer
        answer.close()
        answer.release_conn()
        raise self._meaning(answer.status, key)

    def _meaning(self, status: int, key: str) -> Exception:
        where = f"gcs bucket {self._bucket!r}, key {key!r}"
        if status == 404:
            return ArtifactMissing(f"{where}: there is no such object, or no such bucket")
        if status in (408, 429) or status >= 500:
            return Transient(f"{where}: the server answered {status}")
        hint = "" if self._account else "; give serviceAccountKeySecret: the machine's own identity is not used"
        return Permanent(f"{where}: the server refused ({status}){hint if status in (401, 403) else ''}")

    @contextmanager
    def _told(self, key: str) -> Generator[None]:
        try:
            yield
        except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            raise Transient(f"gcs bucket {self._bucket!r}, key {key!r}: {self._url} cannot be reached") from error
