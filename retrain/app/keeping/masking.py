"""Taking secrets out of what is given away: by name, by what they look like, and by their value. Pure.

A value that is known is found in whatever form texts have it: as it is, in base64, escaped for JSON or a URL. What is
not known is told by its name (`password: x`) or by its look (`Bearer x`, `user:x@host`, a private key).
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, quote_plus, urlsplit

from pydantic import BaseModel, SecretStr

MASK = "***"
SHORTEST = 4
"""Letters of a value that is looked for. Shorter ones are in every text."""
WHOLE = 8
"""Up to so many letters a value is looked for as a word of its own: `test` is also in `latest`."""

NAMES = re.compile(
    r"token|passw|passphrase|secret|credential|private|api_?-?key|access_?-?key|signing|hmac|dsn|cookie|authorization|"
    r"auth_?key|client_?key|connection_?string|webhook_?url|sasl",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"(name|ref|digest|_sha256|file|path|days|_s|enabled|type)$", re.IGNORECASE)
_LOOKS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"(?<=://)[^/@\s\"'\\]+@"), f"{MASK}@"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), MASK),
    (
        re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|AKIA|ASIA|sk-|hf_|npm_|pypi-)[A-Za-z0-9_-]{10,}"),
        MASK,
    ),
    (
        re.compile(
            r"(?i)([?&;\s,{\"']|--|^)([a-z0-9_.-]*(?:token|passw(?:or)?d|passphrase|secret|api_?-?key|access_?-?key|"
            r"signature|sig)[\"']?)(\s*[=:]\s*|\s+(?=\S+\s*$))([\"']?)"
            r"(?!null\b|none\b|true\b|false\b|\d{1,5}\b)([^\s\"'&,;}]{3,})"
        ),
        rf"\1\2\3\4{MASK}",
    ),
)
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]+")


def is_secret_name(name: str) -> bool:
    """Whether something of this name is a secret. What only points to one (`secretName`) is none."""
    return NAMES.search(name) is not None and _HARMLESS.search(name) is None


class Masker:
    """Knows values that must not be seen."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = frozenset(one for value in values for one in _lines(value) if len(one) >= SHORTEST)
        forms = sorted({form for value in self.values for form in forms_of(value)}, key=len, reverse=True)
        self._known = re.compile("|".join(_pattern(form) for form in forms)) if forms else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for pattern, instead in _LOOKS:
            text = pattern.sub(instead, text)
        return text

    def left(self, text: str) -> int:
        """How many known values are still in a text: for a last look."""
        return len(self._known.findall(text)) if self._known is not None else 0


def forms_of(value: str) -> set[str]:
    """How a value may stand in a text."""
    raw = value.encode(errors="surrogateescape")
    found = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    found |= {quote(value, safe=""), quote(value), quote_plus(value)}
    # In base64 what stands before it shifts the letters: all three ways, without the ends that depend on neighbours.
    for shift in range(3):
        for code in (b64encode, urlsafe_b64encode):
            coded = code(b"\0" * shift + raw).decode().rstrip("=")
            inner = coded[(0, 2, 3)[shift] : len(coded) - (1 if (len(raw) + shift) % 3 else 0)]
            found.update([inner] if len(inner) >= WHOLE else [])
    return {one for one in found if len(one) >= SHORTEST}


def _lines(value: str) -> Iterator[str]:
    """A value, and the lines of a long one: logs show them one by one."""
    yield value.strip()
    lines = [line.strip() for line in value.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= 2 * WHOLE and not line.startswith("-----"))


def _pattern(form: str) -> str:
    plain = re.escape(form)
    return rf"(?<![A-Za-z0-9]){plain}(?![A-Za-z0-9])" if len(form) < WHOLE else plain


# --- structures ------------------------------------------------------------------------------------------------------


def masked(value: Any, name: str = "") -> Any:
    """A JSON value without what its names call secret: `password: x`, `{name: DB_PASSWORD, value: x}`, headers."""
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value)
        told = found.get("name")
        named = isinstance(told, str) and is_secret_name(told)
        return {
            key: MASK if named and key == "value" and _is_plain(one) else masked(one, str(key))
            for key, one in found.items()
        }
    if isinstance(value, list | tuple):
        return [masked(one, name) for one in cast("Sequence[Any]", value)]
    return MASK if _is_plain(value) and value not in ("", None) and is_secret_name(name) else value


def document(body: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without secrets: of a Secret only the names of its keys."""
    if body.get("kind") == "Secret":
        hidden = {part: dict.fromkeys(body.get(part) or {}, MASK) for part in ("data", "stringData") if part in body}
        metadata = body.get("metadata") or {}
        # Among its annotations the last applied form may lie, data and all.
        return {**body, "metadata": {"name": metadata.get("name", "")}, **hidden}
    return masked(body)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


# --- where values come from ------------------------------------------------------------------------------------------


def of_settings(settings: BaseModel) -> Iterator[str]:
    """Every secret in settings: by type, by name, and the passwords of URLs."""
    for name in type(settings).model_fields:
        yield from _of_value(name, getattr(settings, name))


def _of_value(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from of_settings(value)
    elif isinstance(value, Mapping):
        for key, one in cast("Mapping[str, Any]", value).items():
            yield from _of_value(str(key), one)
    elif isinstance(value, list | tuple):
        for one in cast("Sequence[Any]", value):
            yield from _of_value(name, one)
    elif isinstance(value, str):
        yield from of_named(name, value)


def of_named(name: str, value: str) -> Iterator[str]:
    """What is secret in the value of a setting or a variable."""
    if is_secret_name(name):
        yield value
    yield from of_urls(value)


def of_urls(text: str) -> Iterator[str]:
    """The passwords of URLs in a text."""
    for url in _URL.findall(text):
        try:
            parts = urlsplit(url)
        except ValueError:
            continue
        if parts.password:
            yield parts.password
        elif parts.username and "@" in parts.netloc and len(parts.username) >= 2 * WHOLE:
            yield parts.username  # a token in the place of a name


def of_document(body: Mapping[str, Any]) -> Iterator[str]:
    """Every value of a Secret; of another document what its names call secret."""
    if body.get("kind") == "Secret":
        yield from (str(one) for one in (body.get("stringData") or {}).values())
        for one in (body.get("data") or {}).values():
            yield str(one)
            yield from _decoded(str(one))
        return
    yield from _of_json("", body)


def _decoded(text: str) -> Iterator[str]:
    from base64 import b64decode
    from binascii import Error

    try:
        yield b64decode(text).decode()
    except (Error, ValueError):
        return


def _of_json(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        found = cast("Mapping[str, Any]", value)
        told = found.get("name")
        for key, one in found.items():
            named = str(told) if key == "value" and isinstance(told, str) else str(key)
            yield from _of_json(named, one)
    elif isinstance(value, list):
        for one in cast("list[Any]", value):
            yield from _of_json(name, one)
    elif isinstance(value, str):
        yield from of_named(name, value)
