"""Many writers on one branch: all land, none twice, none over another, in one line, each signed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from retrain.errors import Transient
from tests.integration import git_writers
from tests.integration.git_world import Known, bare, intent, keygen, over, promote, ref, where
from tests.integration.promotion_world import Remote, git
from tests.servers.git_server import git_server

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MACHINES, THREADS = 2, 6
SIGN = {"sign": {"ssh": {"key": ref("k", "k")}}, "email": "bot@example.com"}


def run_all(folder: Path, settings: dict[str, Any]) -> None:
    """Writers on several machines, each with a cache of its own; threads share one."""
    file = folder / "settings.json"
    file.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "tests.integration.git_writers"]
    processes = [
        subprocess.Popen(
            [*command, str(folder / f"machine{n}"), str(file), str(n * THREADS), str(THREADS)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        for n in range(MACHINES)
    ]
    assert [process.wait(300) for process in processes] == [0] * MACHINES


def check(remote: Remote, allowed: Path, count: int) -> None:
    commits = remote.commits()  # asserts that they are in one line
    said = [git(remote.path, "log", "-1", "--format=%(trailers:key=Retrain-Promotion,valueonly)", c) for c in commits]
    ours = [one for one in said if one]
    values = remote.show("models.yaml").splitlines()
    assert sorted(ours) == sorted(f"p-{n + 1}" for n in range(count))
    assert values == [f"m{n}: s3://models/digits/w{n}  # of writer {n}" for n in range(count)]
    for commit in commits[-count:]:
        git(remote.path, "-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-commit", commit)


@pytest.fixture
def world(tmp_path: Path) -> tuple[Remote, str, Path]:
    """A repository with a key for each writer, a private SSH key, and the file of allowed signers."""
    remote = bare(tmp_path / "served")
    remote.human({"models.yaml": git_writers.models(MACHINES * THREADS)})
    key, public = keygen(tmp_path / "keys")
    (tmp_path / "allowed").write_text(f"bot@example.com {public}\n")
    return remote, key, tmp_path / "allowed"


def test_many_writers_on_a_local_repository_all_land(tmp_path: Path, world: tuple[Remote, str, Path]) -> None:
    remote, key, allowed = world

    run_all(tmp_path, {"repo": {"url": str(remote.path)}, "secrets": {"k_k": key}, "commit": SIGN})

    check(remote, allowed, MACHINES * THREADS)


def test_many_writers_over_https_all_land_though_connections_are_cut(
    tmp_path: Path, world: tuple[Remote, str, Path]
) -> None:
    remote, key, allowed = world
    with git_server(remote.path.parent, tmp_path / "tls", login="bot:pass", fault="reset-after-push") as server:
        repo = over(f"{server.url}/deploy.git", username="bot", password=ref("git", "pass")).spec.repo
        secrets = {"k_k": key, "git_pass": "pass", "tls_ca": server.ca}
        run_all(tmp_path, {"repo": repo.model_dump(exclude_none=True), "secrets": secrets, "commit": SIGN})

        assert server.fault == ""
    check(remote, allowed, MACHINES * THREADS)


def test_a_push_whose_answer_is_cut_off_has_landed_once(tmp_path: Path) -> None:
    remote = bare(tmp_path / "served")
    with git_server(remote.path.parent, tmp_path / "tls", fault="reset-after-push") as server:
        at = where(tmp_path / "data", Known(tls_ca=server.ca))
        doc = over(f"{server.url}/deploy.git")

        with pytest.raises(Transient):
            promote(at, doc)
        _, commit, derived = promote(at, doc, intent())

    assert (commit, derived.outcome) == (None, "landed")
    assert len(remote.commits()) == 2
