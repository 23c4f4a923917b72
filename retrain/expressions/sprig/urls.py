"""`urlParse` and `urlJoin`, as Go's `net/url` reads and writes URLs.

Source: https://masterminds.github.io/sprig/url.html, https://pkg.go.dev/net/url
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote as percent
from urllib.parse import unquote_to_bytes

from retrain.expressions.template.functions import bounded
from retrain.expressions.template.show import quote
from retrain.expressions.template.values import CallError, Value, from_bytes, kind_name, to_bytes

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(?=:)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN_ESCAPE = re.compile(r"%(?!25)[0-7][0-9A-Fa-f]")
"""Of a letter that needs none: not allowed in names of hosts."""
_PORT = re.compile(r":[0-9]*", re.ASCII)
_HOST_BAD = re.compile(r"[ <>\"\\^`{|}]")


def _unescape(text: str) -> str:
    wrong = _BAD_ESCAPE.search(text)
    if wrong:
        raise CallError(f"invalid URL escape {quote(text[wrong.start() : wrong.start() + 3])}")
    return from_bytes(unquote_to_bytes(to_bytes(text))) if "%" in text else text


def _url_parse(text: str) -> dict[str, Any]:
    try:
        return _parsed(text)
    except CallError as error:
        raise CallError(f"unable to parse url: parse {quote(text)}: {error}") from None


def _parsed(text: str) -> dict[str, Any]:
    if _CONTROL.search(text):
        raise CallError("net/url: invalid control character in URL")
    rest, _, fragment = text.partition("#")
    scheme, rest = _scheme(rest)
    rest, _, query = rest.partition("?")
    url: dict[str, Any] = {
        "scheme": scheme,
        "host": "",
        "hostname": "",
        "path": "",
        "query": query,
        "opaque": "",
        "fragment": _unescape(fragment),
        "userinfo": "",
    }
    if not rest.startswith("/"):
        if scheme:
            return {**url, "opaque": rest}
        if ":" in rest.partition("/")[0]:
            raise CallError("first path segment in URL cannot contain colon")
    if rest.startswith("//") and not (not scheme and rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        url |= _authority(authority)
    return {**url, "path": _unescape(rest)}


def _scheme(text: str) -> tuple[str, str]:
    found = _SCHEME.match(text)
    if found:
        return found[0].lower(), text[found.end() + 1 :]
    if text.startswith(":"):
        raise CallError("missing protocol scheme")
    return "", text


def _authority(text: str) -> dict[str, str]:
    user, at, host = text.rpartition("@")
    if host.startswith("["):
        if "]" not in host:
            raise CallError("missing ']' in host")
        port = host[host.rindex("]") + 1 :]
    else:
        port = host[host.rindex(":") :] if ":" in host else ""
    if port and not _PORT.fullmatch(port):
        raise CallError(f"invalid port {quote(port)} after host")
    plain = _PLAIN_ESCAPE.search(host)
    if plain:
        raise CallError(f"invalid URL escape {quote(plain[0])}")
    host = _unescape(host)
    if _HOST_BAD.search(host):
        raise CallError(f"invalid character {quote(_HOST_BAD.findall(host)[0])} in host name")
    name = host.removesuffix(port) if port else host
    hostname = name[1:-1] if name.startswith("[") else name
    return {"host": host, "hostname": hostname, "userinfo": _user(user) if at else ""}


def _user(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", text):
        raise CallError("net/url: invalid userinfo")
    name, colon, password = text.partition(":")
    return percent(to_bytes(_unescape(name)), safe="$&+,;=-_.~") + (
        colon + percent(to_bytes(_unescape(password)), safe="$&+,;=-_.~") if colon else ""
    )


def _part(url: dict[str, Any], key: str) -> str:
    value = url.get(key, "")
    if not isinstance(value, str):
        raise CallError(f"unable to parse {key} key, must be of type string, but {kind_name(value)} found")
    return value


def _url_join(url: dict[str, Any]) -> str:
    parts = {key: _part(url, key) for key in ("scheme", "host", "path", "query", "opaque", "fragment", "userinfo")}
    out = f"{parts['scheme']}:" if parts["scheme"] else ""
    out += parts["opaque"] or _hierarchy(parts, bool(out))
    out += f"?{parts['query']}" if parts["query"] else ""
    if parts["fragment"]:
        out += "#" + percent(to_bytes(parts["fragment"]), safe="!$&()*+,;=:@/?-_.~")
    return bounded(out)


def _hierarchy(parts: dict[str, str], has_scheme: bool) -> str:
    user = _user(parts["userinfo"]) + "@" if parts["userinfo"] else ""
    path = percent(to_bytes(parts["path"]), safe="$&+,/:;=@-_.~!'()*")
    host = percent(to_bytes(parts["host"]), safe="!$&'()*+,;=:[]<>\"-_.~")
    if has_scheme or host or user:
        slashes = "//" if host or user or path else ""
        slash = "/" if path and not path.startswith("/") and host else ""
        return f"{slashes}{user}{host}{slash}{path}"
    # `a:b` without a scheme would be read as one.
    return f"./{path}" if ":" in path.partition("/")[0] else path


TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "urlJoin": ("map", _url_join),
    "urlParse": ("string", _url_parse),
}
