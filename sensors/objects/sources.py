"""Where the object comes from that a trigger submits: written in the manifest, or a text that somebody fetches.

Rendering is pure, so nothing is fetched here: `Sources` gives texts that are in memory already. An event never chooses
what is fetched, unlike upstream: it would choose what runs, from places that nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import orjson

from retrain.errors import ConfigError, Transient
from retrain.events import JsonValue
from retrain.manifests import load_text
from sensors.actions.values import RenderError
from sensors.trigger_spec import Source

ORDER = ("s3", "inline", "file", "url", "git", "configmap", "resource")
"""Which wins where several are written, as upstream has it."""
REMOTE = frozenset({"s3", "url", "git"})
"""What comes from elsewhere: off unless the operator allows it, and read again as it ages."""
FETCHED = REMOTE | {"file", "configmap"}

Object = Callable[[], JsonValue]
"""The object as it is now. It is shared: never changed in place."""


class NotReadYet(Transient):
    """The text is in a place that could not be read so far."""


class Sources(Protocol):
    """Texts by where they are. Called from several threads, and never waits."""

    def fetch(self, source: Source) -> str:
        """The text as it was last read.

        Raises:
            ConfigError: it is not there, not allowed, or cannot be read in any way; no waiting changes that.
            NotReadYet: it could not be read so far.
        """
        ...


class NoSources:
    """Nothing can be fetched: a Sensor that is explained without a platform."""

    def fetch(self, source: Source) -> str:
        raise NotReadYet(f"source.{kind_of(source)} is read by a running platform only")


def kind_of(source: Source) -> str:
    """What the source is, as users write it; "" if it is nothing."""
    return next((kind for kind in ORDER if getattr(source, kind) is not None), "")


def identity(source: Source) -> str:
    """The same text for the same place."""
    kind = kind_of(source)
    written = source.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return orjson.dumps({kind: written.get(kind)}, option=orjson.OPT_SORT_KEYS).decode()


def compile_object(source: Source | None, sources: Sources) -> Object:
    """The object of a source. What it returns raises RenderError where the object was never read.

    Raises:
        ConfigError: there is none, it cannot be fetched from there, or it is no object.
    """
    if source is None:
        raise ConfigError("a source is missing: write the object under source.resource")
    match kind_of(source):
        case "":
            raise ConfigError("the source is empty: write the object under source.resource")
        case "resource":
            written = source.resource
            return lambda: written
        case "inline":
            read = read_object(source.inline or "", "source.inline")
            return lambda: read
        case kind:
            fetched = _Fetched(kind, source, sources)
            fetched.try_now()
            return fetched


class _Fetched:
    """An object whose text may be another one next time."""

    def __init__(self, kind: str, source: Source, sources: Sources) -> None:
        self._where = f"source.{kind}"
        self._source = source
        self._sources = sources
        self._last: tuple[str, JsonValue] | None = None

    def try_now(self) -> None:
        """Find out what is wrong for good, while somebody looks on."""
        try:
            self._read()
        except NotReadYet:
            return

    def __call__(self) -> JsonValue:
        try:
            return self._read()
        except (NotReadYet, ConfigError) as error:
            raise RenderError(f"the object cannot be had: {error}") from error

    def _read(self) -> JsonValue:
        text = self._sources.fetch(self._source)
        last = self._last
        if last is None or last[0] is not text:
            last = self._last = (text, read_object(text, self._where))
        return last[1]


def read_object(text: str, where: str) -> dict[str, JsonValue]:
    """The one Kubernetes object that a YAML text holds.

    Raises:
        ConfigError: it holds none, several, or is not YAML.
    """
    documents, findings = load_text(text, where)
    if findings or len(documents) != 1:
        what = str(findings[0]) if findings else f"{len(documents)} objects"
        raise ConfigError(f"{where} is one Kubernetes object as YAML, not {what}")
    return documents[0].body
