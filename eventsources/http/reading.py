"""Reading a request's body: bounded in bytes as it comes, in bytes after it is unpacked, and in time."""

from __future__ import annotations

import zlib

import anyio

from eventsources.http.answers import CLOSE, Refusal
from retrain.serving import Headers, Receive, TooLarge, read_body

PATIENCE_S = 30.0
"""Seconds in which a body must come. A client that drips bytes holds its connection no longer."""

GZIP = frozenset({"gzip", "x-gzip"})


class Gone(Exception):
    """The client went away before its request was whole."""


async def read_whole(headers: Headers, receive: Receive, limit: int) -> bytes:
    """A request's body, unpacked where it is compressed; `limit` counts before and after.

    Raises:
        Refusal: 408, 413, 415 or 400; says why.
        Gone: the client went away.
    """
    encoding = _encoding(headers)
    body = await _read(headers, receive, limit)
    return body if encoding == "identity" else unpack(encoding, body, limit)


def unpack(encoding: str, body: bytes, limit: int) -> bytes:
    """What is in a compressed body. `encoding` is one of Content-Encoding's: gzip, x-gzip, deflate.

    Raises:
        Refusal: 413: it would be over the limit, 400: it is broken, 415: the encoding is not known.
    """
    if encoding in GZIP:
        return _unpack(body, 16 + zlib.MAX_WBITS, limit)
    if encoding != "deflate":
        raise Refusal(
            415, f"content-encoding {encoding[:40]!r} is none of gzip, deflate", (b"accept-encoding", b"gzip")
        )
    # Two forms are called so: with zlib's header, as the standard has it, and bare.
    return _unpack(body, zlib.MAX_WBITS if _has_zlib_header(body) else -zlib.MAX_WBITS, limit)


async def _read(headers: Headers, receive: Receive, limit: int) -> bytes:
    try:
        with anyio.move_on_after(PATIENCE_S) as patience:
            body = await read_body(headers, receive, limit)
            if body is None:
                raise Gone
            return body
    except TooLarge as error:
        raise Refusal(413, str(error), CLOSE) from None
    assert patience.cancelled_caught
    raise Refusal(408, "the body did not come in time", CLOSE)


def _encoding(headers: Headers) -> str:
    given = [value.decode("latin-1").strip().lower() for name, value in headers if name == b"content-encoding"]
    if len(given) > 1:
        raise Refusal(415, "one content-encoding is taken, not several")
    return given[0] if given and given[0] else "identity"


def _unpack(body: bytes, wbits: int, limit: int) -> bytes:
    parts: list[bytes] = []
    size, rest = 0, body
    try:
        while rest:
            member = zlib.decompressobj(wbits)
            part = member.decompress(rest, limit - size + 1)  # never more in memory than one byte over the limit
            size += len(part)
            if size > limit:
                raise Refusal(413, f"the unpacked body is longer than {limit} bytes, the limit")
            if not member.eof:
                raise Refusal(400, "the compressed body ends too early")
            parts.append(part)
            rest = member.unused_data  # gzip allows several members after each other
            if rest and wbits < zlib.MAX_WBITS + 1:
                raise Refusal(400, "there is something behind the compressed body")
    except zlib.error:
        raise Refusal(400, "the body is not compressed as content-encoding says") from None
    return b"".join(parts)


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
