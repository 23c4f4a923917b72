"""The Promotion that users write: where the model is committed to, which fields change, and which gates come first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from deploy import render
from deploy.edits import selector
from deploy.edits.spec import Edit
from deploy.gates import spec as gate_specs
from deploy.git.spec import Commit, Repo
from deploy.names import RECORDS
from deploy.shape import Shape
from retrain.manifests import Problem

_NAME = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"


class Metadata(Shape):
    """The promotion's name is part of every path and trailer, hence its narrow alphabet."""

    name: str = Field(pattern=_NAME)
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Spec(Shape):
    """What is promoted where, under which conditions."""

    repo: Repo
    environment: str = Field(pattern=_NAME)
    edits: tuple[Edit, ...] = Field(min_length=1, max_length=100)
    gates: tuple[gate_specs.Gate, ...] = ()
    commit: Commit = Field(default_factory=Commit)


class PromotionDocument(Shape):
    """A `Promotion` of retrain.dev/v1."""

    apiVersion: Literal["retrain.dev/v1"]
    kind: Literal["Promotion"]
    metadata: Metadata
    spec: Spec

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.metadata.name

    @property
    def record_file(self) -> str:
        """The record's path in the deployment repository. Stable whatever the edits are."""
        return f"{RECORDS}/{self.name}/{self.spec.environment}.json"


def check(document: PromotionDocument) -> Iterable[Problem]:
    """What pydantic cannot see: known but not built fields and kinds, templates, edits that meet."""
    if document.spec.repo.credentials is not None:
        message = "repo.credentials is not built yet; use a path, a public https repository or the ssh agent"
        yield Problem(("spec", "repo", "credentials"), "unsupported-field", message)
    yield from gate_specs.check(document.spec.gates)
    yield from _check_edits(document)
    if why := render.check(document.spec.commit.message):
        yield Problem(("spec", "commit", "message"), "bad-template", why)
    if not document.spec.commit.message.strip():
        yield Problem(("spec", "commit", "message"), "bad-template", "the message is empty")


def _check_edits(document: PromotionDocument) -> Iterator[Problem]:
    seen: set[tuple[Any, ...]] = set()
    for index, edit in enumerate(document.spec.edits):
        here = ("spec", "edits", index)
        if isinstance(edit.value, str) and (why := render.check(edit.value)):
            yield Problem((*here, "value"), "bad-template", why)
        place = (edit.file, selector.parse(edit.path), tuple(sorted(edit.resource.items())))
        if place in seen:
            yield Problem((*here, "path"), "duplicate-edit", f"{edit.path} of {edit.file} is edited twice")
        seen.add(place)
