"""Kinds that other packages bring, as documents name them: the keys that may stand beside a model's own.

Which packages there are is the app's to know. It hands their kinds in as the context of validation, a mapping that may
load a kind when it is asked for it; without a context there are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ModelWrapValidatorHandler, PrivateAttr, ValidationInfo, model_validator

from retrain.errors import ConfigError
from retrain.events import JsonValue

Kinds = Mapping[str, Any]
"""Plugins' kinds by name. Asking for one that cannot be loaded raises ConfigError."""


@dataclass(frozen=True, slots=True)
class Plugged:
    """What a document has under the name of a plugin's kind. `Spec` is the kind's model for it, if it brings one.

    It is called as the kind calls it, so that what is known of one document serves as `Kinds` for a part of it.
    """

    name: str
    body: JsonValue
    Spec: type[BaseModel] | None = None

    def read(self, body: JsonValue) -> Any:
        """The body as the kind's model; as it is where there is no model.

        Raises:
            ValidationError: it does not fit.
        """
        return body if self.Spec is None else self.Spec.model_validate(body)


class Pluggable(BaseModel):
    """A part of a document in which a key may name a plugin's kind. `built_in` are the keys that never do."""

    built_in: ClassVar[frozenset[str]] = frozenset()

    # Private, so that it is no field that a user could write.
    _plugged: dict[str, Plugged] = PrivateAttr(default_factory=dict)

    @property
    def plugged(self) -> Mapping[str, Plugged]:
        """The plugins' kinds that are named here; a null counts as left out."""
        return self._plugged

    @model_validator(mode="wrap")
    @classmethod
    def _set_apart(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if info.context is None or not isinstance(value, dict):
            return handler(value)
        kinds, body = cast("Kinds", info.context), cast("dict[str, JsonValue]", value)
        names = [name for name in body if name not in cls.built_in and name in kinds]
        try:
            plugged = {name: _plug(kinds, name, body[name]) for name in names if body[name] is not None}
        except ConfigError as error:
            raise ValueError(str(error)) from error
        model = handler({name: one for name, one in body.items() if name not in names})
        model._plugged = plugged
        return model


def _plug(kinds: Kinds, name: str, body: JsonValue) -> Plugged:
    return Plugged(name, body, getattr(kinds[name], "Spec", None))
