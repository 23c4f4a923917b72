"""Sprig's functions of chance. They throw the dice of `Surroundings`, so that the same firing renders the same text.

What they give is not secret: passwords and keys are not made here.

Source: https://masterminds.github.io/sprig/strings.html and uuid.html
"""

from __future__ import annotations

import base64
import string
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from retrain.expressions.template.functions import Surroundings
from retrain.expressions.template.meter import room
from retrain.expressions.template.values import CallError, Int, Value

_ASCII: Final = "".join(map(chr, range(32, 127)))


def _letters(alphabet: str) -> Callable[..., str]:
    def throw(count: int, *, around: Surroundings) -> str:
        if count < 1:
            return ""
        room(count * 16)
        return "".join(around.chance().choices(alphabet, k=int(count)))

    return throw


def _rand_bytes(count: int, *, around: Surroundings) -> str:
    if count < 0:
        raise CallError("runtime error: makeslice: len out of range")
    room(count * 2)
    return base64.b64encode(around.chance().randbytes(int(count))).decode("ascii")


def _rand_int(least: int, under: int, *, around: Surroundings) -> Int:
    if under <= least:
        raise CallError("invalid argument to Intn")
    return Int(around.chance().randrange(int(least), int(under)))


def _shuffle(text: str, *, around: Surroundings) -> str:
    room(len(text) * 8)
    letters = list(text)
    around.chance().shuffle(letters)
    return "".join(letters)


def _uuidv4(*, around: Surroundings) -> str:
    return str(uuid.UUID(int=around.chance().getrandbits(128), version=4))


AROUND: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "randAlpha": ("int", _letters(string.ascii_letters)),
    "randAlphaNum": ("int", _letters(string.ascii_letters + string.digits)),
    "randAscii": ("int", _letters(_ASCII)),
    "randBytes": ("int", _rand_bytes),
    "randInt": ("int, int", _rand_int),
    "randNumeric": ("int", _letters(string.digits)),
    "shuffle": ("string", _shuffle),
    "uuidv4": ("", _uuidv4),
}
