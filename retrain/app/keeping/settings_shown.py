"""Which settings are not as they are by default, for people to see: never a secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel, SecretStr

SET = "(set)"
LONGEST = 200
_SECRET = re.compile("token|passw|secret|credential|private|api_?key|access_?key|dsn", re.IGNORECASE)
# Up to the last one: a password may hold anything.
_USER = re.compile(r"(?<=://).*@", re.DOTALL)
_QUERY = re.compile(r"\?.*", re.DOTALL)


def changed(settings: BaseModel) -> list[dict[str, str]]:
    """`{"name": "server.port", "value": "7301"}` for each that differs from its default. Of what may be a secret only
    that it is set; of people their names; of URLs neither who logs in nor their query."""
    return [{"name": name, "value": value} for name, value in _differing(settings, type(settings), "")]


def _differing(one: BaseModel, kind: type[BaseModel], where: str) -> Iterator[tuple[str, str]]:
    for name, field in kind.model_fields.items():
        value = getattr(one, name)
        default = field.get_default(call_default_factory=True, validated_data={})
        path = f"{where}{name}"
        if value == default:
            continue
        if isinstance(value, BaseModel) and isinstance(default, type(value)):
            yield from _differing(value, type(value), f"{path}.")
        else:
            yield path, _shown(path, value)


def _shown(path: str, value: Any) -> str:
    if path == "access.users":
        return ", ".join(sorted(cast("Mapping[str, Any]", value)))[:LONGEST]
    if isinstance(value, SecretStr) or _SECRET.search(path.rpartition(".")[2]):
        return SET
    if isinstance(value, BaseModel | dict | list | tuple):
        # What is in there nobody has looked through.
        return SET
    return _QUERY.sub("", _USER.sub("", str(value)))[:LONGEST]
