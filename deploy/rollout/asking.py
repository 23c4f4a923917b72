"""Asking one check: whatever a kind does, there is a finding."""

from __future__ import annotations

from datetime import datetime

import anyio

from deploy.rollout.check import Finding, Memory, Subject
from deploy.rollout.spec import Built
from deploy.rollout.tools import Tools
from retrain.errors import RetrainError
from retrain.events import JsonValue

LONGEST_S = 300.0
"""Seconds that asking one check may take: all samples of a smoke test, and a deep look into Git."""


async def ask(one: Built, subject: Subject, memory: Memory, tools: Tools) -> JsonValue | Finding:
    """What the check's kind asked for, or why it could not."""
    if subject.nobody and getattr(one.spec, "names_candidate", False) is True:
        return Finding("pass", "not asked: it names the candidate, and what was restored is none", over=True)
    try:
        with anyio.fail_after(LONGEST_S):
            return await one.kind.ask(one.spec, subject, memory, tools)
    except TimeoutError:
        return Finding("error", f"no answer within {LONGEST_S:g} s", memory=memory)
    except RetrainError as error:
        return Finding("error", str(error), memory=memory)
    # Kinds come from other packages, too: one that breaks has not seen anything.
    except Exception as error:  # noqa: BLE001
        return Finding("error", f"the check crashed: {type(error).__name__}: {error}", memory=memory)


def judge(one: Built, subject: Subject, answer: JsonValue | Finding, memory: Memory, now: datetime) -> Finding:
    """The finding of an answer."""
    if isinstance(answer, Finding):
        return answer
    try:
        found = one.kind.judge(one.spec, subject, answer, memory, now)
    except Exception as error:  # noqa: BLE001 - as above
        return Finding("error", f"the check crashed: {type(error).__name__}: {error}", memory=memory)
    if isinstance(found, Finding):
        return found
    return Finding("error", f"the check gave no Finding but a {type(found).__name__}", memory=memory)
