"""A Docker engine for tests: one that answers, or one that is started here; and an image that needs no registry.

Tests skip and say why where there is none (`tests/servers/docker.sh install` gets one); where CI is true they fail.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

READY_S = 60.0
IMAGE = "retrain-test/busybox:1"
_SCRIPT = Path(__file__).with_name("docker.sh")
_ENTRYPOINT = '["/bin/sh", "-c"]'


@contextmanager
def docker_engine(place: Path) -> Generator[str]:
    """The DOCKER_HOST of an engine that has `IMAGE`; its entrypoint is `sh -c`, its working directory `/srv`."""
    missing = [name for name in ("docker", "busybox") if shutil.which(name) is None]
    if missing:
        _give_up(f"{' and '.join(missing)} is not installed")
    given = os.environ.get("DOCKER_HOST", "")
    if _answers(given):
        _make_image(given)
        yield given
        return
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        _give_up("no Docker engine answers, and none can be started here")
    host = f"unix://{place}/docker.sock"
    with (place / "dockerd.log").open("wb") as log:
        process = subprocess.Popen([_SCRIPT, "start", "0", str(place)], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + READY_S
            while not _answers(host):
                if process.poll() is not None or time.monotonic() > deadline:
                    _give_up(f"the Docker engine did not start: {(place / 'dockerd.log').read_text()[-300:]}")
                time.sleep(0.1)
            _make_image(host)
            yield host
        finally:
            process.terminate()
            process.wait(READY_S)
            # The engine leaves its network namespace mounted, and nobody could remove the folder then.
            subprocess.run(["umount", "--lazy", str(place / "exec/netns/default")], check=False, capture_output=True)


def _make_image(host: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("tmp", "srv", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        archive.add(str(shutil.which("busybox")), "bin/busybox")
        for applet in ("sh", "cat", "echo", "sleep", "ls", "id", "mkdir", "touch", "true", "env", "pwd"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    changes = [f"--change=ENTRYPOINT {_ENTRYPOINT}", "--change=WORKDIR /srv", "--change=ENV PATH=/bin"]
    words = ["docker", "import", *changes, "-", IMAGE]
    subprocess.run(words, input=packed.getvalue(), check=True, capture_output=True, env=_env(host))


def _answers(host: str) -> bool:
    words = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(words, capture_output=True, check=False, env=_env(host)).returncode == 0


def _env(host: str) -> dict[str, str]:
    return {**os.environ, "DOCKER_HOST": host} if host else dict(os.environ)


def _give_up(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
