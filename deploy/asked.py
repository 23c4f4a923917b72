"""What a promotion's gates need from outside, fetched before it is derived: answers, the table of examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256

import anyio.to_thread

from deploy import derive
from deploy.attempt import Place
from deploy.derive import Intent
from deploy.evaluation import Table
from deploy.gates import Built, Evidence, Given, Tools, gather_all
from deploy.gates import examples as tables
from deploy.gates import spec as gate_specs
from deploy.spec import PromotionDocument
from retrain.errors import RetrainError, Transient


def needs_asking(document: PromotionDocument, intent: Intent) -> bool:
    """Whether anything is to be fetched or asked: most promotions need nothing, and no tools."""
    return intent.candidate is not None and (_table(intent) is not None or _asking(document) != [])


async def ask(
    place: Place, document: PromotionDocument, intent: Intent, tools: Tools, at: datetime | None = None
) -> Intent:
    """The intent with what its gates need. Call it before each attempt: what is known already is not asked again.

    A gate whose answer is still to come, or that nobody could answer, is judged `pending` or `error`; nothing is raised
    for it. `at`: when the gates are asked, as `Given.at`.

    Raises:
        Refused, Transient, Permanent: the deployment repository cannot be read, or its record is damaged.
    """
    intent = replace(intent, given=replace(intent.given, at=at or intent.given.at))
    if not needs_asking(document, intent):
        return intent
    given = await _with_table(intent, tools)
    intent = replace(intent, given=given)
    if not (gates := _asking(document)):
        return intent
    evidence = await anyio.to_thread.run_sync(_evidence, place, document, intent)
    return replace(intent, given=replace(given, gathered=await gather_all(gates, evidence, tools)))


def _asking(document: PromotionDocument) -> Sequence[Built]:
    return [gate for gate in gate_specs.build(document.spec.gates) if gate.asks]


def _table(intent: Intent) -> Table | None:
    evaluation = intent.candidate.evaluation if intent.candidate else None
    return evaluation.examples if evaluation and isinstance(evaluation.examples, Table) else None


async def _with_table(intent: Intent, tools: Tools) -> Given:
    table = _table(intent)
    if table is None or intent.given.examples is not None:
        return intent.given
    try:
        data = await tools.read(table.uri, tables.MOST_BYTES)
        found = f"sha256:{sha256(data).hexdigest()}"
        if found != table.digest:
            # What was found is not told: whoever sent the candidate named the address, and may not read there.
            problem = f"the table of examples at {_shown(table.uri)} does not have the digest {table.digest}"
            return replace(intent.given, examples_problem=problem, examples_again=False)
        read = await anyio.to_thread.run_sync(tables.parse, data, found)
    except RetrainError as error:
        return replace(intent.given, examples_problem=str(error), examples_again=isinstance(error, Transient))
    return replace(intent.given, examples=read, examples_problem="", examples_again=False)


def _shown(uri: str) -> str:
    """Without login and query, which may sign the request: what is said here goes into Git."""
    head, mark, rest = uri.partition("?")[0].partition("://")
    return f"{head}{mark}{rest.rpartition('@')[2]}" if mark else head


def _evidence(place: Place, document: PromotionDocument, intent: Intent) -> Evidence:
    repository = place.repository(document)
    with repository.locked():
        base = repository.fetch(document.spec.repo.branch)
        contents = repository.read(base, derive.files_of(document), optional=document.record_file)
    return derive.evidence(document, intent, contents)
