"""The Promotion that users write: where the model is committed to, which fields change, and which gates come first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from deploy import render, selector
from deploy.gates import KINDS, Kind, champion, threshold
from deploy.names import RECORDS, check_branch, check_file, check_url
from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.manifests import Problem, problems
from retrain.manifests.advice import nearest

_NAME = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"
_PERSON = re.compile(r"[^<>\x00-\x1f\x7f]*[^<>\x00-\x1f\x7f .,:;'\"][^<>\x00-\x1f\x7f]*")
_EMAIL = re.compile(r"[^<>\s\x00-\x1f\x7f]+@[^<>\s\x00-\x1f\x7f]+")
NOT_BUILT = frozenset({"approval", "infra", "attestation", "latency", "schema"})


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Metadata(_Spec):
    """The promotion's name is part of every path and trailer, hence its narrow alphabet."""

    name: str = Field(pattern=_NAME)
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Repo(_Spec):
    """The deployment repository. `credentials` are known but not built: git uses none, or the ssh agent's."""

    url: str
    branch: str = "main"
    credentials: JsonValue = None

    @field_validator("url")
    @classmethod
    def _allowed_url(cls, value: str) -> str:
        return _allow(value, check_url(value))

    @field_validator("branch")
    @classmethod
    def _allowed_branch(cls, value: str) -> str:
        return _allow(value, check_branch(value))


class Edit(_Spec):
    """One value in one file. `resource` picks a document of several: `{kind: Deployment, metadata.name: digits}`."""

    file: str
    path: str
    value: str | int | float | bool
    resource: dict[str, str] = Field(default_factory=dict)

    @field_validator("file")
    @classmethod
    def _allowed_file(cls, value: str) -> str:
        return _allow(value, check_file(value))

    @field_validator("path")
    @classmethod
    def _readable_path(cls, value: str) -> str:
        try:
            selector.parse(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value


class OtherGate(BaseModel):
    """A gate of a kind that is not built in. Plugins' kinds are the context of validation, by name."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1, max_length=63)
    kind: str

    _plugin: Kind | None = PrivateAttr(default=None)
    _known: tuple[str, ...] = PrivateAttr(default=())

    @property
    def plugin(self) -> Kind | None:
        """The plugin's kind; None where none has this name."""
        return self._plugin

    @property
    def known(self) -> tuple[str, ...]:
        """Which kinds there are."""
        return (*KINDS, *self._known)

    @model_validator(mode="after")
    def _look_up(self, info: ValidationInfo) -> Self:
        kinds = info.context
        if kinds is None:
            return self
        try:
            self._plugin = kinds.get(self.kind)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        self._known = tuple(kinds)
        return self


def _gate_kind(value: Any) -> str:
    kind: Any = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if kind in {"threshold", "champion"} else "other"


Gate = Annotated[
    Annotated[threshold.Spec, Tag("threshold")]
    | Annotated[champion.Spec, Tag("champion")]
    | Annotated[OtherGate, Tag("other")],
    Discriminator(_gate_kind),
]


class Commit(_Spec):
    """The commit's words and its author, who is the committer too."""

    message: str = Field(default="promote({{promotion.name}}): {{candidate.digest}} in {{promotion.environment}}")
    name: str = "Retrain"
    email: str = "retrain@localhost"

    @field_validator("name")
    @classmethod
    def _person(cls, value: str) -> str:
        return _allow(value, None if _PERSON.fullmatch(value) else "is no name that git can store")

    @field_validator("email")
    @classmethod
    def _address(cls, value: str) -> str:
        return _allow(value, None if _EMAIL.fullmatch(value) else "is no e-mail address")


class Spec(_Spec):
    """What is promoted where, under which conditions."""

    repo: Repo
    environment: str = Field(pattern=_NAME)
    edits: tuple[Edit, ...] = Field(min_length=1, max_length=100)
    gates: tuple[Gate, ...] = ()
    commit: Commit = Field(default_factory=Commit)


class PromotionDocument(_Spec):
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


def _allow(value: str, why: str | None) -> str:
    if why is not None:
        raise ValueError(f"{value[:120]!r} {why}")
    return value


def gates(document: PromotionDocument) -> list[tuple[Kind, Any]]:
    """The gates: each one's kind, and what the user wrote as the kind's own model has it.

    Raises:
        ConfigError: a kind is not known, or its spec is wrong.
    """
    wrong = [problem.message for problem in _check_gates(document) if problem.severity == "error"]
    if wrong:
        raise ConfigError("; ".join(wrong))
    return [_build(gate) for gate in document.spec.gates]


def _build(gate: Gate) -> tuple[Kind, Any]:
    if not isinstance(gate, OtherGate):
        return KINDS[gate.kind], gate
    assert gate.plugin is not None
    return gate.plugin, gate.plugin.Spec.model_validate(gate.model_dump())


def check(document: PromotionDocument) -> Iterable[Problem]:
    """What pydantic cannot see: known but not built fields and kinds, templates, edits that meet."""
    if document.spec.repo.credentials is not None:
        message = "repo.credentials is not built yet; use a path, a public https repository or the ssh agent"
        yield Problem(("spec", "repo", "credentials"), "unsupported-field", message)
    yield from _check_gates(document)
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


def _check_gates(document: PromotionDocument) -> Iterator[Problem]:
    names: set[str] = set()
    if not document.spec.gates:
        yield Problem(("spec", "gates"), "no-gates", "without gates every candidate is promoted", "warning")
    for index, gate in enumerate(document.spec.gates):
        here = ("spec", "gates", index)
        if gate.name in names:
            yield Problem((*here, "name"), "duplicate-name", f"two gates are named {gate.name!r}")
        names.add(gate.name)
        if isinstance(gate, OtherGate):
            yield from _check_other(gate, here)


def _check_other(gate: OtherGate, here: tuple[str | int, ...]) -> Iterator[Problem]:
    if gate.plugin is not None:
        for one in problems(gate.plugin.Spec, gate.model_dump(), here):
            yield Problem(one.path, one.code, f"gate {gate.name!r}: {one.message}")
    elif gate.kind in NOT_BUILT:
        message = f"gate kind {gate.kind!r} is not built yet; there are {', '.join(sorted(gate.known))}"
        yield Problem((*here, "kind"), "unsupported-kind", message)
    else:
        near = nearest(gate.kind, list(gate.known))
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(sorted(gate.known))}"
        yield Problem((*here, "kind"), "unsupported-kind", f"gate kind {gate.kind!r} is not known; {hint}")
