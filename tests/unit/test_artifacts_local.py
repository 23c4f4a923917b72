"""What is saved comes back as it was, whatever it is, and nobody who has it can change what is kept."""

from __future__ import annotations

import os
import stat
import tarfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.artifacts import ArtifactMissing, ArtifactRun, BadArtifact, open_artifacts
from pipelines.artifacts.blobs import LARGE
from pipelines.artifacts.keeper import Keeper

RUN = ArtifactRun("r1", "train-x", "default", "train-x-1", "train-x-fit-1")


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return open_artifacts(tmp_path / "data", {})


def make(folder: Path) -> Path:
    """A directory with what directories have."""
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "a.txt").write_text("alpha")
    (folder / "deep" / "er" / "b.bin").write_bytes(bytes(range(256)) * 5000)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "deep" / "link").symlink_to("../a.txt")
    (folder / os.fsdecode(b"caf\xe9 \n.txt")).write_text("latin")
    return folder


def seen(folder: Path) -> dict[bytes, object]:
    """All that is in a directory, comparable."""
    out: dict[bytes, object] = {}
    root = os.fsencode(folder)
    for place, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(os.fsdecode(place), os.fsdecode(name))
            key = os.fsencode(path.relative_to(folder))
            if path.is_symlink():
                out[key] = os.fsencode(path.readlink())
            elif path.is_dir():
                out[key] = "dir"
            else:
                out[key] = (path.stat().st_mode & 0o777, path.read_bytes())
    return out


def blobs(tmp_path: Path) -> int:
    return sum(1 for path in (tmp_path / "data" / "artifacts" / "blobs").rglob("*") if path.is_file())


@pytest.mark.parametrize("archive", [None, {"tar": {}}, {"tar": {"compressionLevel": 0}}, {"zip": {}}])
def test_a_directory_comes_back_as_it_was(keeper: Keeper, tmp_path: Path, archive: Mapping[str, Any] | None) -> None:
    source = make(tmp_path / "out")
    artifact = {"name": "model", "path": "/out", **({"archive": archive} if archive else {})}

    kept = keeper.save(artifact, source, RUN)
    keeper.load(kept, tmp_path / "in" / "model", RUN)

    assert seen(tmp_path / "in" / "model") == seen(source)
    suffix = "zip" if archive and "zip" in archive else "tgz"
    assert kept == {**artifact, "s3": {"key": f"train-x/train-x-fit-1/model.{suffix}"}}


@pytest.mark.parametrize("archive", [None, {"none": {}}, {"tar": {}}, {"zip": {}}])
def test_a_file_comes_back_with_its_mode(keeper: Keeper, tmp_path: Path, archive: Mapping[str, Any] | None) -> None:
    source = tmp_path / "model.pkl"
    source.write_bytes(b"\x80weights")
    source.chmod(0o640)

    kept = keeper.save({"name": "m", "path": "/x/model.pkl", **({"archive": archive} if archive else {})}, source, RUN)
    keeper.load(kept, tmp_path / "got", RUN)

    assert (tmp_path / "got").read_bytes() == b"\x80weights"
    assert stat.S_IMODE((tmp_path / "got").stat().st_mode) == 0o640
    assert kept["s3"]["key"].endswith(
        "model.pkl" if archive == {"none": {}} else f"m.{'zip' if archive == {'zip': {}} else 'tgz'}"
    )


def test_a_directory_without_archive_is_one_key_for_each_file(keeper: Keeper, tmp_path: Path) -> None:
    source = make(tmp_path / "out")
    kept = keeper.save({"name": "d", "archive": {"none": {}}, "s3": {"key": "wf/parts/"}}, source, RUN)

    keeper.load({"name": "one", "s3": {"key": "wf/parts/a.txt"}}, tmp_path / "one", RUN)
    keeper.load({"name": "all", "s3": {"key": "wf/parts"}}, tmp_path / "all", RUN)

    assert (tmp_path / "one").read_text() == "alpha"
    expected = {path: what for path, what in seen(source).items() if not isinstance(what, bytes)}
    assert seen(tmp_path / "all") == expected
    assert kept["s3"] == {"key": "wf/parts/"}
    assert list(keeper.keys({"name": "l", "s3": {"key": "wf/parts"}}, RUN)) == [
        "wf/parts/a.txt", os.fsdecode(b"wf/parts/caf\xe9 \n.txt"), "wf/parts/deep/er/b.bin", "wf/parts/run.sh",
    ]  # fmt: skip


def test_keys_that_several_steps_saved_are_read_as_one_directory(keeper: Keeper, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "part.json").write_text(str(number))
        artifact = {"name": "p", "archive": {"none": {}}, "s3": {"key": f"wf/results/{number}.json"}}
        keeper.save(artifact, tmp_path / "part.json", RUN)

    keeper.load({"name": "r", "s3": {"key": "wf/results"}}, tmp_path / "in", RUN)

    assert {path.name: path.read_text() for path in (tmp_path / "in").iterdir()} == {
        f"{n}.json": f"{n}" for n in range(3)
    }


@pytest.mark.parametrize("archive", [{"tar": {}}, {"none": {}}, {"zip": {}}])
def test_a_part_is_taken_by_sub_path(keeper: Keeper, tmp_path: Path, archive: Mapping[str, Any]) -> None:
    source = make(tmp_path / "out")
    kept = keeper.save({"name": "d", "archive": archive}, source, RUN)

    keeper.load({**kept, "subPath": "deep/er"}, tmp_path / "folder", RUN)
    keeper.load({**kept, "subPath": "a.txt"}, tmp_path / "file", RUN)

    assert (tmp_path / "folder" / "b.bin").read_bytes() == (source / "deep" / "er" / "b.bin").read_bytes()
    assert (tmp_path / "file").read_text() == "alpha"
    with pytest.raises(ArtifactMissing, match="d failed to load"):
        keeper.load({**kept, "subPath": "nothing"}, tmp_path / "none", RUN)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("sub", ["../x", "/etc", "a/../../b", "a\0b"])
def test_a_sub_path_that_leads_out_is_refused(keeper: Keeper, tmp_path: Path, sub: str) -> None:
    kept = keeper.save({"name": "d"}, make(tmp_path / "out"), RUN)

    with pytest.raises(BadArtifact, match="must be a path inside"):
        keeper.load({**kept, "subPath": sub}, tmp_path / "in", RUN)


def test_who_has_an_artifact_cannot_change_what_is_kept(keeper: Keeper, tmp_path: Path) -> None:
    source = make(tmp_path / "out")
    before = seen(source)
    kept = keeper.save({"name": "d"}, source, RUN)

    (source / "a.txt").write_text("changed by the producer")
    keeper.load(kept, tmp_path / "one", RUN)
    for path in (tmp_path / "one").rglob("*"):
        assert path.is_dir() or path.is_symlink() or path.stat().st_nlink == 1
    (tmp_path / "one" / "a.txt").write_text("changed by a reader")
    keeper.load(kept, tmp_path / "two", RUN)

    assert seen(tmp_path / "two") == before


def test_the_same_contents_are_kept_once(keeper: Keeper, tmp_path: Path) -> None:
    source = make(tmp_path / "out")
    large = os.urandom(LARGE + 17)
    (source / "large").write_bytes(large)
    keeper.save({"name": "d"}, source, RUN)
    first = blobs(tmp_path)

    keeper.save({"name": "again"}, source, RUN)
    (source / "large").write_bytes(large[:-1] + b"!")
    kept = keeper.save({"name": "third"}, source, RUN)

    assert first == 6  # five files and their list
    assert blobs(tmp_path) == first + 2  # the changed file and the new list
    keeper.load(kept, tmp_path / "in", RUN)
    assert seen(tmp_path / "in") == seen(source)


def test_holes_stay_holes(keeper: Keeper, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(200 * 1024 * 1024)
        file.write(b"end")
        file.truncate(300 * 1024 * 1024)

    kept = keeper.save({"name": "s"}, tmp_path / "sparse", RUN)
    keeper.load(kept, tmp_path / "got", RUN)

    got = (tmp_path / "got").stat()
    assert got.st_size == 300 * 1024 * 1024
    assert got.st_blocks * 512 < 4 * 1024 * 1024
    with (tmp_path / "got").open("rb") as file:
        file.seek(200 * 1024 * 1024)
        assert file.read(4) == b"end\0"


def test_what_lies_there_is_a_tgz_that_is_always_the_same(keeper: Keeper, tmp_path: Path) -> None:
    kept = keeper.save({"name": "d"}, make(tmp_path / "out"), RUN)
    again = open_artifacts(tmp_path / "other", {})
    again.save({"name": "d"}, tmp_path / "out", RUN)

    with keeper.open(kept, RUN) as file:
        data = file.read()
    with again.open(kept, RUN) as file:
        assert file.read() == data

    with tarfile.open(fileobj=BytesIO(data)) as tar:
        names = tar.getnames()
        assert names[:2] == ["out", "out/a.txt"]
        assert "out/deep/er/b.bin" in names
    keeper.load({**kept, "archive": {"none": {}}}, tmp_path / "as-is.tgz", RUN)
    assert (tmp_path / "as-is.tgz").read_bytes() == data


def test_an_archive_that_a_step_made_itself_is_opened_where_nothing_is_said(keeper: Keeper, tmp_path: Path) -> None:
    source = make(tmp_path / "out")
    with tarfile.open(tmp_path / "own.tgz", "w:gz") as tar:
        tar.add(source, "whatever")
    keeper.save({"name": "t", "archive": {"none": {}}, "s3": {"key": "own.tgz"}}, tmp_path / "own.tgz", RUN)

    keeper.load({"name": "t", "s3": {"key": "own.tgz"}}, tmp_path / "in", RUN)
    keeper.load({"name": "t", "s3": {"key": "own.tgz"}, "archive": {"none": {}}}, tmp_path / "raw", RUN)

    assert seen(tmp_path / "in") == seen(source)
    assert (tmp_path / "raw").read_bytes() == (tmp_path / "own.tgz").read_bytes()


def test_what_is_there_is_replaced_and_nothing_is_left_beside_it(keeper: Keeper, tmp_path: Path) -> None:
    kept = keeper.save({"name": "d"}, make(tmp_path / "out"), RUN)
    place = tmp_path / "in"
    (place / "m" / "old").mkdir(parents=True)

    keeper.load(kept, place / "m", RUN)
    with pytest.raises(ArtifactMissing):
        keeper.load({"name": "x", "s3": {"key": "nothing"}}, place / "m", RUN)

    assert seen(place / "m") == seen(tmp_path / "out")
    assert [path.name for path in place.iterdir()] == ["m"]


def test_a_loop_gives_a_directory_with_one_entry_for_each_item(keeper: Keeper, tmp_path: Path) -> None:
    parts = []
    for number in range(3):
        (tmp_path / "model").write_text(f"model {number}")
        kept = keeper.save({"name": "m", "s3": {"key": f"m{number}"}}, tmp_path / "model", RUN)
        parts.append({**kept, "name": str(number)})
    parts.append({**keeper.save({"name": "d"}, make(tmp_path / "out"), RUN), "name": "3"})

    keeper.load({"name": "models", "path": "/in", "retrain": {"parts": parts}}, tmp_path / "in", RUN)
    keeper.load({"name": "none", "retrain": {"parts": []}}, tmp_path / "no", RUN)

    assert [(tmp_path / "in" / str(n)).read_text() for n in range(3)] == [f"model {n}" for n in range(3)]
    assert seen(tmp_path / "in" / "3") == seen(tmp_path / "out")
    assert list((tmp_path / "no").iterdir()) == []
    with pytest.raises(BadArtifact, match="no name for a file"):
        keeper.load(
            {"name": "evil", "retrain": {"parts": [{"name": "../x", "raw": {"data": ""}}]}}, tmp_path / "e", RUN
        )


def test_mode_and_recurse_mode_set_permissions(keeper: Keeper, tmp_path: Path) -> None:
    kept = keeper.save({"name": "d"}, make(tmp_path / "out"), RUN)

    keeper.load({"name": "r", "raw": {"data": "x"}, "mode": 0o755}, tmp_path / "raw", RUN)
    keeper.load({**kept, "mode": 0o640, "recurseMode": True}, tmp_path / "in", RUN)

    assert stat.S_IMODE((tmp_path / "raw").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "in" / "run.sh").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "in" / "deep").stat().st_mode) == 0o750  # it can be entered
    with pytest.raises(BadArtifact, match="0 to 0777"):
        keeper.load({"name": "r", "raw": {"data": "x"}, "mode": 0o4755}, tmp_path / "raw", RUN)


def test_pipes_and_sockets_are_left_out_and_a_missing_path_is_said(keeper: Keeper, tmp_path: Path) -> None:
    source = make(tmp_path / "out")
    os.mkfifo(source / "pipe")

    keeper.load(keeper.save({"name": "d"}, source, RUN), tmp_path / "in", RUN)

    assert not (tmp_path / "in" / "pipe").exists()
    with pytest.raises(BadArtifact, match="no file and no directory"):
        keeper.save({"name": "p"}, source / "pipe", RUN)
    with pytest.raises(ArtifactMissing, match="no such file or directory"):
        keeper.save({"name": "p"}, source / "nothing", RUN)


def test_an_output_that_is_a_link_is_followed_only_to_what_is_beside_it(keeper: Keeper, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "real").write_text("real")
    (work / "beside").symlink_to("real")
    (tmp_path / "secret").write_text("secret")
    (work / "out").symlink_to("../secret")

    keeper.load(keeper.save({"name": "b"}, work / "beside", RUN), tmp_path / "got", RUN)

    assert (tmp_path / "got").read_text() == "real"
    with pytest.raises(BadArtifact, match="leads out"):
        keeper.save({"name": "o"}, work / "out", RUN)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "../deep/../../x"])
def test_a_link_that_leads_out_is_not_made(keeper: Keeper, tmp_path: Path, target: str) -> None:
    source = make(tmp_path / "out")
    (source / "deep" / "way").symlink_to(target)
    kept = keeper.save({"name": "d"}, source, RUN)

    with pytest.raises(BadArtifact, match=r"deep/way.*leads out"):
        keeper.load(kept, tmp_path / "in", RUN)

    assert not (tmp_path / "in").exists()


# --- what goes -------------------------------------------------------------------------------------------------------


def test_what_is_deleted_is_gone_with_all_below_it(keeper: Keeper, tmp_path: Path) -> None:
    kept = keeper.save({"name": "d", "archive": {"none": {}}, "s3": {"key": "a/b"}}, make(tmp_path / "out"), RUN)
    keeper.save({"name": "f", "s3": {"key": "a/bc"}}, tmp_path / "out" / "a.txt", RUN)

    keeper.delete(kept, RUN)
    keeper.delete(kept, RUN)

    with pytest.raises(ArtifactMissing, match="no key found of name a/b"):
        list(keeper.keys(kept, RUN))
    assert keeper.local.sweep(time.time() + 1, grace_s=0) == 3  # a.txt is named by a/bc too
    keeper.load({"name": "f", "s3": {"key": "a/bc"}}, tmp_path / "got", RUN)
    with pytest.raises(BadArtifact, match="whole repository"):
        keeper.delete({"name": "x", "s3": {"key": "/"}}, RUN)


def test_a_deleted_run_takes_what_it_saved_but_not_under_keys_that_it_chose(keeper: Keeper, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("two")
    usual = keeper.save({"name": "a"}, tmp_path / "a", RUN)
    chosen = keeper.save({"name": "b", "s3": {"key": "models/latest"}}, tmp_path / "b", RUN)

    assert keeper.local.forget_run("r1") == 1
    assert keeper.local.sweep(time.time() + 1, grace_s=0) == 1

    keeper.load(chosen, tmp_path / "got", RUN)
    with pytest.raises(ArtifactMissing):
        keeper.load(usual, tmp_path / "none", RUN)


def test_a_sweep_leaves_what_is_used_young_or_being_saved(keeper: Keeper, tmp_path: Path) -> None:
    kept = keeper.save({"name": "d"}, make(tmp_path / "out"), RUN)
    (tmp_path / "x").write_text("soon forgotten")
    keeper.save({"name": "x"}, tmp_path / "x", RUN)
    keeper.local.delete("train-x/train-x-fit-1/x.tgz")

    assert keeper.local.sweep(time.time()) == 0  # young
    assert keeper.local.sweep(time.time() + 1, grace_s=0) == 1
    keeper.load(kept, tmp_path / "in", RUN)

    assert keeper.local.sweep(time.time() + 10 * 86_400, keep_days=9) > 0
    with pytest.raises(ArtifactMissing):
        keeper.load(kept, tmp_path / "in", RUN)


def test_contents_that_a_power_cut_damaged_count_as_missing(keeper: Keeper, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("contents")
    kept = keeper.save({"name": "a"}, tmp_path / "a", RUN)
    (blob,) = (path for path in (tmp_path / "data" / "artifacts" / "blobs").rglob("*") if path.is_file())
    blob.write_text("cont")

    with pytest.raises(ArtifactMissing, match="damaged"):
        keeper.load(kept, tmp_path / "got", RUN)
    keeper.load(keeper.save({"name": "a"}, tmp_path / "a", RUN), tmp_path / "got", RUN)

    assert (tmp_path / "got").read_text() == "contents"


# --- any tree --------------------------------------------------------------------------------------------------------

names = st.binary(min_size=1, max_size=12).filter(lambda name: not set(name) & {0, 47} and name not in (b".", b".."))
trees = st.recursive(
    st.binary(max_size=300), lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=12
).filter(lambda tree: isinstance(tree, dict))


def plant(tree: Any, place: bytes) -> None:
    if isinstance(tree, bytes):
        Path(os.fsdecode(place)).write_bytes(tree)
        return
    Path(os.fsdecode(place)).mkdir()
    for name, inner in tree.items():
        plant(inner, place + b"/" + name)


@given(tree=trees, level=st.sampled_from([None, 0, 9]), packed=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_comes_back(
    tmp_path_factory: pytest.TempPathFactory, tree: Any, level: int | None, packed: bool
) -> None:
    place = tmp_path_factory.mktemp("tree")
    plant(tree, os.fsencode(place / "out"))
    keeper = open_artifacts(place / "data", {})
    archive = {} if level is None else {"archive": {"tar": {"compressionLevel": level}}}
    kept = keeper.save({"name": "t", **archive}, place / "out", RUN)
    if packed:  # by way of the bytes that lie there
        keeper.load({**kept, "archive": {"none": {}}}, place / "t.tgz", RUN)
        kept = keeper.save({"name": "t", "archive": {"none": {}}}, place / "t.tgz", RUN)
        kept = {**kept, "archive": {"tar": {}}}

    keeper.load(kept, place / "in", RUN)

    assert seen(place / "in") == seen(place / "out")


def test_many_threads_and_two_repositories_on_one_directory_get_along(tmp_path: Path) -> None:
    source = make(tmp_path / "out")
    keepers = [open_artifacts(tmp_path / "data", {}) for _ in range(2)]

    def work(number: int) -> dict[bytes, object]:
        keeper = keepers[number % 2]
        kept = keeper.save({"name": f"d{number}"}, source, RUN)
        keeper.local.sweep(time.time(), grace_s=3600)
        keeper.load(kept, tmp_path / f"in{number}", RUN)
        return seen(tmp_path / f"in{number}")

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(24)))

    assert all(result == seen(source) for result in results)
    assert blobs(tmp_path) == 5
