"""A look at an artifact tells what it is, whatever it is, and never takes more than it may."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.artifacts import ArtifactRun, BadArtifact, looking, open_artifacts
from pipelines.artifacts.keeper import Keeper
from retrain.app.runs.previews import preview_of

RUN = ArtifactRun("r1", "train-x", "default", "train-x-1", "train-x-fit-1")
MOST = 1 << 20


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return open_artifacts(tmp_path / "data", {})


def kept(keeper: Keeper, file: Path, **more: Any) -> dict[str, Any]:
    return dict(keeper.save({"name": "it", "path": f"/tmp/{file.name}", **more}, file, RUN))


def file_of(place: Path, name: str, content: bytes) -> Path:
    (place / name).write_bytes(content)
    return place / name


def tar_of(*members: tuple[str, bytes | str]) -> bytes:
    """A tar; a text is the target of a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("archive", [{}, {"archive": {"none": {}}}, {"archive": {"zip": {}}}])
def test_a_file_is_seen_as_it_was_however_it_is_kept(keeper: Keeper, tmp_path: Path, archive: dict[str, Any]) -> None:
    artifact = kept(keeper, file_of(tmp_path, "a.csv", b"x,y\n1,2\n"), **archive)

    found = keeper.look(artifact, RUN, "", MOST)

    assert (found.head, found.whole, found.size, found.entries) == (b"x,y\n1,2\n", True, 8, None)
    assert keeper.digest(artifact, RUN).startswith("sha256:")


@pytest.mark.parametrize("archive", [{}, {"archive": {"none": {}}}])
def test_a_directory_is_a_list_of_its_files(keeper: Keeper, tmp_path: Path, archive: dict[str, Any]) -> None:
    (tmp_path / "out" / "deep").mkdir(parents=True)
    file_of(tmp_path / "out", "a.txt", b"alpha")
    file_of(tmp_path / "out" / "deep", "b.txt.gz", gzip.compress(b"beta"))
    artifact = kept(keeper, tmp_path / "out", **archive)

    found = keeper.look(artifact, RUN, "", MOST)
    inner = keeper.look(artifact, RUN, "deep/b.txt.gz", MOST)

    assert {"a.txt", "deep/b.txt.gz"} <= {one.name for one in found.entries or ()}
    assert (inner.name, inner.head) == ("b.txt", b"beta")
    with pytest.raises(Exception, match=r"there is no 'deep/\.\./a\.txt'"):
        keeper.look(artifact, RUN, "deep/../a.txt", MOST)


def test_names_that_lead_out_are_told_and_lead_nowhere(keeper: Keeper, tmp_path: Path) -> None:
    body = tar_of(("../../etc/passwd", b"mine"), ("/etc/shadow", b"theirs"), ("link", "/etc/hosts"))
    artifact = kept(keeper, file_of(tmp_path, "evil.tar.gz", gzip.compress(body)))

    found = keeper.look(artifact, RUN, "", MOST)

    assert [one.name for one in found.entries or ()] == ["../../etc/passwd", "/etc/shadow", "link"]
    assert keeper.look(artifact, RUN, "../../etc/passwd", MOST).head == b"mine"
    with pytest.raises(BadArtifact, match="no file but a link"):
        keeper.look(artifact, RUN, "link", MOST)


def test_a_bomb_is_looked_at_only_so_far(keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "PASSED", 1 << 20)
    body = tar_of(("a", b"1"), ("zeros", bytes(8 << 20)), ("b", b"2"))
    artifact = kept(keeper, file_of(tmp_path, "bomb.tgz", gzip.compress(body)))

    found = keeper.look(artifact, RUN, "", 1000)

    assert found.more
    assert [one.name for one in found.entries or ()] == ["a", "zeros"]
    with pytest.raises(BadArtifact, match="download"):
        keeper.look(artifact, RUN, "b", 1000)
    plain = keeper.look(kept(keeper, file_of(tmp_path, "z.gz", gzip.compress(bytes(8 << 20)))), RUN, "", 1000)
    assert (len(plain.head), plain.whole) == (1000, False)


def test_a_zip_is_looked_into_and_a_long_list_of_one_is_not(keeper: Keeper, tmp_path: Path) -> None:
    out, many = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a.txt", "alpha")
        made.writestr("dir/", "")
    with zipfile.ZipFile(many, "w") as made:
        for number in range(12_000):
            made.writestr(f"{number:050}", "")

    found = keeper.look(kept(keeper, file_of(tmp_path, "a.zip", out.getvalue())), RUN, "", MOST)

    assert [(one.name, one.kind) for one in found.entries or ()] == [("a.txt", "file"), ("dir", "folder")]
    with pytest.raises(BadArtifact, match="more entries"):
        keeper.look(kept(keeper, file_of(tmp_path, "b.zip", many.getvalue())), RUN, "", MOST)


@pytest.mark.parametrize("content", [b"PK\x03\x04rest", b"\x1f\x8brest", b"\x1f\x8b\x08" + bytes(40)])
def test_what_only_begins_as_an_archive_is_an_error_that_says_so(
    keeper: Keeper, tmp_path: Path, content: bytes
) -> None:
    artifact = kept(keeper, file_of(tmp_path, "x", content))

    with pytest.raises(BadArtifact, match="cannot be read"):
        keeper.look(artifact, RUN, "", MOST)


def test_far_places_are_not_asked(keeper: Keeper) -> None:
    with pytest.raises(BadArtifact, match="download it"):
        keeper.look({"name": "it", "http": {"url": "http://127.0.0.1:1/x"}}, RUN, "", MOST)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=3000)
    | st.builds(gzip.compress, st.binary(max_size=600))
    | st.builds(lambda body, cut: tar_of(("a", body))[: cut * 13], st.binary(max_size=600), st.integers(0, 200)),
    name=st.sampled_from(["a", "a.csv", "a.html", "a.svg", "a.json", "a.tar.gz"]),
)
def test_any_bytes_are_shown_somehow_or_refused(keeper: Keeper, tmp_path: Path, content: bytes, name: str) -> None:
    artifact = kept(keeper, file_of(tmp_path, name, content))

    try:
        shown = preview_of(keeper.look(artifact, RUN, "", 500))
    except BadArtifact:
        return
    assert len(shown.text) <= 5000
    assert shown.type == "" or shown.kind in {"image", "page"}
