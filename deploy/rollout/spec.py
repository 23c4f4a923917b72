"""The checks as a Promotion has them: each of the kind that it names, a plugin's among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, ValidationInfo, model_validator

from deploy.rollout import argocd, flux, http, kserve, prometheus
from deploy.rollout.check import Every, Kind
from deploy.rollout.kinds import KINDS
from retrain.errors import ConfigError
from retrain.manifests import Problem, problems
from retrain.manifests.advice import nearest
from retrain.manifests.duration import Duration, spell

WITHIN = timedelta(minutes=15)
INSTEAD = {"smoke": "http", "argo": "argocd", "argo-cd": "argocd", "kustomization": "flux", "metrics": "prometheus"}
"""Kinds that people may look for, by other names than ours."""


class OtherCheck(BaseModel):
    """A check of a kind that is not built in. Plugins' kinds are `checks` of the context of validation, by name."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1, max_length=63)
    kind: str
    every: Every = timedelta(seconds=5)

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

    @property
    def body(self) -> dict[str, Any]:
        """What the kind's own model reads: without what every check has, unless it wants that too."""
        mine = {"every"} - set(self._plugin.Spec.model_fields if self._plugin else ())
        return self.model_dump(exclude=mine)

    @model_validator(mode="after")
    def _look_up(self, info: ValidationInfo) -> Self:
        # The context itself is the gates' kinds.
        kinds: Mapping[str, Any] | None = getattr(info.context, "checks", None)
        if kinds is None:
            return self
        try:
            self._plugin = kinds.get(self.kind)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        self._known = tuple(kinds)
        return self


def _check_kind(value: Any) -> str:
    kind: Any = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if kind in KINDS else "other"


Check = Annotated[
    Annotated[argocd.Spec, Tag("argocd")]
    | Annotated[flux.Spec, Tag("flux")]
    | Annotated[http.Spec, Tag("http")]
    | Annotated[kserve.Spec, Tag("kserve")]
    | Annotated[prometheus.Spec, Tag("prometheus")]
    | Annotated[OtherCheck, Tag("other")],
    Discriminator(_check_kind),
]


@dataclass(frozen=True, slots=True)
class Built:
    """A check ready to be asked: its kind, and what the user wrote as the kind's own model has it."""

    name: str
    kind_name: str
    kind: Any
    spec: Any
    every: timedelta
    follows: bool = False
    delay: timedelta = timedelta()


def build(checks: Sequence[Check]) -> list[Built]:
    """The checks.

    Raises:
        ConfigError: a kind is not known, or its spec is wrong.
    """
    wrong = [problem.message for problem in _check_all(checks, ()) if problem.severity == "error"]
    if wrong:
        raise ConfigError("; ".join(wrong))
    return [_build(one) for one in checks]


def _build(one: Check) -> Built:
    if not isinstance(one, OtherCheck):
        kind, spec = KINDS[one.kind], one
    else:
        assert one.plugin is not None
        kind, spec = one.plugin, one.plugin.Spec.model_validate(one.body)
    follows = getattr(kind, "FOLLOWS", False) is True
    delay: timedelta | None = getattr(spec, "delay", None)
    return Built(one.name, one.kind, kind, spec, one.every, follows, delay or timedelta())


def check(checks: Sequence[Check], within: timedelta | None, here: tuple[str | int, ...]) -> Iterator[Problem]:
    """What pydantic cannot see. `here`: the path of what has `verify`."""
    if within is not None and not checks:
        yield Problem((*here, "verifyWithin"), "unused-field", "there is no verify that it could bound", "warning")
    if not checks:
        return
    yield from _check_all(checks, (*here, "verify"))
    if not any(_knows(one) for one in checks):
        message = (
            "nothing here says that the cluster follows the commit (argocd, flux, kserve): "
            "what is asked may still be the model before"
        )
        yield Problem((*here, "verify"), "verify-blind", message, "warning")
    yield from _check_times(checks, within or WITHIN, (*here, "verify"))


def _knows(one: Check) -> bool:
    """Whether a check knows the new model from the one before."""
    if isinstance(one, OtherCheck):
        return True
    if isinstance(one, http.Spec | prometheus.Spec):
        return one.names_candidate
    return getattr(KINDS[one.kind], "FOLLOWS", False) is True


def _check_all(checks: Sequence[Check], here: tuple[str | int, ...]) -> Iterator[Problem]:
    names: set[str] = set()
    for index, one in enumerate(checks):
        if one.name in names:
            yield Problem((*here, index, "name"), "duplicate-name", f"two checks are named {one.name!r}")
        names.add(one.name)
        if isinstance(one, OtherCheck):
            yield from _check_other(one, (*here, index))


def _check_times(checks: Sequence[Check], within: timedelta, here: tuple[str | int, ...]) -> Iterator[Problem]:
    for index, one in enumerate(checks):
        needs: timedelta = (getattr(one, "for_", None) or timedelta()) + (getattr(one, "delay", None) or timedelta())
        if needs >= within:
            message = f"it needs {spell(needs)}, and verifyWithin is {spell(within)}: it can never pass"
            yield Problem((*here, index), "verify-too-short", message)


def _check_other(one: OtherCheck, here: tuple[str | int, ...]) -> Iterator[Problem]:
    if one.plugin is not None:
        for problem in problems(one.plugin.Spec, one.body, here):
            yield Problem(problem.path, problem.code, f"check {one.name!r}: {problem.message}")
        return
    near = INSTEAD.get(one.kind) or nearest(one.kind, list(one.known))
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(sorted(one.known))}"
    yield Problem((*here, "kind"), "unsupported-kind", f"check kind {one.kind!r} is not known; {hint}")


Within = Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=30))]
