"""What the tests of promotions over git servers share: a repository, a candidate, and one attempt."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy import attempt, candidate, place
from deploy.attempt import Place
from deploy.derive import Derived, Intent
from deploy.git import Git
from retrain.errors import NotFound
from tests.integration import promotion_world
from tests.integration.promotion_world import Remote, document

PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
CREATED = datetime(2026, 11, 20, tzinfo=UTC)


class Known:
    """Secrets by (name, key)."""

    def __init__(self, **values: str) -> None:
        self.values = values

    def secret(self, name: str, key: str) -> str:
        if f"{name}_{key}" not in self.values:
            raise NotFound(f"no secret {name!r} has a key {key!r}")
        return self.values[f"{name}_{key}"]


def ref(name: str, key: str) -> dict[str, Any]:
    return {"secretKeyRef": {"name": name, "key": key}}


def intent(name: str = "a", number: int = 1, **more: Any) -> Intent:
    model = candidate.read(promotion_world.candidate(name, **more))
    return Intent(f"p-{number}", f"{number:064x}", "promote", model.digest, CREATED, model)


def where(data: Path, secrets: Known | None = None, network_s: float = 60.0, **environment: str) -> Place:
    if secrets is None and not environment:
        return place(data, data, PATH)
    return Place(Git(data / "home", {**PATH, **environment}, network_s=network_s), data, data, secrets)


def go_on(*_: object) -> bool:
    return True


def promote(at: Place, doc: Any, wish: Intent | None = None) -> tuple[str, str | None, Derived]:
    return attempt.run(at, doc, wish or intent(), go_on)


def keygen(folder: Path, name: str = "key", kind: str = "ed25519") -> tuple[str, str]:
    """A private SSH key as text, and its public one."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(file)], check=True)
    return file.read_text(), file.with_suffix(".pub").read_text().strip()


def bare(folder: Path) -> Remote:
    """A repository that a server may serve."""
    remote = Remote.create(folder / "deploy.git")
    promotion_world.git(remote.path, "config", "http.receivepack", "true")
    promotion_world.git(remote.path, "config", "uploadpack.allowFilter", "true")
    return remote


def secured(url: str, **credentials: Any) -> dict[str, Any]:
    """`repo` of a document, whose server's authority is the secret tls/ca."""
    given = {"credentials": credentials} if credentials else {}
    return {"url": url, "ca": ref("tls", "ca"), **given}


def over(url: str, **credentials: Any) -> Any:
    return document("x", repo=secured(url, **credentials))
