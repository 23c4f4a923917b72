"""Archives from anywhere: nothing of them lands outside, nothing of them grows without end, and the entry is named."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.artifacts import BadArtifact
from pipelines.artifacts import limits as limits_module
from pipelines.artifacts.limits import Limits, Meter
from pipelines.artifacts.unpacking import is_tarball, unpack

MIB = 1024 * 1024
SMALL = Limits(max_bytes=8 * MIB, max_entries=100, reserve=0)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o644
    return info, data


def tgz(file: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return file


SYM, HARD, DIR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
ATTACKS: dict[str, tuple[list[tuple[tarfile.TarInfo, bytes]], str]] = {
    "dotdot": ([entry("a/../../evil", data=b"x")], r"'a/../../evil' leads out"),
    "absolute": ([entry("/evil", data=b"x")], r"'/evil' has an absolute name"),
    "link out": ([entry("ok", data=b"x"), entry("way", SYM, "../../evil")], r"'way' -> '../../evil' leads out"),
    "absolute link": ([entry("ok", data=b"x"), entry("way", SYM, "/etc/passwd")], r"'way' -> '/etc/passwd' leads out"),
    "write through a link": ([entry("d", SYM, ".."), entry("d/evil", data=b"x")], r"there twice|leads out"),
    "file over a link": ([entry("f", SYM, "/tmp/evil"), entry("f", data=b"x")], r"'f' is there twice"),
    "chain of links": (
        [entry("p/q", DIR), entry("p/q/up", SYM, "../.."), entry("way", SYM, "p/q/up/..")],
        r"'way' -> 'p/q/up/..' leads out",
    ),
    "link as a whole": ([entry("only", SYM, "/etc")], r"leads out"),
    "hard link out": ([entry("h", HARD, "/etc/passwd")], r"absolute name"),
    "hard link to nothing": ([entry("h", HARD, "nothing")], r"no file before it"),
    "hard link through a link": ([entry("s", SYM, "/etc/passwd"), entry("h", HARD, "s")], r"no file before it"),
    "device": ([entry("null", tarfile.CHRTYPE)], r"'null' is a device or a pipe"),
    "pipe": ([entry("p", tarfile.FIFOTYPE)], r"'p' is a device or a pipe"),
    "file and directory": (
        [entry("a", data=b"x"), entry("a/b", data=b"y")],
        r"as different things|file and a dir",
    ),
    "too many": ([entry(f"f{n}") for n in range(101)], r"more than 100 entries"),
    "too large": ([entry("big", data=os.urandom(9 * MIB))], r"more than 8388608 bytes"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_tar_that_is_not_to_be_trusted_is_refused_by_its_entry(tmp_path: Path, name: str) -> None:
    entries, message = ATTACKS[name]
    (tmp_path / "work").mkdir()

    with pytest.raises(BadArtifact, match=message):
        unpack(tgz(tmp_path / "x.tgz", *entries), "tar", tmp_path / "work" / "to", SMALL)

    assert {path.name for path in tmp_path.iterdir()} == {"work", "x.tgz"}
    assert {path.name for path in (tmp_path / "work").iterdir()} <= {"to", "to.in"}


def zipped(file: Path, *entries: tuple[str, int, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, data in entries:
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr, info.compress_type = 3, mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return file


ZIP_ATTACKS: dict[str, tuple[list[tuple[str, int, bytes]], str]] = {
    "dotdot": ([("../evil", 0o100644, b"x")], r"leads out"),
    "absolute": ([("/evil", 0o100644, b"x")], r"absolute name"),
    "link out": (
        [("ok", 0o100644, b""), ("way", stat.S_IFLNK | 0o777, b"../../evil")],
        r"'way' -> '../../evil' leads out",
    ),
    "device": ([("dev", stat.S_IFCHR | 0o666, b"")], r"device or a pipe"),
    "too many": ([(f"f{n}", 0o100644, b"") for n in range(101)], r"more than 100 entries"),
    "too large": ([("zeros", 0o100644, bytes(9 * MIB))], r"more than 8388608 bytes"),
    "twice": ([("a", 0o100644, b"x"), ("a/b", 0o100644, b"x")], r"there twice"),
}


@pytest.mark.parametrize("name", ZIP_ATTACKS)
def test_a_zip_that_is_not_to_be_trusted_is_refused_by_its_entry(tmp_path: Path, name: str) -> None:
    entries, message = ZIP_ATTACKS[name]
    (tmp_path / "work").mkdir()

    with pytest.raises(BadArtifact, match=message):
        unpack(zipped(tmp_path / "x.zip", *entries), "zip", tmp_path / "work" / "to", SMALL)

    assert not list(tmp_path.rglob("evil"))


def test_a_zip_that_claims_countless_entries_is_refused_before_its_list_is_read(tmp_path: Path) -> None:
    file = zipped(tmp_path / "x.zip", ("a", 0o100644, b"x"))
    data = bytearray(file.read_bytes())
    struct.pack_into("<I", data, data.rfind(b"PK\x05\x06") + 12, 0xF0000000)
    file.write_bytes(data)

    with pytest.raises(BadArtifact, match="more than 100 entries"):
        unpack(file, "zip", tmp_path / "to", SMALL)


def _pax_bomb(file: Path) -> Path:
    with gzip.open(file, "wb") as out:
        info = tarfile.TarInfo("./PaxHeaders/x")
        info.type, info.size = tarfile.XHDTYPE, 1 << 40
        out.write(info.tobuf(tarfile.USTAR_FORMAT if info.size < 8**11 else tarfile.GNU_FORMAT))
        out.write(bytes(MIB))
    return file


def _ratio_bomb(file: Path) -> Path:
    return tgz(file, entry("zeros", data=bytes(5 * MIB)))


def _truncated(file: Path) -> Path:
    data = tgz(file, entry("a", data=os.urandom(100_000))).read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return file


def _noise(file: Path) -> Path:
    file.write_bytes(os.urandom(5000))
    return file


@pytest.mark.parametrize(
    ("make", "packing", "message"),
    [
        (_pax_bomb, "tar", "cannot be read: a header is too long"),
        (_ratio_bomb, "tar", "more than 10 times"),
        (_truncated, "tar", "cannot be read"),
        (_noise, "tar", "cannot be read"),
        (_noise, "zip", "cannot be read"),
    ],
)
def test_a_bomb_or_a_broken_archive_is_said_to_be_one(
    tmp_path: Path, make: Callable[[Path], Path], packing: str, message: str
) -> None:
    tight = Limits(max_bytes=8 * MIB, max_ratio=10, reserve=0)

    with pytest.raises(BadArtifact, match=message):
        unpack(make(tmp_path / "x"), packing, tmp_path / "to", tight)  # type: ignore[arg-type]


def test_what_is_unpacked_can_be_read_and_removed_and_gains_no_rights(tmp_path: Path) -> None:
    folder, secret, tool = entry("d", DIR), entry("d/secret", data=b"s"), entry("d/tool", data=b"t")
    folder[0].mode, secret[0].mode, tool[0].mode = 0o000, 0o000, 0o4755

    unpack(tgz(tmp_path / "x.tgz", folder, secret, tool), "tar", tmp_path / "to", SMALL)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "to", *(tmp_path / "to").iterdir())}
    assert modes == {"to": 0o700, "secret": 0o400, "tool": 0o755}


def test_one_top_entry_stands_for_the_whole_and_several_stay_apart(tmp_path: Path) -> None:
    unpack(tgz(tmp_path / "1.tgz", entry("./model.pkl", data=b"m")), "tar", tmp_path / "file", SMALL)
    unpack(tgz(tmp_path / "2.tgz", entry("a", data=b"a"), entry("b", data=b"b")), "tar", tmp_path / "both", SMALL)
    unpack(tgz(tmp_path / "3.tgz"), "tar", tmp_path / "empty", SMALL)

    assert (tmp_path / "file").read_bytes() == b"m"
    assert {path.name for path in (tmp_path / "both").iterdir()} == {"a", "b"}
    assert list((tmp_path / "empty").iterdir()) == []


def test_links_inside_are_kept_and_a_later_entry_wins(tmp_path: Path) -> None:
    entries = [
        entry("r/a", data=b"old"), entry("r/a", data=b"new"), entry("r/s", SYM, "sub/../a"), entry("r/h", HARD, "r/a"),
        entry("r/dangling", SYM, "nowhere"),
    ]  # fmt: skip

    unpack(tgz(tmp_path / "x.tgz", *entries, entry("r/sub", DIR)), "tar", tmp_path / "to", SMALL)

    assert (tmp_path / "to" / "s").read_bytes() == (tmp_path / "to" / "h").read_bytes() == b"new"
    assert (tmp_path / "to" / "dangling").readlink() == Path("nowhere")


def test_a_tarball_is_known_by_its_contents(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"gzip, and no tar" * 100))
    (tmp_path / "empty").touch()
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        tar.addfile(*(entry("a")[0], None))

    assert is_tarball(tgz(tmp_path / "x", entry("a", data=b"x")))
    assert is_tarball(tgz(tmp_path / "y"))
    assert not any(is_tarball(tmp_path / name) for name in ("text", "text.gz", "empty", "plain.tar"))
    unpack(tmp_path / "plain.tar", "tar", tmp_path / "to", SMALL)  # where it is declared
    assert (tmp_path / "to").is_file()


def test_the_last_free_bytes_of_the_disk_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(Limits(reserve=1 << 62), tmp_path)

    with pytest.raises(OSError, match="are free: no artifact is written") as caught:
        meter.wrote(1)

    assert caught.value.errno == errno.ENOSPC
    limits_module.check_space(tmp_path, 0)


@given(data=st.binary(max_size=3000), flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_gets_anything_out_or_raises_what_is_not_said(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, flips: list[tuple[int, int]]
) -> None:
    place = tmp_path_factory.mktemp("noise")
    with tarfile.open(place / "x.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in (entry("d/a", data=data), entry("d/l", SYM, "a"), entry("d/" + "n" * 120, data=b"x")):
            tar.addfile(info, io.BytesIO(content))
    damaged = bytearray((place / "x.tar").read_bytes())
    for at, value in flips:
        damaged[at % len(damaged)] = value
    (place / "x.tar").write_bytes(damaged)
    (place / "work").mkdir()

    with contextlib.suppress(BadArtifact):
        unpack(place / "x.tar", "tar", place / "work" / "to", SMALL)

    assert {path.name for path in place.iterdir()} == {"work", "x.tar"}
    assert {path.name for path in (place / "work").iterdir()} <= {"to", "to.in"}
