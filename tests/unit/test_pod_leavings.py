"""What pods and runs leave on disk: progress, notes of devices, and what is taken away when."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.checks.unsupported import CONTAINER
from pipelines.core.happenings import Task
from pipelines.local import devices
from pipelines.local.collect import located
from pipelines.local.leaf import StepRun, Surroundings
from pipelines.local.podplan import PodPlan
from pipelines.local.progress import read_progress
from pipelines.local.retention import keeps_claims, mark_ended, remove_old, remove_run, remove_tree
from pipelines.local.workspace import claims_directory, open_workspace, run_directory, set_aside_all_but
from retrain.errors import ConfigError

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "progress"),
    [
        ("3/10", "3/10"),
        ("1/2\n2/2\n", "2/2"),
        ("0/5\n", "0/5"),
        ("5/3", ""),
        ("1/0", ""),
        ("half", ""),
        ("1/2\nnot a progress\n", ""),
        ("x" * 1000 + "\n7/9\n", "7/9"),
        ("\x1b[31m1/2", ""),
        ("", ""),
    ],
)
def test_progress_is_the_last_line_if_it_can_be_one(text: str, progress: str, tmp_path: Path) -> None:
    (tmp_path / "progress").write_text(text)
    assert read_progress(tmp_path / "progress") == progress


def test_a_progress_that_is_no_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("1/2")
    (tmp_path / "link").symlink_to("secret")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "missing", "."):
        assert read_progress(tmp_path / name) == ""


def test_a_tree_is_removed_whatever_its_modes_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "b" / "f").touch()
    (tree / "link").symlink_to(tmp_path / "kept")
    (tree / "a" / "b").chmod(0o500)
    (tree / "a").chmod(0o000)
    remove_tree(tree)
    remove_tree(tree)
    assert not tree.exists()
    assert (tmp_path / "kept" / "file").exists()


def _run(data: Path, name: str, ended: datetime | None) -> Path:
    home = run_directory(data, name)
    (home / "node" / "work").mkdir(parents=True)
    (claims_directory(data, name) / "v").mkdir(parents=True)
    if ended is not None:
        mark_ended(home)
        os.utime(home / ".ended", (ended.timestamp(), ended.timestamp()))
    return home


def test_directories_of_runs_go_when_their_time_has_come(tmp_path: Path) -> None:
    old = _run(tmp_path, "old", NOW - timedelta(hours=25))
    young, running = _run(tmp_path, "young", NOW - timedelta(hours=23)), _run(tmp_path, "running", None)
    assert remove_old(tmp_path, timedelta(hours=24), NOW) == ["old"]
    assert [one.exists() for one in (old, claims_directory(tmp_path, "old"))] == [False, False]
    assert [one.exists() for one in (young, running, claims_directory(tmp_path, "young"))] == [True, True, True]
    remove_run(tmp_path, "young")
    assert not young.exists()
    assert remove_old(tmp_path / "nowhere", timedelta(0), NOW) == []


def test_a_run_that_goes_on_has_not_ended(tmp_path: Path) -> None:
    home = _run(tmp_path, "r", NOW - timedelta(days=9))
    set_aside_all_but(home, ["node"], "retried")
    assert remove_old(tmp_path, timedelta(0), NOW) == []


@pytest.mark.parametrize(
    ("gc", "succeeded", "kept"),
    [
        (None, True, False),
        (None, False, True),
        ({"strategy": "OnWorkflowSuccess"}, False, True),
        ({"strategy": "OnWorkflowCompletion"}, False, False),
    ],
)
def test_claims_are_kept_for_a_retry_unless_the_workflow_says_otherwise(
    gc: dict[str, str] | None, succeeded: bool, kept: bool
) -> None:
    assert keeps_claims({"volumeClaimGC": gc} if gc else {}, succeeded) is kept


def test_devices_are_noted_and_count_only_while_the_pod_runs(tmp_path: Path) -> None:
    devices.note(tmp_path / "pod", {"nvidia.com/gpu": ("0", "2")})
    assert devices.noted(tmp_path / "pod") is None
    assert devices.noted(tmp_path / "other") is None


@pytest.mark.parametrize(
    ("artifact", "place", "key"),
    [
        ({"name": "a", "path": "/x/f.txt"}, {"s3": {"bucket": "b", "key": "dir/"}}, "dir/a.tgz"),
        ({"name": "a", "path": "/x/f.txt", "archive": {"none": {}}}, {"s3": {"key": "dir"}}, "dir/f.txt"),
        ({"name": "a", "path": "/x/f.txt", "archive": {"zip": {}}}, {"s3": {"key": "dir"}}, "dir/a.zip"),
        ({"name": "a", "path": "/x", "s3": {"key": "own"}}, {"s3": {"key": "dir"}}, "own"),
    ],
)
def test_an_artifact_without_a_location_lies_where_the_template_says(
    artifact: dict[str, Any], place: dict[str, Any], key: str
) -> None:
    assert located(artifact, {"archiveLocation": place})["s3"]["key"] == key


@pytest.mark.parametrize("field", sorted(CONTAINER))
def test_what_a_container_asks_for_and_is_not_done_is_refused_by_name(field: str, tmp_path: Path) -> None:
    template = {"container": {"image": "any", "command": ["true"], field: "Always"}}
    around = Surroundings(tmp_path, tmp_path, {}, {})
    run = StepRun("r", "wf", "u", tmp_path / "r")
    with pytest.raises(ConfigError, match=f"container 'main': {field} is not done by local steps"):
        PodPlan(Task("n", "n", "p", template), run, open_workspace(run.home, "n"), around)
