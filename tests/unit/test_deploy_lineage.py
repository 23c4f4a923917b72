"""Which commits descend from which, asked of a repository of which only a part of the history is here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deploy.git import Git, Lineage
from retrain.errors import Refused


def git(folder: Path, *words: str, stdin: bytes = b"") -> str:
    names = ("-c", "user.name=h", "-c", "user.email=h@example.com")
    done = subprocess.run(["git", *names, *words], cwd=folder, input=stdin, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


def grow(folder: Path, count: int, branch: str = "main", start: str = "", first: int = 0) -> None:
    """Put so many commits on a branch, by one git."""
    lines: list[str] = []
    for number in range(first, first + count):
        lines += [f"commit refs/heads/{branch}", f"committer h <h@example.com> {1_700_000_000 + number} +0000"]
        lines += [f"data {len(str(number))}", str(number)]
        lines += [f"from {start}"] if start and number == first else []
        lines += [f"M 644 inline file-{number % 7}", f"data {len(str(number))}", str(number), ""]
    git(folder, "fast-import", "--quiet", stdin="\n".join(lines).encode())


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """700 commits on main; `side` leaves it at the 300th, and was merged into `merged`."""
    folder = tmp_path_factory.mktemp("lineage") / "remote.git"
    folder.mkdir()
    git(folder, "init", "-q", "--bare", "-b", "main", ".")
    git(folder, "config", "uploadpack.allowFilter", "true")
    grow(folder, 700)
    grow(folder, 60, "side", "refs/heads/main~400", 1000)
    tree = git(folder, "rev-parse", "main^{tree}")
    merge = git(folder, "commit-tree", tree, "-p", "main", "-p", "side", "-m", "merge")
    git(folder, "update-ref", "refs/heads/merged", merge)
    return folder


@pytest.fixture
def lineage(remote: Path, tmp_path: Path) -> Lineage:
    return Lineage(Git(tmp_path / "home", os.environ), f"file://{remote}", tmp_path / "caches")


@pytest.mark.parametrize(
    ("branch", "commit", "descendant", "expected"),
    [
        ("main", "main~3", "main~3", True),
        ("main", "main~3", "main", True),
        ("main", "main~3", "main~4", False),
        ("main", "main~3", "main~600", False),
        ("main", "main~600", "main~599", True),
        ("main", "main~699", "main", True),
        ("main", "main~3", "side", False),  # another branch has it, ours has not
        ("main", "side", "main", False),
        ("main", "side", "side", False),
        ("merged", "side~5", "merged", True),
        ("merged", "side~5", "side", True),
        ("merged", "side~5", "main", False),
        ("merged", "main~2", "side", False),
        ("merged", "main~450", "side", True),
    ],
)
def test_it_says_what_the_whole_history_would_say(
    remote: Path, lineage: Lineage, branch: str, commit: str, descendant: str, expected: bool
) -> None:
    one, two = git(remote, "rev-parse", commit), git(remote, "rev-parse", descendant)

    assert lineage.contains(branch, one, two) is expected


def test_what_nobody_has_is_no_descendant_and_what_is_no_commit_is_never_asked_for(
    remote: Path, lineage: Lineage
) -> None:
    tip = git(remote, "rev-parse", "main")

    assert not lineage.contains("main", tip, "f" * 40)
    assert not lineage.contains("main", "f" * 40, tip)
    for nonsense in ("", "main", "HEAD", "--all", tip[:12], f"{tip}^", tip.upper()):
        assert not lineage.contains("main", tip, nonsense)
        assert not lineage.contains("main", nonsense, tip)


def test_a_recent_commit_costs_a_few_commits_and_no_files(remote: Path, lineage: Lineage, tmp_path: Path) -> None:
    tip, old = (git(remote, "rev-parse", name) for name in ("main", "main~2"))

    assert lineage.contains("main", old, tip)

    (cache,) = (tmp_path / "caches").glob("*-lineage.git")
    kinds = git(cache, "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").split()
    assert set(kinds) == {"commit"}
    assert len(kinds) == 50


def test_the_cache_follows_a_branch_that_grows_and_one_that_was_rewound(tmp_path: Path) -> None:
    folder = tmp_path / "remote.git"
    folder.mkdir()
    git(folder, "init", "-q", "--bare", "-b", "main", ".")
    grow(folder, 5)
    lineage = Lineage(Git(tmp_path / "home", os.environ), str(folder), tmp_path / "caches")
    first = git(folder, "rev-parse", "main")
    assert lineage.contains("main", first, first)

    grow(folder, 80, start=first, first=10)
    second = git(folder, "rev-parse", "main")
    assert lineage.contains("main", first, second)

    git(folder, "update-ref", "refs/heads/main", f"{first}~1")
    assert not lineage.contains("main", first, second)
    with pytest.raises(Refused, match="no branch"):
        lineage.contains("absent", first, second)
