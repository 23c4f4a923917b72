"""Who works on a data directory: one platform at a time, known by name to whoever comes second."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from retrain.errors import ConfigError

LOCK = "up.lock"
ADDRESS = "up.json"
"""Where the running platform says its URL, for `retrain` commands beside it."""


@contextmanager
def hold(data: Path) -> Generator[None]:
    """Hold the data directory as long as the block (and this process) lasts. A `kill -9` lets go of it too.

    Raises:
        ConfigError: another platform holds it; the message says which.
    """
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(data / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{data}: cannot be the data directory: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{data}: is held by another `retrain up` ({_holder(data)})") from None
        os.ftruncate(lock, 0)
        os.write(lock, str(os.getpid()).encode())
        try:
            yield
        finally:
            (data / ADDRESS).unlink(missing_ok=True)
    finally:
        os.close(lock)


def is_held(data: Path) -> bool:
    """Whether a platform works on this directory now."""
    try:
        lock = os.open(data / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def announce(data: Path, url: str) -> None:
    """Say at which URL the platform on this directory answers."""
    fresh = data / f"{ADDRESS}.new"
    fresh.write_text(json.dumps({"url": url, "pid": os.getpid(), "data": str(data)}))
    fresh.replace(data / ADDRESS)


def address(data: Path) -> str | None:
    """The URL of the platform that works on this directory, as far as is known."""
    try:
        return str(json.loads((data / ADDRESS).read_text())["url"])
    except (OSError, ValueError, KeyError):
        return None


def _holder(data: Path) -> str:
    try:
        pid = (data / LOCK).read_text().strip() or "unknown"
    except OSError:
        pid = "unknown"
    url = address(data)
    return f"pid {pid}" + (f", {url}" if url else "")
