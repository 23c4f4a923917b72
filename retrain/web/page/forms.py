"""Reading a form of the page: short, URL-encoded, and of this session."""

from __future__ import annotations

from urllib.parse import parse_qsl

from fastapi import Request

from retrain.errors import ConfigError, Forbidden
from retrain.serving import TooLarge, read_body
from retrain.web.sessions import Sessions

LONGEST = 64 * 1024
"""Bytes of one form."""
FIELDS = 50
FORM = "application/x-www-form-urlencoded"


class Fields(dict[str, str]):
    """What a form says, by the names of its fields."""

    def need(self, name: str) -> str:
        """A field that must be there, and must say something.

        Raises:
            ConfigError: it does not.
        """
        if not (value := self.get(name, "").strip()):
            raise ConfigError(f"{name}: the form does not say it")
        return value


async def read_fields(request: Request, longest: int = LONGEST) -> Fields:
    """The fields of a form of at most so many bytes.

    Raises:
        ConfigError: it is none, or longer than any of ours.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
        raise ConfigError(f"send a form: {FORM}")
    try:
        body = await read_body(request.scope["headers"], request.receive, longest) or b""
        return Fields(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS, errors="strict"))
    except (TooLarge, ValueError) as error:
        raise ConfigError(f"the form cannot be read: {error}") from error


async def read_form(sessions: Sessions, request: Request, longest: int = LONGEST) -> Fields:
    """The fields of a form that the page has made for this session.

    Raises:
        ConfigError: it is none.
        Forbidden: it is another session's, or of no page of ours.
    """
    fields = await read_fields(request, longest)
    if not sessions.fits(request.scope["headers"], fields.get("word", "")):
        raise Forbidden("this form is not of this session any more; load the page again")
    return fields
