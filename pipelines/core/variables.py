"""What tags and expressions may read: names such as `workflow.name` or `tasks.a.outputs.result`, and their values.

A name is dotted; a value is a text, an artifact, or ABSENT (declared, but its step was skipped). Scopes are asked, not
listed: nothing is computed that nobody reads. Only an expression that names a whole branch, as
`toJson(inputs.parameters)` does, makes a scope list what lies `under` it.

Source: docs/variables.md and util/variables of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Protocol, cast

from pipelines.core.nodes import Artifact


class Absent(Enum):
    """The output of a step that was skipped and has no default: there, but without a value."""

    token = 0


ABSENT: Final = Absent.token
Found = str | Absent | None
"""None: there is no such name."""
Lookup = Callable[[str], Found]


@dataclass(frozen=True, slots=True)
class Moment:
    """What expressions know of the time and of chance: `now()` and the seed of `sprig.uuidv4()`."""

    now: datetime | None = None
    seed: str = ""


NO_MOMENT = Moment()


class Variables(Protocol):
    """A scope. Calling it gives what a name is as text; artifacts are asked for apart."""

    def __call__(self, tag: str, /) -> Found: ...
    def artifact(self, tag: str, /) -> Artifact | Absent | None: ...
    def under(self, prefix: str, /) -> Iterable[str]:
        """The full names of what lies below a name."""
        ...

    def moment(self) -> Moment: ...


class Known:
    """Names from a table: a text, None (absent) or an artifact each. The table may grow meanwhile."""

    __slots__ = ("_moment", "_values")

    def __init__(self, values: Mapping[str, str | Artifact | None], moment: Moment = NO_MOMENT) -> None:
        self._values, self._moment = values, moment

    def __call__(self, tag: str, /) -> Found:
        if tag not in self._values:
            return None
        value = self._values[tag]
        return ABSENT if value is None else value if isinstance(value, str) else None

    def artifact(self, tag: str, /) -> Artifact | Absent | None:
        value = self._values.get(tag)
        return None if value is None or isinstance(value, str) else value

    def under(self, prefix: str, /) -> Iterable[str]:
        start = prefix + "."
        return [name for name in self._values if name.startswith(start)]

    def moment(self) -> Moment:
        return self._moment


class Asked:
    """A bare function as a scope: it can be asked for what an expression names, but cannot list anything."""

    __slots__ = ("_lookup",)

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    def __call__(self, tag: str, /) -> Found:
        return self._lookup(tag)

    def artifact(self, tag: str, /) -> Artifact | Absent | None:
        del tag

    def under(self, prefix: str, /) -> Iterable[str]:
        del prefix
        return ()

    def moment(self) -> Moment:
        return NO_MOMENT


class Layered:
    """Several scopes, the first that knows a name answers. `seed` is added to what chance follows."""

    __slots__ = ("_layers", "_seed")

    def __init__(self, *layers: Variables, seed: str = "") -> None:
        self._layers = layers
        self._seed = seed

    def __call__(self, tag: str, /) -> Found:
        for layer in self._layers:
            found = layer(tag)
            if found is not None:
                return found
        return None

    def artifact(self, tag: str, /) -> Artifact | Absent | None:
        for layer in self._layers:
            found = layer.artifact(tag)
            if found is not None:
                return found
        return None

    def under(self, prefix: str, /) -> Iterable[str]:
        return [name for layer in self._layers for name in layer.under(prefix)]

    def moment(self) -> Moment:
        for layer in self._layers:
            found = layer.moment()
            if found is not NO_MOMENT:
                return Moment(found.now, found.seed + self._seed)
        return Moment(None, self._seed) if self._seed else NO_MOMENT


class RunVariables:
    """What the whole workflow knows: what its plan fixed, how it is now, and what its steps exported by `globalName`.

    `parameters` and `artifacts` are live tables by global name. `failures` is None until the entry has ended.
    """

    __slots__ = ("_artifacts", "_constant", "_moment", "_now", "_parameters")

    def __init__(  # noqa: PLR0913 - the sources of `workflow.*`, one each
        self,
        constant: Mapping[str, str],
        *,
        status: str = "Running",
        failures: str | None = None,
        duration: str | None = None,
        parameters: Mapping[str, str | None] | None = None,
        artifacts: Mapping[str, Artifact] | None = None,
        now: datetime | None = None,
        seed: str = "",
    ) -> None:
        self._constant = constant
        self._parameters: Mapping[str, str | None] = {} if parameters is None else parameters
        self._artifacts: Mapping[str, Artifact] = {} if artifacts is None else artifacts
        self._moment = NO_MOMENT if now is None and not seed else Moment(now, seed)
        self._now = {"workflow.status": status}
        if failures is not None:
            self._now["workflow.failures"] = failures
        if duration is not None:
            self._now["workflow.duration"] = duration

    def __call__(self, tag: str, /) -> Found:
        if not tag.startswith("workflow."):
            return None
        if tag in self._now:
            return self._now[tag]
        if tag.startswith(_PARAMETERS):
            exported = self._parameters.get(tag[len(_PARAMETERS) :])
            if exported is not None:
                return exported
        return self._constant.get(tag)

    def artifact(self, tag: str, /) -> Artifact | Absent | None:
        return self._artifacts.get(tag[len(_ARTIFACTS) :]) if tag.startswith(_ARTIFACTS) else None

    def under(self, prefix: str, /) -> Iterable[str]:
        start = prefix + "."
        names = [*self._constant, *self._now]
        names += [_PARAMETERS + name for name, value in self._parameters.items() if value is not None]
        names += [_ARTIFACTS + name for name in self._artifacts]
        return [name for name in names if name.startswith(start)]

    def moment(self) -> Moment:
        return self._moment


_PARAMETERS = "workflow.outputs.parameters."
_ARTIFACTS = "workflow.outputs.artifacts."


def variables_of(lookup: Variables | Lookup | Mapping[str, Any]) -> Variables:
    """Anything that can be asked, as a scope."""
    if hasattr(lookup, "under"):  # an isinstance of a Protocol costs more than the lookups of a small template
        return cast("Variables", lookup)
    if isinstance(lookup, Mapping):
        return Known(cast("Mapping[str, str | Artifact | None]", lookup))
    return Asked(lookup)
