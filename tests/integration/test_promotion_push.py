"""One attempt at a time: the lease, and commits that follow from what they are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy import attempt, candidate, place
from deploy.attempt import Place
from deploy.derive import Derived, Intent
from deploy.git import Author, Git, Race, Rejected
from deploy.git.command import deadline
from deploy.git.objects import Objects
from retrain.errors import Transient
from tests.integration import promotion_world
from tests.integration.promotion_world import Remote, document, git

pytestmark = pytest.mark.integration

MODEL = candidate.read(promotion_world.candidate("a"))
INTENT = Intent("p-1", "1" * 64, "promote", MODEL.digest, datetime(2026, 11, 20, tzinfo=UTC), MODEL)
PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


def test_a_branch_rewound_during_the_attempt_is_a_lost_race(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    first = remote.tip()
    remote.human({"secret.txt": "oops\n"})

    def rewind(_derived: Derived, _base: str, _commit: str) -> bool:
        git(remote.path, "update-ref", "refs/heads/main", first)
        return True

    # A push without a lease would be a fast-forward here, and bring the removed commit back.
    with pytest.raises(Race, match="stale info"):
        attempt.run(place(tmp_path, tmp_path, PATH), document(remote.path), INTENT, rewind)

    assert remote.tip() == first


def test_the_same_promotion_on_the_same_base_is_the_same_commit(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    commits: list[str] = []

    def note(_derived: Derived, _base: str, commit: str) -> bool:
        commits.append(commit)
        return len(commits) == 3

    for data in ("one", "two", "one"):
        attempt.run(place(tmp_path / data, tmp_path, PATH), document(remote.path), INTENT, note)

    assert len(set(commits)) == 1
    assert remote.tip() == commits[0]


def test_a_promotion_that_landed_is_seen_and_not_made_again(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    where = place(tmp_path, tmp_path, PATH)
    attempt.run(where, document(remote.path), INTENT, lambda *_: True)
    remote.human({"README.md": "more\n"})

    _, commit, derived = attempt.run(where, document(remote.path), INTENT, lambda *_: True)

    assert (commit, derived.outcome) == (None, "landed")


ODD = ["-x.yaml", "--upload-pack=touch x/y.yaml", '"a".yaml', "a b /c .yaml", "é/ü.yaml", "a/'$(x).yaml", ".retrain/x"]


def test_a_path_is_a_path_whatever_it_looks_like(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    repository = place(tmp_path, tmp_path, PATH).repository(document(remote.path))

    with repository.locked():
        base = repository.fetch("main")
        sha = repository.commit(base, {path: path.encode() for path in ODD}, "odd\n", Author("R", "r@x", 1))
        repository.push(base, sha, "main")

    names = git(remote.path, "-c", "core.quotePath=false", "diff-tree", "-r", "-z", "--name-only", base, "main")
    assert sorted(name for name in names.split("\0") if name) == sorted(ODD)
    assert all(remote.show(path) == path for path in ODD)


def test_a_branch_of_our_own_is_set_by_lease_alone(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    repository = place(tmp_path, tmp_path, PATH).repository(document(remote.path))
    with repository.locked():
        base = repository.fetch("main")
        one = repository.commit(base, {"a": b"1"}, "one\n", Author("R", "r@x", 1))
        two = repository.commit(base, {"a": b"2"}, "two\n", Author("R", "r@x", 1))
        repository.publish(one, "promote/x", "")
        with pytest.raises(Race):
            repository.publish(two, "promote/x", "")
        with pytest.raises(Race):
            repository.publish(two, "promote/x", base)
        repository.publish(two, "promote/x", one)

    assert repository.tips("promote/x", "main", "nope") == {"promote/x": two, "main": base}


def test_a_repository_s_lazy_files_are_fetched_at_once(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git", {f"f{n}.yaml": f"a: {n}\n" for n in range(20)})
    git(remote.path, "config", "uploadpack.allowFilter", "true")
    calls: list[str] = []

    class Counting(Git):
        def _start(self, command: list[str], *more: Any, **named: Any) -> Any:
            calls.append(" ".join(command))
            return super()._start(command, *more, **named)

    at = Place(Counting(tmp_path / "home", PATH), tmp_path, tmp_path)
    repository = at.repository(document(f"file://{remote.path}"))
    with repository.locked():
        base = repository.fetch("main")
        found = repository.read(base, [f"f{n}.yaml" for n in range(20)])

    assert found == {f"f{n}.yaml": f"a: {n}\n".encode() for n in range(20)}
    assert len([call for call in calls if " fetch " in call]) == 2


def test_a_command_that_hangs_is_killed_at_its_deadline(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    remote.hook("pre-receive", "#!/bin/sh\nexec sleep 600\n")
    slow = Place(Git(tmp_path / "home", PATH, network_s=1.0), tmp_path, tmp_path)

    with pytest.raises(Transient, match="did not finish within 1 seconds"):
        attempt.run(slow, document(remote.path), INTENT, lambda *_: True)


def test_the_home_and_the_settings_of_the_user_do_not_reach_git(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    touched = tmp_path / "touched"
    hostile = {**PATH, "GIT_SSH_COMMAND": f"touch {touched}", "GIT_EXTERNAL_DIFF": "x", "GIT_DIR": "/x", "HOME": "/x"}
    runner = Git(tmp_path / "home", hostile)

    attempt.run(Place(runner, tmp_path, tmp_path), document(remote.path), INTENT, lambda *_: True)
    with pytest.raises((Rejected, Transient)):
        runner.run(None, "ls-remote", "--", f"ext::touch {touched}", network=True)

    assert not touched.exists()


def test_a_reader_that_hangs_is_killed_at_its_deadline(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    with Git(tmp_path / "home", PATH).open(remote.path, "cat-file", "--batch") as process, deadline(process, 0.2):
        assert process.stdout is not None
        assert process.stdout.read() == b""


def test_a_reader_that_is_killed_has_damaged_nothing(tmp_path: Path) -> None:
    remote, runner = Remote.create(tmp_path / "deploy.git"), Git(tmp_path / "home", PATH)
    with runner.open(remote.path, "cat-file", "--batch") as process:
        objects = Objects(process)
        assert objects.get("main^{commit}") is not None

        runner.close()

        for _ in range(2):  # at its end, and on a pipe that nobody reads
            with pytest.raises(Transient, match="ended by signal 9"):
                objects.get("main^{tree}")
