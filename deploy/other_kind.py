"""A gate or a check of a kind that is not built in: a plugin's, or nobody's, which is told with what there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, ValidationInfo, model_validator

from retrain.errors import ConfigError
from retrain.manifests import Problem, problems
from retrain.manifests.advice import nearest

OTHER = "other"


class OtherKind(BaseModel):
    """What all of them have. Plugins' kinds, by name, come with the context of validation; without one there are none.

    `built_in` are the kinds of the house, `common` the fields that a plugin's model sees only if it has them too, and
    `noun` is what messages call it.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    built_in: ClassVar[Mapping[str, Any]]
    common: ClassVar[frozenset[str]]
    noun: ClassVar[str]

    name: str = Field(min_length=1, max_length=63)
    kind: str

    _plugin: Any = PrivateAttr(default=None)
    _known: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def kinds_of(cls, context: Any) -> Mapping[str, Any] | None:
        """The plugins' kinds in a context."""
        return context

    @property
    def plugin(self) -> Any:
        """The plugin's kind; None where none has this name."""
        return self._plugin

    @property
    def known(self) -> tuple[str, ...]:
        """Which kinds there are."""
        return (*self.built_in, *self._known)

    @property
    def body(self) -> dict[str, Any]:
        """What the plugin's own model reads."""
        mine = self.common - set(self._plugin.Spec.model_fields if self._plugin else ())
        return self.model_dump(exclude=set(mine))

    @model_validator(mode="after")
    def _look_up(self, info: ValidationInfo) -> Self:
        kinds = self.kinds_of(info.context)
        if kinds is None:
            return self
        try:
            self._plugin = kinds.get(self.kind)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        self._known = tuple(kinds)
        return self

    def spec(self) -> Any:
        """It as the plugin's own model has it; there is a plugin."""
        return self._plugin.Spec.model_validate(self.body)

    def check(self, here: tuple[str | int, ...], instead: Mapping[str, str]) -> Iterator[Problem]:
        """What is wrong with it. `instead`: kinds that people may look for by other names."""
        if self._plugin is not None:
            for one in problems(self._plugin.Spec, self.body, here):
                yield Problem(one.path, one.code, f"{self.noun} {self.name!r}: {one.message}")
            return
        near = instead.get(self.kind) or nearest(self.kind, list(self.known))
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(sorted(self.known))}"
        message = f"{self.noun} kind {self.kind!r} is not known; {hint}"
        yield Problem((*here, "kind"), "unsupported-kind", message)


def any_of(kinds: Mapping[str, Any], other: type[OtherKind]) -> Any:
    """The type of what users write: a built-in kind's model by its `kind`, else the other's."""

    def tag(value: Any) -> str:
        kind: Any = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        return kind if kind in kinds else OTHER

    models = [Annotated[kind.Spec, Tag(name)] for name, kind in kinds.items()]
    return Annotated[reduce(or_, [*models, Annotated[other, Tag(OTHER)]]), Discriminator(tag)]
