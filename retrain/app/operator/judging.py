"""One object of a cluster: what it is to the platform, and what is wrong with it. Pure.

What is wrong between objects is asked elsewhere, and is never more than a warning on a cluster: objects come there in
any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

from retrain.app.operator.naming import Names
from retrain.app.operator.references import Reference, references
from retrain.app.operator.watched import Key, Object
from retrain.app.projects.catalog import KINDS, Item, build
from retrain.manifests import Document, Finding, Kinds, Positions
from retrain.manifests.objects import LAST_APPLIED, TOO_DEEP, document_of, too_deep
from retrain.manifests.reading import Unreadable, read

KEPT = ("name", "namespace", "labels", "annotations")
"""What of `metadata` a document may have; the rest is the server's."""
OF_FILES = "ignored-kind"
"""A finding that is true of files only: here an EventBus is read, and its status says what it came to."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`item`: the document as the platform runs it, None where a finding is an error. `references`: what it names."""

    key: Key
    item: Item | None
    findings: tuple[Finding, ...]
    references: tuple[Reference, ...] = ()


def judge(found: Object, names: Names, installed: Mapping[str, Kinds] | None = None) -> Verdict:
    """Read one object of a kind that is watched."""
    key = Key.of(found)
    document = as_document(found, key)
    if too_deep(found):
        return Verdict(key, None, (document.finding(TOO_DEEP),))
    item, findings = build(document, installed)
    findings = [one for one in findings if one.code != OF_FILES]
    if item is None or item.model is None:
        return Verdict(key, item, tuple(findings))
    named = references(document.body, _model_of(document))
    settled = names.settled(document.body, named)
    if settled != document.body:
        item, _ = build(replace(document, name=settled["metadata"]["name"], body=settled), installed)
    return Verdict(key, item, tuple(findings), named)


def as_document(found: Object, key: Key) -> Document:
    """The object as its user has written it. Places of findings are those in the text that was applied, where the
    object still has it and it has lines; kubectl's own has one."""
    document = document_of(found, str(key))
    metadata: Any = document.body["metadata"]
    kept = {name: metadata[name] for name in KEPT if metadata.get(name)}
    body = {name: value for name, value in document.body.items() if name != "status"}
    text = str((found["metadata"].get("annotations") or {}).get(LAST_APPLIED) or "")
    positions = _positions(text, str(key)) or document.positions
    return replace(document, body={**body, "metadata": kept}, positions=positions)


def _positions(text: str, place: str) -> Positions | None:
    if "\n" not in text.strip():
        return None
    try:
        return next((Positions(place, one.spot) for one in read(text)), None)
    except Unreadable:
        return None


def _model_of(document: Document) -> Any:
    kind = KINDS[document.api_version, document.kind]
    return getattr(import_module(str(kind.module)), kind.model)
