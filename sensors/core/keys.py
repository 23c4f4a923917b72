"""Keys: what an event is about, read from its data. Events with one key are joined, or limited, together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from retrain.errors import ConfigError
from sensors.filtering.content import Content
from sensors.filtering.lookup import compile_lookup

LONGEST = 512
"""Characters of a key. A longer one is known by its SHA-256."""

ReadKey = Callable[[Content], str]


class NoKey(ConfigError):
    """The event has no such key."""


def compile_key(paths: Sequence[str]) -> ReadKey:
    """What reads the key at these gjson paths, over the data after the transform.

    A number or a boolean is taken as its text. Of several paths the texts are joined by `/`, with `~` and `/` in them
    written `~0` and `~1`. What it returns raises NoKey where a path leads to nothing, null, an object or a list.

    Raises:
        ConfigError: one of them is no path.
    """
    readers = [_compile_part(path) for path in paths]
    if len(readers) == 1:
        read_only = readers[0]
        return lambda content: _bounded(read_only(content))
    return lambda content: _bounded("/".join(_escaped(read(content)) for read in readers))


def _compile_part(path: str) -> ReadKey:
    lookup = compile_lookup(path)

    def read(content: Content) -> str:
        try:
            found = lookup.found(content)
        except ConfigError as error:
            raise NoKey(f"no key: {error}") from error
        if found is None or found.kind == "null":
            raise NoKey(f"no key: path {path!r} does not exist")
        if found.kind == "json":
            raise NoKey(f"no key: path {path!r} is an object or a list; a key is a text, a number or a boolean")
        return found.text()

    return read


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _bounded(key: str) -> str:
    if len(key) <= LONGEST:
        return key
    return f"sha256:{sha256(key.encode()).hexdigest()}"
