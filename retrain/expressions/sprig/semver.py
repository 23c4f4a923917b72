"""Versions: `semver "1.2.3-beta"` and `semverCompare "^1.2" "1.4.0"`.

Source: https://masterminds.github.io/sprig/semver.html, https://github.com/Masterminds/semver
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from retrain.expressions.template.functions import Function
from retrain.expressions.template.values import CallError, Int, Opaque, Uint64, Value

_TAIL = r"(?:-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(?:\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?"
_VERSION = re.compile(rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?{_TAIL}", re.ASCII)
_PART = r"[0-9|xX*]+"
_LOOSE = rf"v?({_PART})(?:\.({_PART}))?(?:\.({_PART}))?{_TAIL}"
_OPERATOR = r"=>|>=|<=|=<|!=|~>|[=><~^]|"
_CONSTRAINT = re.compile(rf"\s*({_OPERATOR})\s*({_LOOSE})\s*", re.ASCII)
_HYPHEN = re.compile(rf"\s*({_LOOSE})\s+-\s+({_LOOSE})\s*", re.ASCII)
MAX_LENGTH: Final = 256
"""Characters of a version or a constraint."""


@dataclass(frozen=True, slots=True)
class Version(Opaque):
    """A semantic version; `original` is its text as it was read."""

    type_name: ClassVar[str] = "*semver.Version"

    major: int
    minor: int
    patch: int
    pre: str = ""
    metadata: str = ""
    original: str = ""

    def __str__(self) -> str:
        pre = f"-{self.pre}" if self.pre else ""
        metadata = f"+{self.metadata}" if self.metadata else ""
        return f"{self.major}.{self.minor}.{self.patch}{pre}{metadata}"

    def numbers(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch


def parse(text: str) -> Version:
    """Read a version; minor and patch may be missing.

    Raises:
        CallError: it is none.
    """
    found = _VERSION.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if found is None:
        raise CallError("Invalid Semantic Version")
    numbers = [int(part or 0) for part in found.group(1, 2, 3)]
    if max(numbers) >= 2**64:
        raise CallError(
            f'Error parsing version segment: strconv.ParseUint: parsing "{max(numbers)}": value out of range'
        )
    pre, metadata = found[4] or "", found[5] or ""
    if any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in pre.split(".")):
        raise CallError("Version segment starts with 0")
    return Version(numbers[0], numbers[1], numbers[2], pre, metadata, text)


def compare(left: Version, right: Version) -> int:
    """-1, 0 or 1; what stands behind `+` does not count."""
    if left.numbers() != right.numbers():
        return 1 if left.numbers() > right.numbers() else -1
    if left.pre == right.pre:
        return 0
    if not left.pre or not right.pre:
        return 1 if not left.pre else -1
    return _compare_pre(left.pre.split("."), right.pre.split("."))


def _compare_pre(left: list[str], right: list[str]) -> int:
    for one, other in zip(left, right, strict=False):
        if one == other:
            continue
        if one.isdigit() and other.isdigit():
            return 1 if int(one) > int(other) else -1
        if one.isdigit() or other.isdigit():
            return -1 if one.isdigit() else 1
        return 1 if one > other else -1
    return (len(left) > len(right)) - (len(left) < len(right))


# --- constraints ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Constraint:
    """`than` with zeros for what was left out; `given` counts the parts that were not."""

    operator: str
    than: Version
    given: int


def _constraint(found: re.Match[str]) -> _Constraint:
    major, minor, patch, pre, _ = found.group(3, 4, 5, 6, 7)
    parts = [major, minor, patch]
    given = next((at for at, part in enumerate(parts) if part is None or part in ("x", "X", "*")), 3)
    numbers = [*parts[:given], "0", "0", "0"][:3]
    if not all(part.isdigit() for part in numbers):
        raise CallError("constraint Parser Error")
    return _Constraint(found[1], parse(".".join(numbers) + (f"-{pre}" if pre else "")), given)


def _alternatives(text: str) -> list[list[_Constraint]]:
    if len(text) > MAX_LENGTH:
        raise CallError(f"a constraint has {MAX_LENGTH} characters at most")
    text = _HYPHEN.sub(lambda found: f">= {found[1]}, <= {found[7]} ", text)
    return [_conjunction(part) for part in text.split("||")]


def _conjunction(text: str) -> list[_Constraint]:
    """Constraints behind each other, with spaces or commas between them."""
    out: list[_Constraint] = []
    at = 0
    while at < len(text) or not out:
        found = _CONSTRAINT.match(text, at)
        if found is None:
            raise CallError(f"improper constraint: {text}")
        out.append(_constraint(found))
        at = found.end()
        if at < len(text) and text[at] == ",":
            at += 1
            if not text[at:].strip():
                raise CallError(f"improper constraint: {text}")
        elif at < len(text) and not text[at - 1].isspace():
            raise CallError(f"improper constraint: {text}")
    return out


def _holds(constraint: _Constraint, version: Version) -> bool:
    if version.pre and not constraint.than.pre and not (constraint.operator == "!=" and constraint.given == 3):
        return False
    return _TESTS[constraint.operator](version, constraint)


def _equal(version: Version, constraint: _Constraint) -> bool:
    if constraint.given < 3:
        return _tilde(version, constraint)
    return compare(version, constraint.than) == 0


def _not_equal(version: Version, constraint: _Constraint) -> bool:
    than, given = constraint.than, constraint.given
    if given == 3:
        return compare(version, than) != 0
    if version.major != than.major:
        return True
    if given == 1:
        return False
    if version.minor != than.minor:
        return True
    if given == 2:
        return bool(version.pre or than.pre) and version.pre != than.pre
    return version.patch != than.patch


def _greater(version: Version, constraint: _Constraint) -> bool:
    than, given = constraint.than, constraint.given
    if given == 3:
        return compare(version, than) == 1
    if version.major != than.major:
        return version.major > than.major
    if given == 1:
        return False
    return version.minor > than.minor if given == 2 else compare(version, than) == 1


def _less(version: Version, constraint: _Constraint) -> bool:
    return compare(version, constraint.than) < 0


def _greater_equal(version: Version, constraint: _Constraint) -> bool:
    return compare(version, constraint.than) >= 0


def _less_equal(version: Version, constraint: _Constraint) -> bool:
    than, given = constraint.than, constraint.given
    if given == 3:
        return compare(version, than) <= 0
    if version.major > than.major:
        return False
    return not (version.major == than.major and version.minor > than.minor and given != 1)


def _tilde(version: Version, constraint: _Constraint) -> bool:
    than, given = constraint.than, constraint.given
    if compare(version, than) < 0:
        return False
    if than.numbers() == (0, 0, 0) and given not in (1, 2):
        return True
    return version.major == than.major and (version.minor == than.minor or given == 1)


def _caret(version: Version, constraint: _Constraint) -> bool:
    than, given = constraint.than, constraint.given
    if compare(version, than) < 0 or version.major != than.major:
        # With nothing given (`^*`) everything of major 0 fits, as upstream has it.
        return False
    if than.major > 0 or given == 1:
        return True
    if than.minor > 0 or given == 2:
        return version.minor == than.minor
    return version.minor == 0 and version.patch == than.patch


_TESTS: Final[Mapping[str, Callable[[Version, _Constraint], bool]]] = {
    "": _equal,
    "=": _equal,
    "!=": _not_equal,
    ">": _greater,
    "<": _less,
    ">=": _greater_equal,
    "=>": _greater_equal,
    "<=": _less_equal,
    "=<": _less_equal,
    "~": _tilde,
    "~>": _tilde,
    "^": _caret,
}


def _semver_compare(constraint: str, version: str) -> bool:
    alternatives = _alternatives(constraint)
    read = parse(version)
    return any(all(_holds(one, read) for one in all_of) for all_of in alternatives)


# --- methods --------------------------------------------------------------------------------------------------------


def _stepped(version: Version, numbers: tuple[int, int, int]) -> Version:
    plain = Version(*numbers)
    prefix = "v" if version.original.startswith("v") else ""
    return replace(plain, original=f"{prefix}{plain}")


def _inc_patch(version: Version) -> Version:
    return _stepped(version, (version.major, version.minor, version.patch + (0 if version.pre else 1)))


_ALONE: Final[Mapping[str, Callable[[Version], Value]]] = {
    "Major": lambda version: Uint64(version.major),
    "Minor": lambda version: Uint64(version.minor),
    "Patch": lambda version: Uint64(version.patch),
    "Prerelease": lambda version: version.pre,
    "Metadata": lambda version: version.metadata,
    "Original": lambda version: version.original,
    "String": str,
    "IncPatch": _inc_patch,
    "IncMinor": lambda version: _stepped(version, (version.major, version.minor + 1, 0)),
    "IncMajor": lambda version: _stepped(version, (version.major + 1, 0, 0)),
}
_WITH_OTHER: Final[Mapping[str, Callable[[Version, Version], Value]]] = {
    "Compare": lambda version, other: Int(compare(version, other)),
    "Equal": lambda version, other: compare(version, other) == 0,
    "GreaterThan": lambda version, other: compare(version, other) > 0,
    "GreaterThanEqual": lambda version, other: compare(version, other) >= 0,
    "LessThan": lambda version, other: compare(version, other) < 0,
    "LessThanEqual": lambda version, other: compare(version, other) <= 0,
}
METHODS: Final[Mapping[str, Function]] = {
    **{name: Function.of(name, "version", call) for name, call in _ALONE.items()},
    **{name: Function.of(name, "version, version", call) for name, call in _WITH_OTHER.items()},
}
"""What a template may ask of a version."""

TABLE: Final[Mapping[str, tuple[str, Callable[..., Value]]]] = {
    "semver": ("string", parse),
    "semverCompare": ("string, string", _semver_compare),
}
