"""Getting in by https and by ssh: with what secrets hold, and without a trace of it."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.git import AuthFailed, Rejected
from retrain.errors import ConfigError, Transient
from tests.integration.git_world import Known, bare, intent, keygen, over, promote, ref, where
from tests.integration.promotion_world import Remote, document
from tests.servers.git_server import GitServer, git_server
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration

TOKEN = "t0p-s3cret-t0ken"


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return bare(tmp_path)


@pytest.fixture
def server(tmp_path: Path, remote: Remote) -> Iterator[GitServer]:
    with git_server(remote.path.parent, tmp_path / "tls", login=f"bot:{TOKEN}") as running:
        yield running


def known(server: GitServer, token: str = TOKEN) -> Known:
    return Known(git_token=token, git_user="bot", tls_ca=server.ca)


def url(server: GitServer) -> str:
    return f"{server.url}/deploy.git"


def test_a_promotion_goes_over_https_with_a_token(tmp_path: Path, remote: Remote, server: GitServer) -> None:
    doc = over(url(server), username=ref("git", "user"), token=ref("git", "token"))

    _, commit, _ = promote(where(tmp_path / "data", known(server)), doc)

    assert remote.tip() == commit


@pytest.mark.parametrize("source", ["env", "file"])
def test_a_password_may_come_from_the_environment_or_a_file(
    tmp_path: Path, remote: Remote, server: GitServer, source: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "password").write_text(f"{TOKEN}\n")
    secret = {"env": {"env": "GIT_PASSWORD"}, "file": {"file": "password"}}[source]
    doc = over(url(server), username="bot", password=secret)

    _, commit, _ = promote(where(tmp_path / "data", known(server), GIT_PASSWORD=TOKEN), doc)

    assert remote.tip() == commit


def test_a_secret_is_on_no_command_line_and_in_no_file(tmp_path: Path, remote: Remote, server: GitServer) -> None:
    """Looked for while git runs: among the arguments of all processes, and in all that it leaves."""
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.append(file.read_bytes().decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    doc = over(url(server), username="bot", token=ref("git", "token"))
    promote(where(tmp_path / "data", known(server)), doc)
    done.set()
    watcher.join()

    assert any("git-remote-https" in line or "remote-https" in line for line in seen)
    assert not [line for line in seen if TOKEN in line]
    files = [file for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if TOKEN.encode() in file.read_bytes()]


def test_no_missing_wrong_expired_and_read_only_credentials_are_told_apart(
    tmp_path: Path, remote: Remote, server: GitServer
) -> None:
    at = where(tmp_path / "data", known(server))
    token = {"username": "bot", "token": ref("git", "token")}
    before = remote.tip()

    with pytest.raises(AuthFailed, match=r"asks for credentials and has none; set repo\.credentials"):
        promote(at, over(url(server)))
    with pytest.raises(Transient, match="no secret 'git' has a key 'other'"):
        promote(at, over(url(server), token=ref("git", "other")))
    with pytest.raises(AuthFailed, match="does not take the credentials"):
        promote(where(tmp_path / "data", known(server, "wrong-one")), over(url(server), **token))
    server.unauthorized = "the token has expired on 2026-11-01"
    with pytest.raises(AuthFailed, match="the credentials have expired"):
        promote(where(tmp_path / "data", known(server, "old")), over(url(server), **token))
    server.refuse["receive-pack"] = 403, "Permission to deploy.git denied to bot."
    with pytest.raises(Rejected, match="the credentials do not allow this"):
        promote(at, over(url(server), **token))
    assert remote.tip() == before


def test_what_is_said_of_wrong_credentials_does_not_hold_them(tmp_path: Path, server: GitServer) -> None:
    with pytest.raises(AuthFailed) as failure:
        promote(
            where(tmp_path / "data", known(server, "hunter2-secret")),
            over(url(server), username="bot", token=ref("git", "token")),
        )

    assert "hunter2" not in str(failure.value)
    assert "hunter2" not in repr(failure.value)


def test_a_secret_of_two_lines_is_refused(tmp_path: Path, server: GitServer) -> None:
    with pytest.raises(ConfigError, match="holds a line end") as failure:
        promote(where(tmp_path / "data", known(server, "a\nhost=evil")), over(url(server), token=ref("git", "token")))

    assert "evil" not in str(failure.value)


def test_a_server_whose_authority_nobody_knows_is_waited_for(tmp_path: Path, server: GitServer) -> None:
    with pytest.raises(Transient, match="certificate or its TLS is not accepted"):
        promote(where(tmp_path / "data"), document(url(server)))


CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[tuple[str, Known]]:
    """An OpenSSH server that runs git; the address of `tmp_path`/deploy.git there, and the secrets that open it."""
    program = Path("/usr/sbin/sshd")
    if not program.exists():
        pytest.skip("there is no sshd; run tests/servers/sshd.sh install")
    folder, port = tmp_path / "sshd", free_port()
    key, public = keygen(folder, "client_key")
    _, host = keygen(folder, "host_key")
    (folder / "authorized_keys").write_text(f"{public}\n")
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder))
    process = subprocess.Popen([str(program), "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    try:
        _until_it_answers(port)
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        hosts = f"[127.0.0.1]:{port} {host}\n"
        yield f"ssh://{user}@127.0.0.1:{port}{tmp_path}/deploy.git", Known(ssh_key=key, ssh_hosts=hosts)
    finally:
        process.terminate()
        process.wait(10)


def _until_it_answers(port: int) -> None:
    for _ in range(200):
        if subprocess.run(["ssh-keyscan", "-p", str(port), "127.0.0.1"], capture_output=True, check=False).stdout:
            return
        time.sleep(0.05)
    raise AssertionError("sshd does not answer")


SSH = {"ssh": {"key": ref("ssh", "key"), "knownHosts": ref("ssh", "hosts")}}


def test_a_promotion_goes_over_ssh_with_a_key(tmp_path: Path, remote: Remote, ssh: tuple[str, Known]) -> None:
    address, secrets = ssh

    _, commit, _ = promote(where(tmp_path / "data", secrets), document("x", repo={"url": address, "credentials": SSH}))

    assert remote.tip() == commit
    lines = [file for file in (tmp_path / "data").rglob("*") if file.is_file()]
    assert not [file for file in lines if b"PRIVATE KEY" in file.read_bytes()]


def test_another_host_key_and_another_client_key_are_told_apart(
    tmp_path: Path, remote: Remote, ssh: tuple[str, Known]
) -> None:
    address, secrets = ssh
    doc = document("x", repo={"url": address, "credentials": SSH})
    other_key, other_public = keygen(tmp_path / "other")
    wrong_host = re.sub(r"ssh-ed25519 .*", other_public, secrets.values["ssh_hosts"])

    for hosts in (wrong_host, "example.com ssh-ed25519 AAAA\n"):
        with pytest.raises(AuthFailed, match="host key is not the one in knownHosts"):
            promote(where(tmp_path / "data", Known(ssh_key=secrets.values["ssh_key"], ssh_hosts=hosts)), doc)
    with pytest.raises(AuthFailed, match="does not take the credentials"):
        promote(where(tmp_path / "data", Known(ssh_key=other_key, ssh_hosts=secrets.values["ssh_hosts"])), doc)

    assert len(remote.commits()) == 1
    assert intent().id not in remote.show("README.md")
