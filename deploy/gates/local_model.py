"""The candidate's model as a path on this machine: only from where the gate allows, and only with its digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import anyio.to_thread

from deploy.folder import digest_of_folder


class _Fetches(Protocol):
    async def fetch(self, uri: str, to: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """The model, or what is wrong with it. `checked`: its bytes have the digest, a folder's as in `deploy.folder`."""

    path: Path | None = None
    size: int | None = None
    checked: bool = False
    problem: str = ""


async def find(uri: str, digest: str, allowed: Sequence[str], tools: _Fetches, to: Path | None) -> Found:
    """Look at a local model where it lies; bring another one to `to`, or leave it where it is if that is None.

    Raises:
        Transient, Permanent: it cannot be brought.
    """
    plain = unquote(urlsplit(uri).path) if uri.lower().startswith("file://") else uri
    if plain.startswith("/"):
        return await anyio.to_thread.run_sync(_look, Path(plain), [Path(_path(one)) for one in allowed], digest)
    if ".." in uri.split("/") or "%" in uri or not any(uri.startswith(one) for one in allowed):
        return Found(problem=f"the model's address {uri[:200]!r} does not begin with one of {', '.join(allowed)}")
    if to is None:
        return Found()
    await tools.fetch(uri, to)
    return await anyio.to_thread.run_sync(_look, to, [to.parent], digest)


def _path(prefix: str) -> str:
    return unquote(urlsplit(prefix).path) if prefix.lower().startswith("file://") else prefix


def _look(path: Path, roots: Sequence[Path], digest: str) -> Found:
    """Links are followed before asking where it lies."""
    real = path.resolve()
    if not any(root.is_absolute() and real.is_relative_to(root.resolve()) for root in roots):
        return Found(problem=f"the model's path {str(path)[:200]!r} does not lie under what `models` allows")
    if real.is_dir():
        size = sum(file.stat().st_size for file in real.rglob("*") if file.is_file())
        # A folder's digest may also be that of an archive of it, which cannot be told from here.
        return Found(real, size, checked=digest_of_folder(real) == digest)
    if not real.is_file():
        return Found(problem=f"there is no model at {str(path)[:200]!r}")
    if not digest.startswith("sha256:"):
        return Found(real, real.stat().st_size)
    with real.open("rb") as file:
        found = f"sha256:{file_digest(file, 'sha256').hexdigest()}"
    if found != digest:
        return Found(problem=f"the model at {str(path)[:200]!r} has the digest {found}, the candidate {digest}")
    return Found(real, real.stat().st_size, checked=True)
