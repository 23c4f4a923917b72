"""The Promotion that users write: where the model is committed to, which fields change, and which gates come first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from deploy import environments, render
from deploy.edits import selector
from deploy.environments import NAME, Environment, Terms
from deploy.forges import spec as forge_specs
from deploy.gates import spec as gate_specs
from deploy.git import spec as git_specs
from deploy.git.spec import Commit, Repo
from deploy.names import RECORDS
from deploy.registry import spec as registry_specs
from deploy.registry.spec import Mark, Registry
from deploy.rollout import spec as check_specs
from deploy.rollout import steps
from deploy.shape import Shape
from retrain.errors import ConfigError
from retrain.manifests import Problem


class Metadata(Shape):
    """The promotion's name is part of every path and trailer, hence its narrow alphabet."""

    name: str = Field(pattern=NAME)
    namespace: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Spec(Terms):
    """What is promoted where, under which conditions.

    Either one `environment` with its `edits` and terms, or several `environments` in order. `environment` is "" then.
    """

    repo: Repo
    environment: str = Field(default="", pattern=NAME)
    environments: tuple[Environment, ...] = Field(default=(), max_length=20)
    commit: Commit = Field(default_factory=Commit)
    registry: Registry | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        given = self.model_fields_set
        if "environments" in given:
            if both := sorted(given & {"environment", *Terms.model_fields}):
                names = ", ".join(f"spec.{name}" for name in both)
                raise ValueError(f"{names} beside spec.environments: write what belongs to one into each of them")
            if not self.environments:
                raise ValueError("spec.environments is empty: name one at least")
        elif "environment" not in given:
            raise ValueError("write spec.environment with spec.edits, or spec.environments")
        elif not self.edits:
            raise ValueError("spec.edits is missing: at least one edit makes a promotion")
        return self


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
        """The record's path in the deployment repository. Stable whatever the edits are. Of one environment."""
        return self.record_of(self.spec.environment)

    def record_of(self, environment: str) -> str:
        """The path of that environment's record."""
        return f"{RECORDS}/{self.name}/{environment}.json"

    @property
    def environments(self) -> tuple[str, ...]:
        """The names of its environments, as written."""
        names = [one.name for one in self.spec.environments]
        return tuple(names or [self.spec.environment])

    @property
    def entry(self) -> str:
        """The environment that candidates enter at."""
        return next(name for name in self.environments if not self.before(name))

    def before(self, environment: str) -> tuple[str, ...]:
        """The environments that a model must have been live in before it goes to this one."""
        return environments.order(self.spec.environments).get(environment, ())

    def following(self, environment: str) -> tuple[str, ...]:
        """The environments that come right after this one."""
        return tuple(name for name in self.environments if environment in self.before(name))

    def soak(self, environment: str) -> timedelta:
        """How long a model stays in that environment before it goes on."""
        found = next((one.soak for one in self.spec.environments if one.name == environment), None)
        return found or timedelta()

    def at(self, environment: str) -> PromotionDocument:
        """The promotion to one of its environments, as if it were its only one.

        Raises:
            ConfigError: it has no such environment.
        """
        if environment == self.spec.environment:
            return self
        one = next((one for one in self.spec.environments if one.name == environment), None)
        if one is None:
            there = ", ".join(self.environments)
            raise ConfigError(f"promotion {self.name} has no environment {environment[:80]!r}; it has {there}")
        short = {"environment": environment, "environments": (), **environments.terms_of(one)}
        return self.model_copy(update={"spec": self.spec.model_copy(update=short)})


def check(document: PromotionDocument) -> Iterable[Problem]:
    """What pydantic cannot see: known but not built fields and kinds, templates, edits that meet."""
    spec = document.spec
    yield from git_specs.check(spec.repo, spec.commit)
    if spec.environments:
        yield from environments.check(spec.environments)
        for index, one in enumerate(spec.environments):
            yield from _check_terms(one, ("spec", "environments", index))
            yield from _check_pull(spec, one, ("spec", "environments", index))
    else:
        yield from environments.check_freezes(spec.freeze, ("spec",))
        yield from _check_terms(spec, ("spec",))
        yield from _check_pull(spec, spec, ("spec",))
    yield from _check_message(spec.commit.message)
    yield from registry_specs.check(spec.registry, _marks(spec))


def _check_terms(terms: Terms, here: tuple[str | int, ...]) -> Iterator[Problem]:
    for problem in gate_specs.check(terms.gates):
        # Gates know the short form only.
        yield Problem((*here, *problem.path[1:]), problem.code, problem.message, problem.severity)
    for name in (terms.waivers.gates if terms.waivers else None) or ():
        if name not in {gate.name for gate in terms.gates}:
            there = ", ".join(gate.name for gate in terms.gates) or "none"
            message = f"no gate is named {name[:80]!r}; there are {there}"
            yield Problem((*here, "waivers", "gates"), "unknown-gate", message)
    if not terms.edits:
        yield Problem((*here, "edits"), "no-edits", "at least one edit makes a promotion")
    yield from _check_edits(terms, here)
    yield from check_specs.check(terms.verify, terms.verifyWithin, here)
    yield from steps.check(terms.canary, here)
    yield from _check_at(terms, here)
    yield from _check_failure(terms, here)


def _check_pull(spec: Spec, terms: Terms, here: tuple[str | int, ...]) -> Iterator[Problem]:
    if terms.pullRequest is None:
        return
    yield from forge_specs.check(terms.pullRequest, spec.repo, spec.commit, here)
    if terms.canary:
        message = "canary: each step is a commit of its own, which nobody reviews; take out canary or pullRequest"
        yield Problem((*here, "canary"), "unsupported-field", message)


def _marks(spec: Spec) -> list[tuple[str, Mark | None, tuple[str | int, ...]]]:
    """What each environment marks in the registry, and where it stands."""
    if not spec.environments:
        return [(spec.environment, spec.mark, ("spec",))]
    return [(one.name, one.mark, ("spec", "environments", index)) for index, one in enumerate(spec.environments)]


def _check_message(message: str) -> Iterator[Problem]:
    if why := render.check(message):
        yield Problem(("spec", "commit", "message"), "bad-template", why)
    if not message.strip():
        yield Problem(("spec", "commit", "message"), "bad-template", "the message is empty")


def _check_edits(terms: Terms, start: tuple[str | int, ...]) -> Iterator[Problem]:
    seen: set[tuple[Any, ...]] = set()
    for index, edit in enumerate(terms.edits):
        here = (*start, "edits", index)
        if isinstance(edit.value, str) and (why := render.check(edit.value)):
            yield Problem((*here, "value"), "bad-template", why)
        place = (edit.file, selector.parse(edit.path), tuple(sorted(edit.resource.items())))
        times = {(*place, at) for at in ([edit.at] if edit.at else ("canary", "full"))}
        if times & seen:
            yield Problem((*here, "path"), "duplicate-edit", f"{edit.path} of {edit.file} is edited twice")
        seen |= times


def _check_failure(terms: Terms, start: tuple[str | int, ...]) -> Iterator[Problem]:
    """What is said about a verification that is not there."""
    if "onFailure" in terms.model_fields_set and not terms.verify:
        message = "there is no verify that could fail"
        yield Problem((*start, "onFailure"), "unused-field", message, "warning")


def _check_at(terms: Terms, start: tuple[str | int, ...]) -> Iterator[Problem]:
    """Edits for steps of a canary where there is none, and steps that nothing is edited in."""
    for index, edit in enumerate(terms.edits):
        if edit.at is not None and not terms.canary:
            message = f"at: {edit.at} is for environments with a canary, and this one has none"
            yield Problem((*start, "edits", index, "at"), "no-canary", message)
    for at, weights in (("canary", terms.canary[:-1]), ("full", terms.canary[-1:])):
        if weights and terms.edits and all(edit.at not in {None, at} for edit in terms.edits):
            message = (
                f"nothing is edited at weight {weights[0].weight}: an edit with at: {at}, or without at, is missing"
            )
            yield Problem((*start, "edits"), "no-edits", message)
