"""Sprig's functions for paths, encodings and digests: `base`, `b64enc`, `sha256sum`.

Source: https://masterminds.github.io/sprig/paths.html, encoding.html and crypto.html
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
import zlib
from collections.abc import Callable, Mapping
from typing import Final

from retrain.expressions.template.functions import bounded
from retrain.expressions.template.values import Value, from_bytes, to_bytes

# --- paths ----------------------------------------------------------------------------------------------------------


def _clean(path: str) -> str:
    clean = posixpath.normpath(path)
    return clean[1:] if clean.startswith("//") else clean


def _base(path: str) -> str:
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def _dir(path: str) -> str:
    return _clean(path[: path.rfind("/") + 1])


def _ext(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rindex(".") :] if "." in name else ""


def _is_abs(path: str) -> bool:
    return path.startswith("/")


# --- encodings ------------------------------------------------------------------------------------------------------

_PAD: Final = ord("=")
_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_BASE32: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def _b64enc(text: str) -> str:
    return bounded(base64.b64encode(to_bytes(text)).decode("ascii"))


def _b32enc(text: str) -> str:
    return bounded(base64.b32encode(to_bytes(text)).decode("ascii"))


def _b64dec(text: str) -> str:
    """What is no base64 gives the message as the text, as upstream."""
    data = to_bytes(text)
    clean = data.replace(b"\r", b"").replace(b"\n", b"")
    try:
        if len(clean) % 4 == 0:
            return from_bytes(base64.b64decode(clean, validate=True))
    except ValueError:
        pass
    return f"illegal base64 data at input byte {_wrong_base64(data)}"


def _b32dec(text: str) -> str:
    data = to_bytes(text).replace(b"\r", b"").replace(b"\n", b"")
    wrong = _wrong_base32(data)
    if wrong is not None:
        return f"illegal base32 data at input byte {wrong}"
    # Go stops reading at the padding.
    end = data.find(b"=")
    return from_bytes(base64.b32decode(data if end < 0 else data[: end + -end % 8]))


def _wrong_base64(data: bytes) -> int:
    """The place that Go's decoder complains about. Line ends do not count."""
    places = [at for at, byte in enumerate(data) if byte not in b"\r\n"]
    body = next((count for count, at in enumerate(places) if data[at] not in _BASE64), len(places))
    filled = body % 4
    if body == len(places):
        return len(data) - filled
    if data[places[body]] != _PAD or filled < 2:
        return places[body]
    rest = places[body + 1 :]
    if filled == 2:
        if not rest:
            return len(data)
        if data[rest[0]] != _PAD:
            return rest[0] - 1
        rest = rest[1:]
    return rest[0] if rest else len(data)


def _wrong_base32(data: bytes) -> int | None:
    body = next((at for at, byte in enumerate(data) if byte not in _BASE32), len(data))
    filled, size = body % 8, len(data)
    if body == size:
        return size - filled if filled else None
    if data[body] != _PAD or filled < 2 or size - body - 1 >= 8:
        return body
    padding = data[body : body + 8 - filled]
    if len(padding) < 8 - filled:
        return size
    wrong = next((at for at, byte in enumerate(padding) if byte != _PAD), None)
    if wrong is not None:
        return body + wrong - 1
    return body if filled in (1, 3, 6) else None


# --- digests --------------------------------------------------------------------------------------------------------


def _sha1sum(text: str) -> str:
    return hashlib.sha1(to_bytes(text), usedforsecurity=False).hexdigest()


def _sha256sum(text: str) -> str:
    return hashlib.sha256(to_bytes(text)).hexdigest()


def _sha512sum(text: str) -> str:
    return hashlib.sha512(to_bytes(text)).hexdigest()


def _adler32sum(text: str) -> str:
    return str(zlib.adler32(to_bytes(text)))


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "adler32sum": ("string", _adler32sum),
    "b32dec": ("string", _b32dec),
    "b32enc": ("string", _b32enc),
    "b64dec": ("string", _b64dec),
    "b64enc": ("string", _b64enc),
    "base": ("string", _base),
    "clean": ("string", _clean),
    "dir": ("string", _dir),
    "ext": ("string", _ext),
    "isAbs": ("string", _is_abs),
    "osBase": ("string", _base),
    "osClean": ("string", _clean),
    "osDir": ("string", _dir),
    "osExt": ("string", _ext),
    "osIsAbs": ("string", _is_abs),
    "sha1sum": ("string", _sha1sum),
    "sha256sum": ("string", _sha256sum),
    "sha512sum": ("string", _sha512sum),
}
