"""A deployment repository on disk, and the parts around a promoter, as the promotion tests need them."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from deploy import Promoter, PromotionDocument, PromotionRequest, Settings, place, submit
from retrain.clock import SystemClock
from retrain.store import Store, open_store, outbox, promotions

MODEL = """\
# The model that serves.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: digits}   # flow
spec:
  predictor:
    model:
      storageUri: s3://models/digits/v0   # promoted by Retrain
"""
DIGESTS = {name: f"sha256:{name.encode().hex():0<64}" for name in ("a", "b", "c", "d")}
FINAL = ("committed", "refused", "rejected", "failed", "superseded", "noop", "rolled-back")


def git(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    """Run git as a person would."""
    names = ["-c", "user.name=Human", "-c", "user.email=human@example.com", "-c", "init.defaultBranch=main"]
    result = subprocess.run(
        ["git", *names, "-C", str(folder), *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@dataclass
class Remote:
    """A bare repository with `overlays/staging/model.yaml`."""

    path: Path

    @classmethod
    def create(cls, path: Path, files: dict[str, str] | None = None) -> Remote:
        path.mkdir(parents=True)
        git(path, "init", "-q", "--bare")
        remote = cls(path)
        remote.human(files or {"overlays/staging/model.yaml": MODEL, "README.md": "hello\n"})
        return remote

    def human(self, files: dict[str, str], message: str = "by hand") -> str:
        """Commit files as a person does, with a clone; the commit."""
        clone = self.path.parent / f"{self.path.name}-clone"
        if not clone.exists():
            git(self.path.parent, "clone", "-q", str(self.path), str(clone))
        if self.branches():
            git(clone, "fetch", "-q", "origin")
            git(clone, "checkout", "-q", "-B", "main", "origin/main")
        else:
            git(clone, "checkout", "-q", "-B", "main")
        for name, text in files.items():
            target = clone / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
        git(clone, "add", "-A")
        git(clone, "commit", "-q", "-m", message)
        git(clone, "push", "-q", "origin", "main")
        return git(clone, "rev-parse", "HEAD")

    def branches(self) -> str:
        return git(self.path, "branch", "--list")

    def tip(self) -> str:
        return git(self.path, "rev-parse", "main")

    def commits(self) -> list[str]:
        """The commits of main, oldest first; asserts that its history is one line."""
        assert git(self.path, "rev-list", "--merges", "main") == ""
        return git(self.path, "rev-list", "--reverse", "main").split()

    def show(self, file: str, commit: str = "main") -> str:
        return subprocess.run(
            ["git", "-C", str(self.path), "show", f"{commit}:{file}"], capture_output=True, check=True
        ).stdout.decode()

    def hook(self, name: str, script: str) -> None:
        hook = self.path / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(script)
        hook.chmod(0o755)


def document(url: str | Path, **changes: Any) -> PromotionDocument:
    """The promotion of the brief; `changes` replace members of its spec, and `name` its name."""
    name = changes.pop("name", "digits")
    spec = {
        "repo": {"url": str(url)},
        "environment": "staging",
        "edits": [
            {
                "file": "overlays/staging/model.yaml",
                "path": "spec.predictor.model.storageUri",
                "value": "{{candidate.uri}}",
            }
        ],
        "gates": [
            {"name": "accuracy", "kind": "threshold", "metric": "accuracy", "min": 0.9},
            {"name": "better", "kind": "champion", "metric": "accuracy", "minDelta": 0.0, "onNoChampion": "pass"},
        ],
        **changes,
    }
    body = {"apiVersion": "retrain.dev/v1", "kind": "Promotion", "metadata": {"name": name}, "spec": spec}
    return PromotionDocument.model_validate(body)


def candidate(name: str, accuracy: object = 0.95, dataset: str = "sha256:holdout", **more: Any) -> dict[str, Any]:
    """A candidate: its digest and address follow from `name`."""
    return {
        "digest": DIGESTS.get(name, f"sha256:{name.encode().hex():0<64}"),
        "uri": f"s3://models/digits/{name}",
        "run": f"r-{name}",
        "evaluation": {"dataset": dataset, "metrics": {"accuracy": accuracy}, **more.pop("evaluation", {})},
        **more,
    }


@dataclass
class World:
    """A running promoter over one store."""

    store: Store
    promoter: Promoter
    documents: dict[str, PromotionDocument]
    turns: int = field(default=0)

    async def propose(
        self, body: dict[str, Any], firing: str | None = None, name: str = "digits", environment: str | None = None
    ) -> str:
        self.turns += 1
        request = PromotionRequest(name, body, firing or f"f-{self.turns}", depth=1, environment=environment)
        now = datetime.now(UTC)
        promotion = await self.store.write(lambda c: submit(c, self.documents[name], request, now))
        self.store.signals.notify("promotions")
        return promotion

    async def until(self, promotion: str, met: Callable[[Any], bool] = lambda row: row.state in FINAL) -> Any:
        """Wait for a promotion's end (or for what `met` says)."""
        with anyio.fail_after(60):
            while True:
                row = await self.store.read(lambda c: promotions.get(c, promotion))
                assert row is not None
                if met(row):
                    return row
                await anyio.sleep(0.02)

    async def promote(self, body: dict[str, Any], **more: Any) -> Any:
        return await self.until(await self.propose(body, **more))

    async def events(self) -> list[Any]:
        return [event for _, event in await self.store.read(outbox.pending)]


@asynccontextmanager
async def world(
    data: Path, *documents: PromotionDocument, owner: str = "promoter", run: bool = True
) -> AsyncGenerator[World]:
    """A store and a promoter that works, both ended when the block ends."""
    await anyio.Path(data).mkdir(parents=True, exist_ok=True)
    by_name = {one.name: one for one in documents}
    where = place(data, data, {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    async with open_store(data / "store.db") as store:
        promoter = Promoter(
            store, by_name, where, clock=SystemClock(), settings=Settings(owner=owner, first_wait_s=0.1)
        )
        async with anyio.create_task_group() as group:
            if run:
                await group.start(promoter.run)
            yield World(store, promoter, by_name)
            group.cancel_scope.cancel()
