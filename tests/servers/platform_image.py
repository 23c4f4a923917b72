"""The platform as an image on the machine's cluster, made of this work tree by the Dockerfile; no registry is asked.

It is made again when something of it has changed; its tag says what it is made of. Tests skip and say why where it
cannot be made (`tests/servers/platform_image.sh install`); where CI is true they fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tests.servers.launch import absent
from tests.servers.program import SCRIPTS, cache

if TYPE_CHECKING:
    from tests.servers.cluster_server import ClusterServer

ROOT = SCRIPTS.parent.parent
NAME = "retrain/retrain"
PARTS = ("Dockerfile", "README.md", "LICENSE", "pyproject.toml", "uv.lock")
ROOMS = ("retrain", "eventsources", "sensors", "triggers", "pipelines", "deploy")
LIMIT_S = 900


@dataclass(frozen=True)
class PlatformImage:
    """An archive as `docker save` writes it."""

    archive: Path
    tag: str

    @property
    def reference(self) -> str:
        return f"{NAME}:{self.tag}"

    def config(self) -> dict[str, Any]:
        """What the image says of itself: user, entrypoint, labels."""
        with tarfile.open(self.archive) as archive:
            return _read(archive, _read(archive, "manifest.json")[0]["Config"])["config"]

    def files(self, wanted: Callable[[str], bool]) -> dict[str, bytes]:
        """What is in it, layer over layer: path without a leading slash -> content, empty where it is not `wanted`."""
        found: dict[str, bytes] = {}
        with tarfile.open(self.archive) as archive:
            for layer in _read(archive, "manifest.json")[0]["Layers"]:
                with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                    _lay(found, files, wanted)
        return found


def on_cluster(cluster: ClusterServer) -> PlatformImage:
    """The image of this work tree, on the cluster's node; those of other days leave it."""
    image = platform_image()
    known = _ctr(cluster, "ls", "-q").split()
    ours = [one for one in known if one.startswith(f"docker.io/{NAME}:test-")]
    if f"docker.io/{image.reference}" not in ours:
        _ctr(cluster, "import", str(image.archive))
        if ours:  # running pods keep what they stand on
            _ctr(cluster, "rm", *ours)
    return image


def platform_image() -> PlatformImage:
    """The image of this work tree, built if it is not there yet."""
    tag = f"test-{_sum()}"
    archive = cache() / "platform-image" / "image.tar"
    image = PlatformImage(archive, tag)
    if not archive.exists() or _tag_of(archive) != image.reference:
        if not (archive.parent / "debian.tar").exists():
            absent("no image of the platform can be made: run tests/servers/platform_image.sh install")
        if os.geteuid() != 0:
            absent("to make the platform's image needs root: a Docker engine of its own")
        words = ["bash", str(SCRIPTS / "platform_image.sh"), "build", str(archive), image.reference]
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    return image


def _sum() -> str:
    """A short name for everything that the image is made of."""
    total = hashlib.sha256()
    for path in _files():
        total.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def _files() -> Iterator[Path]:
    yield from (ROOT / part for part in PARTS)
    for room in ROOMS:
        yield from sorted(p for p in (ROOT / room).rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _tag_of(archive: Path) -> str:
    with tarfile.open(archive) as opened:
        return _read(opened, "manifest.json")[0]["RepoTags"][0]


def _read(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    assert member is not None
    return json.load(member)


def _lay(found: dict[str, bytes], files: tarfile.TarFile, wanted: Callable[[str], bool]) -> None:
    for member in files:
        path = PurePosixPath(member.name)
        if path.name.startswith(".wh."):  # a file of a lower layer that is gone
            gone = str(path.with_name(path.name.removeprefix(".wh.")))
            for one in [one for one in found if one == gone or one.startswith(f"{gone}/")]:
                del found[one]
        elif not member.isdir():
            content = files.extractfile(member) if member.isfile() and wanted(str(path)) else None
            found[str(path)] = content.read() if content else b""


def _ctr(cluster: ClusterServer, *words: str) -> str:
    socket = cluster.home / "run" / "containerd.sock"
    command = ["ctr", "--address", str(socket), "-n", "k8s.io", "images", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout
