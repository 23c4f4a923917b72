"""The trailers of a promotion commit: one line each, the last paragraph of its message. Pure.

Their values come from events and from people, and others gate on them (`Approved-By: ...`), so no value may begin a
line of its own: what breaks lines becomes a space before it gets here, and the block is read back and compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from deploy.names import one_line

Pairs = Sequence[tuple[str, str]]

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*): (.+)")


def message(text: str, fields: Mapping[str, str | None], more: Pairs = ()) -> str:
    """A commit message that ends with trailers. The text is what the user's template gave; `more` may repeat keys."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    lines[0] = one_line(lines[0], 200)
    # "---" would end the message for git's trailer parser.
    body = "\n".join(" " + line if line.startswith("---") else line for line in lines)
    return f"{body}\n\n{trailers(fields, more)}"


def trailers(fields: Mapping[str, str | None], more: Pairs = ()) -> str:
    """A block of commit trailers, one line each: no value can begin another. Empty values are left out.

    Raises:
        ValueError: a key is none; keys are ours, never from outside.
    """
    return "".join(_line(key, value) for key, value in (*fields.items(), *more) if value and one_line(value))


def added(message_: str, more: Pairs) -> str:
    """A message of ours with more trailers at its end."""
    return message_.rstrip("\n") + "\n" + trailers({}, more)


def _line(key: str, value: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key[:80]!r} is no key of a trailer")
    return f"{key}: {one_line(value)}\n"


def parse(message_: str) -> list[tuple[str, str]]:
    """The trailers of a commit message in their order: the last paragraph, if every line of it is one.

    Stricter than git, which also takes a last paragraph that is mostly trailers.
    """
    paragraph = message_.rstrip("\n").rpartition("\n\n")[2].split("\n")
    found = [_LINE.fullmatch(line) for line in paragraph]
    return [(one[1], one[2]) for one in found if one] if all(found) else []
