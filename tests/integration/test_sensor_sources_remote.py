"""Objects that lie elsewhere, from real ones: a git repository, a web server, MinIO."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from retrain.errors import ConfigError, NotFound, Permanent, RetrainError, Transient
from sensors.objects.reading import RemoteReading
from sensors.objects.remote import RemoteSources
from sensors.objects.settings import RemoteSettings
from sensors.objects.sources import NotReadYet
from sensors.trigger_spec import Source
from tests.contract.source_world import Objects
from tests.servers.launch import MinioServer
from triggers.port import StaticSecrets

pytestmark = pytest.mark.integration

OPEN = RemoteSettings(timeout_s=10, allow=(ip_network("127.0.0.0/8"), ip_network("::1/128")), local_git=True)
SECRETS = {"minio": {"access": "", "secret": ""}, "git": {"user": "u", "token": "t"}}


def reading(
    folder: Path, settings: RemoteSettings = OPEN, secrets: dict[str, dict[str, str]] = SECRETS
) -> RemoteReading:
    return RemoteReading(folder / "git", StaticSecrets(secrets), {"PATH": "/usr/local/bin:/usr/bin:/bin"}, settings)


async def read(folder: Path, settings: RemoteSettings = OPEN, **written: Any) -> str:
    return await reading(folder, settings)(Source.model_validate(written))


# --- git ---


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """With `objects/wf.yaml` on the branches main and next, at the tag v1, and a link to it."""
    folder = tmp_path / "repository"
    (folder / "objects").mkdir(parents=True)
    run(folder, "init", "-q", "-b", "main")
    (folder / "link.yaml").symlink_to("objects/wf.yaml")
    commit(folder, "one")
    run(folder, "tag", "-a", "v1", "-m", "v1")
    run(folder, "checkout", "-q", "-b", "next")
    commit(folder, "two")
    run(folder, "checkout", "-q", "main")
    return folder


def run(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True)


def commit(folder: Path, text: str) -> None:
    (folder / "objects/wf.yaml").write_text(text)
    run(folder, "add", "-A")
    run(folder, "commit", "-q", "-m", text)


@pytest.mark.parametrize(
    ("which", "text"),
    [
        ({}, "one"),
        ({"branch": "next"}, "two"),
        ({"tag": "v1"}, "one"),
        ({"ref": "refs/heads/next"}, "two"),
        ({"ref": "refs/heads/next", "tag": "v1", "branch": "main"}, "two"),
    ],
)
async def test_a_file_of_a_branch_tag_or_ref_is_read(
    which: dict[str, str], text: str, repository: Path, tmp_path: Path
) -> None:
    git = {"url": repository.as_uri(), "filePath": "objects/wf.yaml", **which}

    assert await read(tmp_path, git=git) == text


async def test_another_remote_than_the_one_to_clone_is_the_one_that_is_read(repository: Path, tmp_path: Path) -> None:
    remote = {"name": "upstream", "urls": [repository.as_uri()]}
    git = {"url": "https://example.org/not-asked.git", "filePath": "objects/wf.yaml", "remote": remote}

    assert await read(tmp_path, git=git) == "one"


async def test_a_branch_that_moves_is_read_again(repository: Path, tmp_path: Path) -> None:
    source = Source.model_validate({"git": {"url": repository.as_uri(), "filePath": "objects/wf.yaml"}})
    once = reading(tmp_path)

    assert await once(source) == "one"
    assert await once(source) == "one"
    commit(repository, "three")
    assert await once(source) == "three"


@pytest.mark.parametrize(
    ("git", "error", "words"),
    [
        ({"filePath": "objects/no.yaml"}, Permanent, "is not there"),
        ({"filePath": "link.yaml"}, Permanent, "no plain file"),
        ({"filePath": "objects"}, Permanent, "no plain file"),
        ({"filePath": "objects/wf.yaml", "branch": "no"}, Permanent, "has no refs/heads/no"),
        ({"filePath": "objects/wf.yaml", "githubApp": {}}, ConfigError, "githubApp"),
        ({"filePath": "objects/wf.yaml", "creds": {"password": {"name": "no", "key": "x"}}}, NotFound, "no secret"),
    ],
)
async def test_what_a_repository_does_not_have_is_said(
    git: dict[str, Any], error: type[RetrainError], words: str, repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        await read(tmp_path, git={"url": repository.as_uri(), **git})


async def test_a_repository_on_this_machine_is_closed_unless_it_is_allowed(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"git\.url is https"):
        await read(tmp_path, RemoteSettings(), git={"url": repository.as_uri(), "filePath": "objects/wf.yaml"})


# --- url ---


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """Answers with a text, a redirect, an error, too much, or no text at all."""

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/wf.yaml":
                return web.Response(text="kind: Workflow")
            case "/moved":
                raise web.HTTPFound("/wf.yaml")
            case "/large":
                return web.Response(body=b"#" * (2 * 1024 * 1024))
            case "/bytes":
                return web.Response(body=b"\xff\xfe")
            case "/slow":
                await anyio.sleep_forever()
            case _:
                pass
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{path}", answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_url_is_read(server: str, tmp_path: Path) -> None:
    assert await read(tmp_path, url={"path": f"{server}/wf.yaml"}) == "kind: Workflow"


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("/no", Transient, "answered 404"),
        ("/moved", Permanent, "redirects are not followed"),
        ("/large", Permanent, "over 1048576 bytes"),
        ("/bytes", Permanent, "is no text"),
    ],
)
async def test_what_a_url_does_not_give_is_said(
    path: str, error: type[RetrainError], words: str, server: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        await read(tmp_path, url={"path": f"{server}{path}"})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/x",
        "http://localhost:1/x",
        "http://169.254.169.254/x",
        "http://[::1]:1/x",
        "http://0.0.0.0:1/x",
    ],
)
async def test_the_machine_itself_is_closed_unless_it_is_allowed(url: str, tmp_path: Path) -> None:
    with pytest.raises((Permanent, Transient), match="closed"):
        await read(tmp_path, RemoteSettings(timeout_s=10), url={"path": url})


async def test_a_host_that_cannot_be_is_said(tmp_path: Path) -> None:
    with pytest.raises((Permanent, Transient)):
        await read(tmp_path, url={"path": f"http://{'a' * 70}.example/x"})


async def test_without_the_git_program_it_is_said(tmp_path: Path) -> None:
    nowhere = RemoteReading(tmp_path / "git", StaticSecrets(), {"PATH": str(tmp_path)}, OPEN)

    with pytest.raises(Transient, match="git cannot be run"):
        await nowhere(Source.model_validate({"git": {"url": tmp_path.as_uri(), "filePath": "x"}}))


@pytest.mark.parametrize("url", ["", "ftp://example.org/x", "http://", "http://example.org:0/x", "file:///etc/passwd"])
async def test_a_url_is_http(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="URL"):
        await read(tmp_path, url={"path": url})


async def test_a_server_that_does_not_answer_is_given_up(server: str, tmp_path: Path) -> None:
    settings = RemoteSettings(timeout_s=0.2, allow=OPEN.allow)
    remote = RemoteSources(tmp_path / "kept", reading(tmp_path, settings), settings)
    source = Source.model_validate({"url": {"path": f"{server}/slow"}})
    with pytest.raises(NotReadYet):
        remote.fetch(source)

    with anyio.fail_after(10):
        await remote.refresh()

    assert "did not answer" in (remote.waiting_for or "")


# --- s3 ---


def bucket(server: MinioServer, **more: Any) -> dict[str, Any]:
    keys = {"accessKey": {"name": "minio", "key": "access"}, "secretKey": {"name": "minio", "key": "secret"}}
    return {
        "endpoint": server.endpoint,
        "insecure": True,
        "bucket": {"name": "sources", "key": "wf.yaml"},
        **keys,
        **more,
    }


async def test_an_object_of_a_bucket_is_read(minio_server: MinioServer, tmp_path: Path) -> None:
    objects = Objects(minio_server)
    for key, data in (("wf.yaml", b"kind: Workflow"), ("large", b"#" * (1024 * 1024 + 1))):
        objects.client.put_object(objects.bucket, key, BytesIO(data), len(data))
    secrets = {"minio": {"access": minio_server.access_key, "secret": minio_server.secret_key}}
    once = reading(tmp_path, secrets=secrets)

    def place(key: str = "wf.yaml") -> Source:
        return Source.model_validate({"s3": bucket(minio_server, bucket={"name": objects.bucket, "key": key})})

    assert await once(place()) == "kind: Workflow"
    with pytest.raises(Permanent, match="over 1048576 bytes"):
        await once(place("large"))
    with pytest.raises(Transient, match="NoSuchKey"):
        await once(place("no"))
    with pytest.raises(Permanent, match="InvalidAccessKeyId"):
        await reading(tmp_path, secrets={"minio": {"access": "wrong", "secret": "wrong-secret"}})(place())
    with pytest.raises(Permanent, match="closed"):
        await reading(tmp_path, RemoteSettings(), secrets)(place())


async def test_a_bucket_without_a_name_is_refused(minio_server: MinioServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bucket"):
        await read(tmp_path, s3=bucket(minio_server, bucket={"name": "sources"}))
