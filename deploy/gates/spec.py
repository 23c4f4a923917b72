"""The gates as a Promotion has them: each of the kind that it names, a plugin's among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, ValidationInfo, model_validator

from deploy.gates import KINDS, Kind, champion, threshold
from retrain.errors import ConfigError
from retrain.manifests import Problem, problems
from retrain.manifests.advice import nearest

NOT_BUILT = frozenset({"approval", "infra", "attestation", "latency", "schema"})


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


def build(gates: Sequence[Gate]) -> list[tuple[Kind, Any]]:
    """The gates: each one's kind, and what the user wrote as the kind's own model has it.

    Raises:
        ConfigError: a kind is not known, or its spec is wrong.
    """
    wrong = [problem.message for problem in check(gates) if problem.severity == "error"]
    if wrong:
        raise ConfigError("; ".join(wrong))
    return [_build(gate) for gate in gates]


def _build(gate: Gate) -> tuple[Kind, Any]:
    if not isinstance(gate, OtherGate):
        return KINDS[gate.kind], gate
    assert gate.plugin is not None
    return gate.plugin, gate.plugin.Spec.model_validate(gate.model_dump())


def check(gates: Sequence[Gate]) -> Iterator[Problem]:
    names: set[str] = set()
    if not gates:
        yield Problem(("spec", "gates"), "no-gates", "without gates every candidate is promoted", "warning")
    for index, gate in enumerate(gates):
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
