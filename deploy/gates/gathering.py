"""Asking those that gates need: services, workflows, a process that loads the model. Done before judging, and recorded.

Judging stays pure: it sees only the recorded answers, and those only for the gate and the evidence that they were given
for. Whatever goes wrong stays with its gate: a service that is away makes one gate's verdict `error`, no other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import anyio

from deploy.canonical import canonical
from deploy.gates import answers
from deploy.gates.asking import Built
from deploy.gates.evidence import Evidence
from retrain.errors import ConfigError, NotFound, Permanent, Refused, Transient
from retrain.events import JsonValue
from retrain.telemetry import meters

MOST_ANSWER = 256 * 1024
"""Bytes of an answer that is kept."""


class Tools(Protocol):
    """What gates ask with; the app hands it in. `scratch`: a folder for what does not outlive the question.

    All of them raise Transient where asking again may help, and Permanent (or another of ours) where it cannot.
    """

    @property
    def scratch(self) -> Path: ...

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, most: int) -> bytes:
        """The body of the 2xx answer, at most `most` bytes. Redirects are not followed, closed addresses refused."""
        ...

    async def secret(self, name: str, key: str) -> str:
        """A value of a Secret of the project."""
        ...

    async def read(self, uri: str, most: int) -> bytes:
        """The bytes behind a URI, at most `most`."""
        ...

    async def fetch(self, uri: str, to: Path) -> None:
        """Bring a model to this path: a file, or a folder."""
        ...

    async def run(self, manifest: Mapping[str, Any], run_id: str) -> Mapping[str, JsonValue]:
        """Submit a Workflow under this id, once; how it is: `{"phase", "message", "parameters": {name: text}}`."""
        ...

    async def recall(self, key: str) -> JsonValue:
        """The answer that was kept under this key; None if there is none."""
        ...

    async def keep(self, key: str, answer: JsonValue) -> None:
        """Keep an answer."""
        ...


async def gather_all(gates: Sequence[Built], evidence: Evidence, tools: Tools) -> dict[str, JsonValue]:
    """Ask for every gate that needs it, at the same time; the answers by gate name, for `Given.gathered`.

    Never raises for what a gate meets. An answer that was kept for this gate and evidence is not asked for again;
    `pending` and `error` are not kept, so calling this again asks again.
    """
    found: dict[str, JsonValue] = {}

    async def ask(gate: Built) -> None:
        found[gate.name] = await _ask(gate, evidence, tools)

    async with anyio.create_task_group() as group:
        for gate in gates:
            if gate.asks:
                group.start_soon(ask, gate)
    return {gate.name: found[gate.name] for gate in gates if gate.name in found}


async def _ask(gate: Built, evidence: Evidence, tools: Tools) -> JsonValue:
    key = ""
    try:
        key = answers.key_of(gate.spec, evidence)
        if (kept := await tools.recall(key)) is not None:
            return kept
        started = perf_counter()
        answer = {**await gate.kind.gather(gate.spec, evidence, tools), "key": key}
        meters.GATE_SECONDS.observe(perf_counter() - started, gate.kind_name)
        if len(canonical(answer)) > MOST_ANSWER:
            answer = {**answers.trouble(f"the answer has more than {MOST_ANSWER} bytes", again=False), "key": key}
        if answer["status"] == "done":
            await tools.keep(key, answer)
        return answer
    except Transient as error:
        return _trouble(key, str(error), again=True)
    except (ConfigError, Permanent, Refused, NotFound) as error:
        return _trouble(key, str(error), again=False)
    # Gates come from other packages, too: one that breaks has not been asked.
    except Exception as error:  # noqa: BLE001
        return _trouble(key, f"the gate crashed: {type(error).__name__}: {error}", again=False)


def _trouble(key: str, reason: str, *, again: bool) -> JsonValue:
    return {**answers.trouble(reason[:1000], again=again), "key": key}
