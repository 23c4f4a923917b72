"""Artifacts on real servers: MinIO, web servers, git repositories; for Google's API a stand-in that checks tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import anyio.to_thread
import psutil
import pytest
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from minio import Minio

from pipelines.artifacts import ArtifactMissing, ArtifactRun, BadArtifact, open_artifacts
from pipelines.artifacts.keeper import Keeper
from pipelines.artifacts.settings import ArtifactSettings
from retrain.errors import ConfigError, Permanent, RetrainError, Transient
from tests.servers.launch import MinioServer, free_port
from tests.servers.proxy import proxy

RUN = ArtifactRun("r1", "train-x", "default", "train-x-1", "train-x-fit-1")
QUICK = (0.01, 0.01)


def folder(place: Path) -> Path:
    (place / "sub").mkdir(parents=True)
    (place / "a.txt").write_text("alpha")
    (place / "sub" / "b.txt").write_text("beta")
    return place


def files(place: Path) -> dict[str, str]:
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


# --- S3 --------------------------------------------------------------------------------------------------------------


@dataclass
class S3World:
    server: MinioServer
    bucket: str
    keeper: Keeper
    spec: dict[str, Any]
    client: Minio


@pytest.fixture
def s3(minio_server: MinioServer, tmp_path: Path) -> S3World:
    server = minio_server
    client = Minio(
        endpoint=server.endpoint, access_key=server.access_key, secret_key=server.secret_key, secure=False,
        region="us-east-1",
    )  # fmt: skip
    bucket = f"artifacts-{uuid4().hex[:12]}"
    client.make_bucket(bucket_name=bucket)
    spec = {
        "bucket": bucket,
        "endpoint": server.endpoint,
        "insecure": True,
        "accessKeySecret": {"name": "lake", "key": "access"},
        "secretKeySecret": {"name": "lake", "key": "secret"},
    }
    references = {
        ("Secret", "lake"): {"access": server.access_key, "secret": server.secret_key, "wrong": "not-the-secret"},
        ("ConfigMap", "artifact-repositories"): {
            "dated": f"s3: {json.dumps({**spec, 'keyFormat': 'teams/{{workflow.parameters.team}}/{{workflow.name}}'})}",
            "broken": "s3: {buckets: x}",
        },
    }
    settings = ArtifactSettings.model_validate({"s3": spec})
    return S3World(server, bucket, open_artifacts(tmp_path / "data", references, settings, pauses=QUICK), spec, client)


@pytest.mark.integration
@pytest.mark.parametrize("archive", [None, {"none": {}}, {"zip": {}}])
def test_a_directory_goes_to_the_default_bucket_and_comes_back(
    s3: S3World, tmp_path: Path, archive: Mapping[str, Any] | None
) -> None:
    source = folder(tmp_path / "out")

    kept = s3.keeper.save({"name": "m", "path": "/out", **({"archive": archive} if archive else {})}, source, RUN)
    s3.keeper.load(kept, tmp_path / "in", RUN)
    s3.keeper.load({**kept, "subPath": "sub"}, tmp_path / "part", RUN)

    assert files(tmp_path / "in") == {"a.txt": "alpha", "sub/b.txt": "beta"}
    assert files(tmp_path / "part") == {"b.txt": "beta"}
    assert set(kept["s3"]) == {"key"}
    s3.keeper.delete(kept, RUN)
    assert list(s3.client.list_objects(bucket_name=s3.bucket, recursive=True)) == []


@pytest.mark.integration
async def test_a_connection_that_is_cut_while_an_object_is_read_is_said(s3: S3World, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"line\n" * 4_000_000)
    place = {**s3.spec, "key": "large"}
    s3.keeper.save({"name": "l", "archive": {"none": {}}, "s3": place}, tmp_path / "large", RUN)
    async with proxy(s3.server.endpoint) as way:
        there = {"name": "l", "s3": {**place, "endpoint": way.address}}
        file = await anyio.to_thread.run_sync(s3.keeper.open, there, RUN)
        assert await anyio.to_thread.run_sync(file.readline) == b"line\n"
        way.cut()

        with pytest.raises(Transient, match="the server cannot be reached"):
            await anyio.to_thread.run_sync(lambda: sum(1 for _ in file))

        file.close()


@pytest.mark.integration
def test_keys_are_listed_and_a_prefix_is_a_directory(s3: S3World, tmp_path: Path) -> None:
    source = folder(tmp_path / "out")
    s3.keeper.save({"name": "m", "archive": {"none": {}}, "s3": {"key": "wf/parts/"}}, source, RUN)

    assert list(s3.keeper.keys({"name": "l", "s3": {"key": "wf"}}, RUN)) == ["wf/parts/a.txt", "wf/parts/sub/b.txt"]
    s3.keeper.load({"name": "one", "s3": {**s3.spec, "key": "wf/parts/a.txt"}}, tmp_path / "one", RUN)
    with s3.keeper.open({"name": "one", "s3": {"key": "wf/parts/a.txt"}}, RUN) as file:
        assert file.read() == b"alpha"
    assert (tmp_path / "one").read_text() == "alpha"
    for ask in (lambda: s3.keeper.load({"name": "x", "s3": {"key": "no"}}, tmp_path / "x", RUN),
                lambda: list(s3.keeper.keys({"name": "x", "s3": {"key": "no"}}, RUN))):  # fmt: skip
        with pytest.raises(ArtifactMissing, match="no"):
            ask()


@pytest.mark.integration
def test_a_run_may_name_another_repository(s3: S3World, tmp_path: Path) -> None:
    run = ArtifactRun(
        "r1", "train-x", "default", "n", "p", {"key": "dated"}, variables={"workflow.parameters.team": "vision"}
    )
    (tmp_path / "m").write_text("x")

    assert s3.keeper.save({"name": "m"}, tmp_path / "m", run)["s3"] == {"key": "teams/vision/train-x/m.tgz"}
    for key, message in (("none", "has no key 'none'; it has dated, broken"), ("broken", "field required")):
        with pytest.raises(ConfigError, match=message):
            s3.keeper.save({"name": "m"}, tmp_path / "m", ArtifactRun("r", "w", "d", "n", "p", {"key": key}))
    with pytest.raises(ConfigError, match=r"\{\{workflow.parameters.team\}\} is not known"):
        s3.keeper.save({"name": "m"}, tmp_path / "m", ArtifactRun("r", "w", "d", "n", "p", {"key": "dated"}))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"secretKeySecret": {"name": "lake", "key": "wrong"}}, Permanent, "the secret key is wrong"),
        ({"accessKeySecret": {"name": "lake", "key": "wrong"}}, Permanent, "does not know the access key"),
        ({"accessKeySecret": {"name": "lake", "key": "gone"}}, ConfigError, "no Secret 'lake' with key 'gone'"),
        ({"bucket": "there-is-none"}, Permanent, "there is no bucket 'there-is-none'"),
        ({"endpoint": f"127.0.0.1:{free_port()}"}, Transient, "cannot be reached"),
        ({"roleARN": "arn:aws:iam::1:role/x"}, BadArtifact, "roleARN is not built"),
    ],
)
def test_what_is_wrong_with_a_bucket_is_said_without_its_keys(
    s3: S3World, tmp_path: Path, change: dict[str, Any], kind: type[RetrainError], message: str
) -> None:
    (tmp_path / "m").write_text("x")
    spec = {**s3.spec, "key": "k", **change}

    for act in (lambda: s3.keeper.save({"name": "m", "s3": spec}, tmp_path / "m", RUN),
                lambda: s3.keeper.load({"name": "m", "s3": spec}, tmp_path / "in", RUN)):  # fmt: skip
        with pytest.raises(kind, match=message) as caught:
            act()
        assert "not-the-secret" not in str(caught.value)


@pytest.mark.integration
@pytest.mark.slow
def test_a_large_file_is_moved_with_flat_memory(s3: S3World, tmp_path: Path) -> None:
    block = os.urandom(1 << 20)
    with (tmp_path / "big").open("wb") as file:
        for number in range(512):
            file.write(number.to_bytes(4, "big") + block[4:])
    before = psutil.Process().memory_info().rss

    kept = s3.keeper.save({"name": "big", "archive": {"none": {}}}, tmp_path / "big", RUN)
    s3.keeper.load(kept, tmp_path / "got", RUN)

    assert psutil.Process().memory_info().rss - before < 150 << 20
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in ("big", "got")]
    assert digests[0] == digests[1]


# --- HTTP ------------------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """A web server that keeps what is PUT, and remembers what it was asked."""

    url: str = ""
    kept: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    failures: int = 0
    elsewhere: str = ""


@contextmanager
def site() -> Iterator[Site]:  # noqa: C901
    world = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            world.asked.append(("GET", path, {name.lower(): value for name, value in self.headers.items()}))
            if world.failures:
                world.failures -= 1
                self.answer(503)
            elif path == "/round":
                self.answer(302, Location="/round")
            elif path == "/away":
                self.answer(302, Location=world.elsewhere)
            elif path == "/private" and self.headers.get("Authorization") != "Basic " + _b64("ann:s3cret"):
                self.answer(401)
            elif path in world.kept:
                self.answer(200, world.kept[path])
            else:
                self.answer(404)

        def do_PUT(self) -> None:
            path = urlsplit(self.path).path
            body = self.rfile.read(int(self.headers["Content-Length"]))
            world.asked.append(("PUT", path, {name.lower(): value for name, value in self.headers.items()}))
            if path == "/moved":
                self.answer(307, Location="/final")
            else:
                world.kept[path] = body
                self.answer(201)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            good = "grant_type=client_credentials" in body and self.headers["Authorization"] == "Basic " + _b64("id:pw")
            self.answer(200 if good else 401, b'{"access_token": "tok"}' if good else b"{}")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    world.url = f"http://127.0.0.1:{server.server_port}"
    with _serving(server):
        yield world


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SECRETS = {("Secret", "web"): {"user": "ann", "password": "s3cret", "id": "id", "pw": "pw"}}


def ref(key: str) -> dict[str, str]:
    return {"name": "web", "key": key}


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Site, Keeper]]:
    with site() as world:
        yield world, open_artifacts(tmp_path / "data", SECRETS, ArtifactSettings(max_bytes=1 << 20), pauses=QUICK)


def test_a_file_is_put_and_got_with_headers_and_a_password(web: tuple[Site, Keeper], tmp_path: Path) -> None:
    world, keeper = web
    (tmp_path / "m").write_text("model")
    auth = {"basicAuth": {"usernameSecret": ref("user"), "passwordSecret": ref("password")}}
    spec = {"url": f"{world.url}/private", "headers": [{"name": "X-Team", "value": "vision"}], "auth": auth}

    kept = keeper.save({"name": "m", "http": spec, "archive": {"none": {}}}, tmp_path / "m", RUN)
    keeper.load(kept, tmp_path / "got", RUN)
    moved = keeper.save({"name": "m", "http": {"url": f"{world.url}/moved"}}, folder(tmp_path / "out"), RUN)
    keeper.load({**moved, "http": {"url": f"{world.url}/final"}}, tmp_path / "in", RUN)

    assert (tmp_path / "got").read_text() == "model"
    assert files(tmp_path / "in") == {"a.txt": "alpha", "sub/b.txt": "beta"}
    assert all(headers.get("x-team") == "vision" for _, path, headers in world.asked if path == "/private")


def test_a_busy_server_is_asked_again_and_a_refusal_is_not(web: tuple[Site, Keeper], tmp_path: Path) -> None:
    world, keeper = web
    world.kept["/f"] = b"x"
    world.failures = 2

    keeper.load({"name": "f", "http": {"url": f"{world.url}/f"}}, tmp_path / "got", RUN)

    assert len(world.asked) == 3
    with pytest.raises(Permanent, match="answered 401"):
        keeper.load({"name": "f", "http": {"url": f"{world.url}/private?sig=SECRET"}}, tmp_path / "got", RUN)
    assert len(world.asked) == 4
    with pytest.raises(ArtifactMissing, match="answered 404"):
        keeper.load({"name": "f", "http": {"url": f"{world.url}/no"}}, tmp_path / "got", RUN)


def test_redirects_end_and_take_nothing_secret_to_another_host(web: tuple[Site, Keeper], tmp_path: Path) -> None:
    world, keeper = web
    spec = {
        "headers": [{"name": "PRIVATE-TOKEN", "value": "t"}],
        "auth": {"basicAuth": {"usernameSecret": ref("user"), "passwordSecret": ref("password")}},
    }
    with site() as other:
        other.kept["/f"] = b"there"
        world.elsewhere = f"{other.url}/f"
        keeper.load({"name": "f", "http": {"url": f"{world.url}/away", **spec}}, tmp_path / "got", RUN)

    assert (tmp_path / "got").read_text() == "there"
    assert "private-token" in world.asked[0][2]
    assert not {"private-token", "authorization"} & set(other.asked[0][2])
    with pytest.raises(Permanent, match="more than 5 redirects"):
        keeper.load({"name": "f", "http": {"url": f"{world.url}/round"}}, tmp_path / "got", RUN)
    world.elsewhere = "file:///etc/passwd"
    with pytest.raises(Permanent, match="not followed"):
        keeper.load({"name": "f", "http": {"url": f"{world.url}/away"}}, tmp_path / "got", RUN)


def test_tokens_limits_and_what_http_cannot_do(web: tuple[Site, Keeper], tmp_path: Path) -> None:
    world, keeper = web
    keeper_secrets = {("Secret", "web"): {**SECRETS[("Secret", "web")], "url": f"{world.url}/token"}}
    keeper = open_artifacts(tmp_path / "data", keeper_secrets, ArtifactSettings(max_bytes=1 << 20), pauses=QUICK)
    world.kept["/f"], world.kept["/big"] = b"x", bytes(2 << 20)
    oauth = {
        "tokenURLSecret": ref("url"),
        "clientIDSecret": ref("id"),
        "clientSecretSecret": ref("pw"),
        "scopes": ["r"],
    }

    keeper.load({"name": "f", "http": {"url": f"{world.url}/f", "auth": {"oauth2": oauth}}}, tmp_path / "got", RUN)

    assert world.asked[-1][2]["authorization"] == "Bearer tok"
    with pytest.raises(BadArtifact, match="max_bytes"):
        keeper.load({"name": "f", "http": {"url": f"{world.url}/big"}}, tmp_path / "got", RUN)
    for artifact, message in (
        ({"http": {"url": "file:///etc/passwd"}}, "begins with http"),
        ({"azure": {"container": "x"}}, "azure is not built"),
        ({"oss": {"key": "x"}}, "oss is not built"),
        ({"hdfs": {"path": "x"}}, "hdfs is not built"),
        ({"raw": {"data": ""}, "s3": {"key": "x"}}, "several locations: raw, s3"),
    ):
        with pytest.raises(ConfigError, match=message):
            keeper.load({"name": "f", **artifact}, tmp_path / "got", RUN)
    with pytest.raises(ConfigError, match="one file"):
        keeper.save(
            {"name": "f", "archive": {"none": {}}, "http": {"url": f"{world.url}/x"}}, folder(tmp_path / "out"), RUN
        )
    with pytest.raises(ConfigError, match="no list of keys"):
        list(keeper.keys({"name": "f", "http": {"url": f"{world.url}/f"}}, RUN))


def test_artifactory_takes_a_password_and_may_be_the_default(web: tuple[Site, Keeper], tmp_path: Path) -> None:
    world, _ = web
    login = {"usernameSecret": ref("user"), "passwordSecret": ref("password")}
    settings = ArtifactSettings.model_validate({"artifactory": {"repoURL": f"{world.url}/repo", **login}})
    keeper = open_artifacts(tmp_path / "data", SECRETS, settings, pauses=QUICK)

    kept = keeper.save({"name": "m"}, folder(tmp_path / "out"), RUN)
    keeper.load(kept, tmp_path / "in", RUN)

    assert kept["artifactory"] == {"url": f"{world.url}/repo/train-x/train-x-fit-1/m.tgz", **login}
    assert files(tmp_path / "in") == {"a.txt": "alpha", "sub/b.txt": "beta"}
    assert world.asked[0][2]["authorization"] == "Basic " + _b64("ann:s3cret")


# --- Google Cloud Storage --------------------------------------------------------------------------------------------


@contextmanager
def google(key: RSA.RsaKey) -> Iterator[tuple[str, dict[str, bytes]]]:  # noqa: C901
    """The part of Google's JSON API that is used, with two keys for a page; it checks the tokens' signatures."""
    objects: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def allowed(self) -> bool:
            if self.headers.get("Authorization") == "Bearer good":
                return True
            self.answer(403)
            return False

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/token":
                head, claims, signature = parse_qs(body.decode())["assertion"][0].split(".")
                padded = base64.urlsafe_b64decode(signature + "==")
                pkcs1_15.new(key.public_key()).verify(SHA256.new(f"{head}.{claims}".encode()), padded)
                self.answer(200, b'{"access_token": "good", "expires_in": 3600}')
            elif self.allowed():
                objects[parse_qs(urlsplit(self.path).query)["name"][0]] = body
                self.answer(200, b"{}")

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            name = unquote(parts.path.partition("/o/")[2])
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if not self.allowed():
                return
            if not name:
                found = [one for one in sorted(objects) if one.startswith(query.get("prefix", ""))]
                start = int(query.get("pageToken", 0))
                more = {"nextPageToken": str(start + 2)} if len(found) > start + 2 else {}
                self.answer(
                    200, json.dumps({"items": [{"name": n} for n in found[start : start + 2]], **more}).encode()
                )
            elif name in objects:
                self.answer(200, objects[name] if query.get("alt") == "media" else b"{}")
            else:
                self.answer(404)

        def do_DELETE(self) -> None:
            if self.allowed():
                gone = objects.pop(unquote(urlsplit(self.path).path.partition("/o/")[2]), None)
                self.answer(404 if gone is None else 204)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with _serving(server):
        yield f"http://127.0.0.1:{server.server_port}", objects


def test_google_cloud_storage_is_spoken_to_with_a_service_account(tmp_path: Path) -> None:
    key = RSA.generate(2048)
    with google(key) as (url, objects):
        account = {"client_email": "me@x", "private_key": key.export_key().decode(), "token_uri": f"{url}/token"}
        references = {("Secret", "g"): {"key": json.dumps(account), "broken": "{}"}}
        settings = ArtifactSettings(gcs_url=url)
        keeper = open_artifacts(tmp_path / "data", references, settings, pauses=QUICK)
        spec = {"bucket": "b", "key": "x/y z", "serviceAccountKeySecret": {"name": "g", "key": "key"}}
        source = folder(tmp_path / "out")
        (source / "c.txt").write_text("gamma")

        kept = keeper.save({"name": "m", "gcs": spec, "archive": {"none": {}}}, source, RUN)
        keeper.load(kept, tmp_path / "in", RUN)
        packed = keeper.save({"name": "p", "gcs": {**spec, "key": "p.tgz"}}, source, RUN)
        keeper.load(packed, tmp_path / "in2", RUN)

        assert files(tmp_path / "in") == files(tmp_path / "in2") == files(source)
        assert list(keeper.keys(kept, RUN)) == ["x/y z/a.txt", "x/y z/c.txt", "x/y z/sub/b.txt"]
        keeper.delete(kept, RUN)
        assert set(objects) == {"p.tgz"}
        with pytest.raises(ArtifactMissing):
            keeper.load(kept, tmp_path / "in", RUN)
        with pytest.raises(Permanent, match=r"refused \(403\); give serviceAccountKeySecret"):
            keeper.load({"name": "m", "gcs": {"bucket": "b", "key": "p.tgz"}}, tmp_path / "in", RUN)
        broken = {**spec, "serviceAccountKeySecret": {"name": "g", "key": "broken"}}
        with pytest.raises(ConfigError, match="no key of a service account"):
            keeper.load({"name": "m", "gcs": broken}, tmp_path / "in", RUN)


# --- git -------------------------------------------------------------------------------------------------------------


def git(place: Path, *words: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    names = ["-c", "user.name=t", "-c", "user.email=t@x", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *names, *words], cwd=place, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits on main (the first is v1), one on `other`, one that only refs/changes/1 has."""
    place = tmp_path / "repository"
    place.mkdir()
    git(place, "init", "-q")
    for text, after in (("one", ["tag", "v1"]), ("two", []), ):  # fmt: skip
        (place / "f.txt").write_text(text)
        git(place, "add", ".")
        git(place, "commit", "-qm", text)
        if after:
            git(place, *after)
    for branch in ("other", "change"):
        git(place, "checkout", "-qb", branch, "main")
        (place / "f.txt").write_text(branch)
        (place / "sub").mkdir()
        (place / "sub" / "g.txt").write_text("part")
        git(place, "add", ".")
        git(place, "commit", "-qm", branch)
    git(place, "update-ref", "refs/changes/1", "change")
    git(place, "checkout", "-q", "main")
    git(place, "branch", "-qD", "change")
    git(place, "config", "uploadpack.allowAnySHA1InWant", "true")
    hook = place / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'hooked'}\n")
    hook.chmod(0o755)
    return place


@pytest.fixture
def cloner(tmp_path: Path) -> Keeper:
    return open_artifacts(tmp_path / "data", {}, environ=os.environ, pauses=())


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "two"),
        ({"revision": "v1"}, "one"),
        ({"revision": "other"}, "other"),
        ({"depth": 1, "revision": "v1"}, "one"),
        ({"branch": "other", "singleBranch": True, "depth": 1}, "other"),
        ({"fetch": ["refs/changes/*:refs/remotes/origin/changes/*"], "revision": "origin/changes/1"}, "change"),
        ({"revision": "refs/changes/1"}, "change"),
        ({"depth": 1, "revision": "HEAD"}, "two"),
    ],
)
def test_a_repository_is_cloned_at_its_revision(
    cloner: Keeper, repository: Path, tmp_path: Path, more: dict[str, Any], text: str
) -> None:
    cloner.load({"name": "code", "git": {"repo": f"file://{repository}", **more}}, tmp_path / "src", RUN)

    assert (tmp_path / "src" / "f.txt").read_text() == text
    assert git(tmp_path / "src", "status", "--porcelain") == ""
    assert not (tmp_path / "hooked").exists()
    assert not list((tmp_path / "data" / "artifacts" / "tmp").iterdir())


def test_a_commit_that_is_not_on_top_is_found_in_a_shallow_clone(
    cloner: Keeper, repository: Path, tmp_path: Path
) -> None:
    commit = git(repository, "rev-parse", "v1")

    spec = {"repo": f"file://{repository}", "depth": 1, "revision": commit, "singleBranch": True, "branch": "main"}
    cloner.load({"name": "code", "git": spec}, tmp_path / "src", RUN)
    cloner.load(
        {"name": "c", "git": {"repo": f"file://{repository}", "revision": "other"}, "subPath": "sub"},
        tmp_path / "p",
        RUN,
    )

    assert (tmp_path / "src" / "f.txt").read_text() == "one"
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["g.txt"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"repo": "ext::sh -c 'touch /tmp/evil'"}, "no address"),
        ({"repo": "--upload-pack=touch /tmp/evil"}, "no address"),
        ({"revision": "--orphan=x"}, "no name of a revision"),
        ({"branch": "-x"}, "no name of a revision"),
        ({"fetch": ["--upload-pack=x"]}, "no refspec"),
        ({"depth": 0}, "must be 1 or more"),
        ({"singleBranch": True}, "needs branch"),
    ],
)
def test_nothing_of_a_location_becomes_an_option_of_git(
    cloner: Keeper, repository: Path, tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        cloner.load({"name": "code", "git": {"repo": f"file://{repository}", **more}}, tmp_path / "src", RUN)


def test_what_git_says_is_told_without_passwords(cloner: Keeper, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=r"couldn't find remote ref nothing"):
        cloner.load({"name": "c", "git": {"repo": f"file://{repository}", "revision": "nothing"}}, tmp_path / "s", RUN)
    url = f"http://ann:s3cret@127.0.0.1:{free_port()}/x.git"
    with pytest.raises(RetrainError) as caught:
        cloner.load({"name": "c", "git": {"repo": url}}, tmp_path / "s", RUN)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError, match="no place for outputs"):
        cloner.save({"name": "c", "git": {"repo": f"file://{repository}"}}, folder(tmp_path / "out"), RUN)
