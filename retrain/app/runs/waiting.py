"""Steps of a run that wait for people, and what each of them asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pipelines.core.nodes import Node
from pipelines.core.supplied import Supplied, supplied_outputs
from retrain.store.runs import RunRow

Json = Mapping[str, Any]
MOST = 20
"""Waiting steps of one run that are shown with a form."""


@dataclass(frozen=True, slots=True)
class Question:
    """A value that a person supplies. `default` holds if nobody does; where it is `needed` there is none. `allowed`:
    what it may be, anything if empty."""

    name: str
    about: str
    default: str
    needed: bool
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A step that waits. `message`: what was said of it so far."""

    id: str
    label: str
    message: str
    questions: tuple[Question, ...]


def waiting_of(run: RunRow, body: Json) -> Waiting:
    """What a waiting step asks for, as its template says; where that is not found, by the names of its outputs."""
    node = Node.from_argo(body)
    template = template_of(run, body)
    # A node of a cluster has its template's inputs and outputs in it, also where the template is not to be found here.
    expected = supplied_outputs(template or body, node.inputs)
    if template is None and not expected:
        expected = tuple(map(Supplied, node.outputs.parameters))
    about = {str(one.get("name")): str(one.get("description") or "") for one in _parameters(template or {})}
    given = node.outputs.parameters
    questions = tuple(
        Question(
            one.name, about.get(one.name, ""), one.default or "", one.default is None, tuple(map(str, one.allowed))
        )
        for one in expected
        # What was set already cannot be set again.
        if given.get(one.name) is None
    )
    return Waiting(node.id, node.display_name, node.message, questions)


def template_of(run: RunRow, body: Json) -> Json | None:
    """The template of a node, among the documents that the run began with."""
    reference: Json = body.get("templateRef") or {}
    wanted = str(reference.get("template") or body.get("templateName") or "")
    home = str(reference.get("name") or str(body.get("templateScope") or "").partition("/")[2])
    documents = [run.manifest, *cast("Sequence[Json]", run.templates or ())]
    # Those of where the node belongs first; two documents may each have a template of one name.
    documents.sort(key=lambda one: _name(one) != home)
    return next((one for document in documents for one in _templates(document) if one.get("name") == wanted), None)


def _name(document: Json) -> str:
    return str((document.get("metadata") or {}).get("name") or "")


def _templates(document: Json) -> Sequence[Json]:
    return (document.get("spec") or {}).get("templates") or ()


def _parameters(template: Json) -> Iterator[Json]:
    """Outputs last, so that what they say of themselves counts before their inputs."""
    for part in ("inputs", "outputs"):
        yield from (one for one in (template.get(part) or {}).get("parameters") or () if one.get("description"))
