"""A promoter whose commits are verified by a check of our own: it says what a file says of the model at hand."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel

from deploy import PromotionDocument
from deploy.rollout.check import Finding
from retrain import faults
from retrain.identity import Principal
from retrain.store import audit, promotions
from retrain.store.promotions import PromotionFilter, PromotionRow
from tests.integration.promotion_world import World, candidate, document, world

ADA = Principal("ada", frozenset({"admin"}), verified=True)
KNATIVE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: digits}
spec:
  predictor:
    model:
      storageUri: s3://models/digits/v0   # promoted by Retrain
"""
STANDARD = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: digits
  annotations: {serving.kserve.io/deploymentMode: Standard}
spec:
  predictor:
    name: stable
    model:
      modelFormat: {name: sklearn}
      storageUri: s3://models/digits/v0
"""
FILE = "overlays/staging/model.yaml"
URI = {"file": FILE, "path": "spec.predictor.model.storageUri", "value": "{{candidate.uri}}"}
PERCENT = {
    "file": FILE,
    "path": "spec.predictor.canaryTrafficPercent",
    "value": "{{step.weight}}",
    "create": True,
}
NEW = "spec.canary[predictor.name=canary]"
IN_KNATIVE = [URI, PERCENT]
IN_STANDARD = [
    {
        "file": FILE,
        "path": f"{NEW}.predictor.model.storageUri",
        "value": "{{candidate.uri}}",
        "create": True,
        "at": "canary",
    },
    {"file": FILE, "path": f"{NEW}.trafficPercent", "value": "{{step.weight}}", "create": True, "at": "canary"},
    {**URI, "at": "full"},
    {"file": FILE, "path": "spec.canary", "remove": True, "at": "full"},
]
STEPS = [{"weight": 10}, {"weight": 50}, {"weight": 100}]


class Told:
    """A kind of check that reads its word in a file: `{"s3://...": "pass"}`; nothing said is `pending`."""

    class Spec(BaseModel):
        name: str
        kind: str
        file: Path

    @staticmethod
    async def ask(spec: Spec, subject: Any, memory: Any, tools: Any) -> Any:
        said = json.loads(spec.file.read_text()) if spec.file.exists() else {}
        weight = subject.facts["step"]["weight"]
        uri = subject.facts["candidate"].get("uri")
        # A rollback to what was there before our first promotion: no model of ours.
        return said.get(f"{uri} at {weight}", said.get(uri)) if uri else "pass"

    @staticmethod
    def judge(spec: Spec, subject: Any, answer: Any, memory: Any, now: Any) -> Finding:
        return Finding(
            answer or "pending", f"{subject.facts['candidate'].get('uri')}: {answer}", over=answer == "error"
        )


class Plugins(dict[str, Any]):
    """What documents are read with."""

    checks: Mapping[str, Any] = {"told": Told}


def verified(remote: Path, word: Path, **changes: Any) -> PromotionDocument:
    """A promotion to staging that is verified by what the file `word` says. `verify` None: it is not."""
    check = {"name": "told", "kind": "told", "file": str(word), "every": "100ms"}
    plain = document(remote).model_dump(mode="json", exclude_unset=True, by_alias=True)
    spec = {**plain["spec"], "gates": [], "verify": [check], **changes}
    spec = {name: value for name, value in spec.items() if value is not None}
    return PromotionDocument.model_validate({**plain, "spec": spec}, context=Plugins())


class Aftermath(World):
    """A World that can be told what its check says."""

    word: Path

    def say(self, **words: str) -> None:
        """What is found of each model from now on: pass, fail, error, pending."""
        said = {f"s3://models/digits/{name}": verdict for name, verdict in words.items()}
        self.word.write_text(json.dumps({**self.told(), **said}))

    def say_at(self, name: str, weight: int, verdict: str) -> None:
        """What is found of a model at a step of its canary."""
        self.word.write_text(json.dumps({**self.told(), f"s3://models/digits/{name} at {weight}": verdict}))

    def told(self) -> dict[str, str]:
        return json.loads(self.word.read_text()) if self.word.exists() else {}

    async def state(self, promotion: str, *states: str) -> PromotionRow:
        """Wait for one of these states."""
        return await self.until(promotion, lambda row: row.state in states)

    async def live(self, name: str) -> PromotionRow:
        """Promote a model that is well."""
        self.say(**{name: "pass"})
        row = await self.state(await self.propose(candidate(name)), "live", "unhealthy", "refused", "failed")
        assert row.state == "live", row.reason
        return row

    async def rollbacks(self) -> list[PromotionRow]:
        page = await self.store.read(lambda c: promotions.listing(c, PromotionFilter(), limit=200))
        return [row for row in reversed(page.items) if row.action == "rollback"]

    async def hold(self) -> promotions.Hold | None:
        return await self.store.read(lambda c: promotions.holding(c, "digits", "staging"))

    async def subjects(self, promotion: str) -> list[str]:
        """What was told of a promotion, in order."""
        return [str(e.subject) for e in await self.events() if e.extensions["retraincause"] == promotion]

    async def audited(self) -> list[str]:
        page = await self.store.read(lambda c: audit.listing(c))
        return [f"{deed.actor} {deed.action}" for deed in page.items]


@asynccontextmanager
async def aftermath(data: Path, doc: PromotionDocument, word: Path, **more: Any) -> AsyncGenerator[Aftermath]:
    async with world(data, doc, **more) as w:
        found = Aftermath(w.store, w.promoter, w.documents)
        found.word = word
        yield found


async def play(data: Path, remote: Path, word: Path, canary: bool) -> None:
    """One model that is well, one after it that is not; or a canary in steps."""
    more: dict[str, Any] = {"canary": STEPS, "edits": IN_KNATIVE} if canary else {}
    async with aftermath(data, verified(remote, word, **more), word) as w:
        await w.propose(candidate("a"), firing="f-a")
        with anyio.fail_after(60):
            while not [row for row in await w.rollbacks() if row.state == "live"]:  # noqa: ASYNC110 - it is to be killed
                await anyio.sleep(0.02)


def main(point: str, data: str, remote: str, word: str, how: str) -> None:
    """Play, armed."""
    faults.arm(point)
    anyio.run(play, Path(data), Path(remote), Path(word), how == "canary")
