"""What a server may say, told apart: with real servers that say so. What git's words mean: the unit tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.git import Rejected
from deploy.git import objects as git_objects
from retrain.errors import Refused, Transient
from tests.integration.git_world import Known, bare, over, promote, where
from tests.integration.promotion_world import MODEL, Remote, document, git
from tests.servers.git_server import GitServer, git_server
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return bare(tmp_path)


@pytest.fixture
def server(tmp_path: Path, remote: Remote) -> Iterator[GitServer]:
    with git_server(remote.path.parent, tmp_path / "tls") as running:
        yield running


HOOKS = [
    ("exit 1", Rejected, "a hook of the server declined"),
    ("echo 'GH006: Protected branch update failed' >&2; exit 1", Rejected, "the branch is protected from us"),
    (
        "echo 'Changes must be made through a pull request.' >&2; exit 1",
        Rejected,
        "takes changes by pull request only",
    ),
    ("echo 'Commits must have verified signatures.' >&2; exit 1", Rejected, "takes signed commits only"),
    ("echo 'Your push exceeds the quota of the project' >&2; exit 1", Rejected, "over its quota"),
    ("echo 'fatal: No space left on device' >&2; exit 1", Transient, "a disk is full"),
    ("echo 'File x exceeds GitHub file size limit' >&2; echo GH001 >&2; exit 1", Rejected, "no push of this size"),
    ("echo 'this repository is archived' >&2; exit 1", Rejected, "may be read, but not written"),
]


def test_what_hooks_say_is_told_apart(tmp_path: Path, remote: Remote) -> None:
    before = remote.tip()
    for script, error, words in HOOKS:
        remote.hook("pre-receive", f"#!/bin/sh\n{script}\n")

        with pytest.raises(error, match=words) as failure:
            promote(where(tmp_path / "data"), document(remote.path))

        assert type(failure.value) is error, script
    assert remote.tip() == before


def test_the_configuration_of_git_does_not_reach_the_server_s_side(tmp_path: Path, remote: Remote) -> None:
    """We write our cache without waiting for the disk; what others keep is theirs."""
    remote.hook("pre-receive", f'#!/bin/sh\necho "$GIT_CONFIG_PARAMETERS-$GIT_ASKPASS-" > {tmp_path}/seen\n')

    promote(where(tmp_path / "data"), document(remote.path))

    assert (tmp_path / "seen").read_text() == "--\n"


def test_a_branch_that_is_checked_out_there_is_protected(tmp_path: Path, remote: Remote) -> None:
    git(remote.path, "config", "receive.denyCurrentBranch", "refuse")
    git(remote.path, "config", "core.bare", "false")

    with pytest.raises(Rejected, match="protected from us"):
        promote(where(tmp_path / "data"), document(remote.path))


def test_a_lock_that_nobody_holds_any_more_is_waited_for(tmp_path: Path, remote: Remote) -> None:
    (remote.path / "refs/heads/main.lock").touch()

    with pytest.raises(Transient):
        promote(where(tmp_path / "data"), document(remote.path))


def test_a_server_of_old_habits_gets_no_filter(tmp_path: Path, remote: Remote) -> None:
    git(remote.path, "config", "uploadpack.allowFilter", "false")

    _, commit, _ = promote(where(tmp_path / "data"), document(f"file://{remote.path}"))

    assert remote.tip() == commit


def test_a_branch_and_a_repository_that_are_not_there(tmp_path: Path, remote: Remote, server: GitServer) -> None:
    at = where(tmp_path / "data", Known(tls_ca=server.ca))

    with pytest.raises(Refused, match="has no branch 'nope'; there are main"):
        promote(at, document("x", repo={"url": str(remote.path), "branch": "nope"}))
    with pytest.raises(Transient, match="no such repository"):
        promote(at, document(tmp_path / "nope.git"))
    with pytest.raises(Transient, match="no such repository"):
        promote(at, over(f"{server.url}/nope.git"))


@pytest.mark.parametrize(
    ("refuse", "error", "words"),
    [
        ({"receive-pack": (403, "write access not granted")}, Rejected, "not written"),
        ({"receive-pack": (413, "too large")}, Rejected, "no push of this size"),
        ({"info/refs": (429, "slow down")}, Transient, "asks to come later"),
        ({"info/refs": (503, "maintenance")}, Transient, "asks to come later"),
        ({"info/refs": (500, "oops")}, Transient, "the server failed"),
        ({"info/refs": (302, "elsewhere")}, Transient, "cannot be reached"),
    ],
)
def test_what_https_says_is_told_apart(
    tmp_path: Path, server: GitServer, refuse: dict[str, tuple[int, str]], error: type[Exception], words: str
) -> None:
    server.refuse = refuse

    with pytest.raises(error, match=words) as failure:
        promote(where(tmp_path / "data", Known(tls_ca=server.ca)), over(f"{server.url}/deploy.git"))

    assert type(failure.value) is error


def test_a_server_that_is_down_or_never_answers_is_waited_for(tmp_path: Path, server: GitServer) -> None:
    secrets = Known(tls_ca=server.ca)

    with pytest.raises(Transient, match="cannot be reached"):
        promote(where(tmp_path / "data", secrets), over(f"https://127.0.0.1:{free_port()}/deploy.git"))
    with pytest.raises(Transient, match="no such host"):
        promote(where(tmp_path / "data", secrets), over("https://nowhere.invalid/deploy.git"))
    server.fault = "drip"
    with pytest.raises(Transient, match="did not finish within 1 seconds"):
        promote(where(tmp_path / "data", secrets, network_s=1.0), over(f"{server.url}/deploy.git"))


def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, remote: Remote) -> None:
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    remote.human({"lfs.yaml": lfs, "huge.yaml": MODEL + "# x\n" * (git_objects.MAX_FILE // 4)})

    for file, words in (("lfs.yaml", "Git LFS"), ("huge.yaml", "more than a manifest may have")):
        edits = [{"file": file, "path": "spec.predictor.model.storageUri", "value": "x"}]
        with pytest.raises(Refused, match=words):
            promote(where(tmp_path / "data"), document(remote.path, edits=edits))


def test_a_full_disk_of_our_own_is_waited_for(tmp_path: Path, remote: Remote) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets us mount nothing")
    try:
        (small / "filler").write_bytes(b"x" * 120_000)
        with pytest.raises(Transient, match="a disk is full"):
            promote(where(small), document(remote.path, edits=_edits(remote)))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def _edits(remote: Remote) -> list[dict[str, str]]:
    """Of a file that does not fit."""
    noise = "".join(f"# {os.urandom(30).hex()}\n" for _ in range(5000))
    remote.human({"big.yaml": MODEL + noise})
    return [{"file": "big.yaml", "path": "spec.predictor.model.storageUri", "value": "{{candidate.uri}}"}]
