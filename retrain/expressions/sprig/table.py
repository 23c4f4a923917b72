"""Sprig, the functions that templates of Argo and Helm have, by name: `upper`, `default`, `toJson`, `dateInZone`, ...

    FUNCTIONS["upper"]("a")                                     # "A"
    FUNCTIONS["now"](around=Surroundings(now=moment))           # for members of NEEDS_SURROUNDINGS

They take and give JSON's values, and dates, versions and durations where they are about those. Called like this, a
Python `int` is Go's int. All of them are of sprig 3.3; those that would reach the environment, the network or secrets
are in `REFUSED`, each with its reason.

Source: https://masterminds.github.io/sprig/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from retrain.expressions.sprig import (
    cases as sprig_cases,
)
from retrain.expressions.sprig import (
    chance as sprig_chance,
)
from retrain.expressions.sprig import (
    dates as sprig_dates,
)
from retrain.expressions.sprig import (
    dicts as sprig_dicts,
)
from retrain.expressions.sprig import (
    json as sprig_json,
)
from retrain.expressions.sprig import (
    lists as sprig_lists,
)
from retrain.expressions.sprig import (
    numbers as sprig_numbers,
)
from retrain.expressions.sprig import (
    regex as sprig_regex,
)
from retrain.expressions.sprig import (
    semver as sprig_semver,
)
from retrain.expressions.sprig import (
    strings as sprig_strings,
)
from retrain.expressions.sprig import (
    texts as sprig_texts,
)
from retrain.expressions.sprig import (
    urls as sprig_urls,
)
from retrain.expressions.sprig import (
    values as sprig_values,
)
from retrain.expressions.sprig.values import copied
from retrain.expressions.template.functions import Function, Surroundings
from retrain.expressions.template.values import Value

__all__ = ["FUNCTIONS", "NEEDS_SURROUNDINGS", "REFUSED", "WRITERS", "Surroundings", "copied"]

WRITERS: Final = sprig_dicts.WRITERS

_TABLES: Final[tuple[Mapping[str, tuple[str, Callable[..., Value]]], ...]] = (
    sprig_cases.TABLE,
    sprig_dates.TABLE,
    sprig_dicts.TABLE,
    sprig_json.TABLE,
    sprig_lists.TABLE,
    sprig_numbers.TABLE,
    sprig_regex.TABLE,
    sprig_semver.TABLE,
    sprig_strings.TABLE,
    sprig_texts.TABLE,
    sprig_urls.TABLE,
    sprig_values.TABLE,
)
_AROUND: Final = (sprig_chance.AROUND, sprig_dates.AROUND)

NEEDS_SURROUNDINGS: Final = frozenset(name for table in _AROUND for name in table)
"""The functions that take `around`: they need the time, or chance."""

FUNCTIONS: Final[Mapping[str, Function]] = {
    **{name: Function.of(name, signature, call) for table in _TABLES for name, (signature, call) in table.items()},
    **{
        name: Function.of(name, signature, call, around=True)
        for table in _AROUND
        for name, (signature, call) in table.items()
    },
}
"""All functions by name."""

_SECRETS: Final = "keys and passwords are not made in templates"

REFUSED: Final[Mapping[str, str]] = {
    "env": "templates do not see the environment; use a parameter",
    "expandenv": "templates do not see the environment; use a parameter",
    "getHostByName": "templates do not use the network",
    **dict.fromkeys(
        (
            *("bcrypt", "buildCustomCert", "decryptAES", "derivePassword", "encryptAES", "genCA", "genCAWithKey"),
            *("genPrivateKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert"),
            *("genSignedCertWithKey", "htpasswd"),
        ),
        _SECRETS,
    ),
}
"""Functions of sprig that are not offered, each with the reason."""
