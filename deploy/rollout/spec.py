"""The checks as a Promotion has them: each of the kind that it names, a plugin's among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from deploy.other_kind import OtherKind, any_of
from deploy.rollout import http, prometheus
from deploy.rollout.check import CheckSpec, Every
from deploy.rollout.kinds import KINDS
from retrain.errors import ConfigError
from retrain.manifests import Problem
from retrain.manifests.duration import Duration, spell

WITHIN = timedelta(minutes=15)
INSTEAD = {"smoke": "http", "argo": "argocd", "argo-cd": "argocd", "kustomization": "flux", "metrics": "prometheus"}
"""Kinds that people may look for, by other names than ours."""


class OtherCheck(OtherKind):
    """A check of a kind that is not built in. Plugins' kinds are `checks` of the context: it is itself the gates'."""

    built_in = KINDS
    common = frozenset({"every"})
    noun = "check"

    every: Every = timedelta(seconds=5)

    @classmethod
    def kinds_of(cls, context: Any) -> Mapping[str, Any] | None:
        return getattr(context, "checks", None)


if TYPE_CHECKING:
    Check = CheckSpec | OtherCheck
else:
    Check = any_of(KINDS, OtherCheck)


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
        kind, spec = one.plugin, one.spec()
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
            yield from one.check((*here, index), INSTEAD)


def _check_times(checks: Sequence[Check], within: timedelta, here: tuple[str | int, ...]) -> Iterator[Problem]:
    for index, one in enumerate(checks):
        needs: timedelta = (getattr(one, "for_", None) or timedelta()) + (getattr(one, "delay", None) or timedelta())
        if needs >= within:
            message = f"it needs {spell(needs)}, and verifyWithin is {spell(within)}: it can never pass"
            yield Problem((*here, index), "verify-too-short", message)


Within = Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=30))]
