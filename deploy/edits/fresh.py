"""Keys and items that are not there yet, and how they are written: in lines, in braces, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.edits import scalars as writing
from deploy.edits.scalars import Scalar, Style
from deploy.edits.selector import Key, Prefix, Step, Where
from deploy.edits.tree import Language, Reading, mapping, scalar, sequence

Fresh = dict[str, "Fresh"] | list["Fresh"] | Scalar


def build(steps: Sequence[Step], value: Scalar) -> Fresh:
    """What must be there for the steps to lead to the value.

    Raises:
        ValueError: the steps do not say enough; the message says what is missing.
    """
    if not steps:
        return value
    match steps[0]:
        case Key(name):
            return {name: build(steps[1:], value)}
        case Where(keys, wanted):
            inside = build(steps[1:], value)
            if isinstance(inside, dict):
                return [_merge(build([Key(key) for key in keys], wanted), inside)]
            raise ValueError(f"an item with {'.'.join(keys)} needs a key for the value")
        case Prefix(text):
            return [text + plain_text(value)]
        case _:
            raise ValueError("an item is made by [key=value] or [^KEY=], not by its number")


def _merge(known: Fresh, more: Fresh) -> Fresh:
    """Both mappings in one; the known keys come first."""
    if isinstance(known, dict) and isinstance(more, dict):
        return known | {key: _merge(known[key], value) if key in known else value for key, value in more.items()}
    raise ValueError("the value is the item's own predicate")


def plain_text(value: Scalar) -> str:
    """A value as the rest of a text: numbers and booleans as YAML writes them."""
    return value if isinstance(value, str) else writing.write(value, None, "plain")


def readings(fresh: Fresh) -> list[Reading]:
    """What a reader will be told of it."""
    if isinstance(fresh, dict):
        return mapping(one for key, value in fresh.items() for one in (scalar(key), *readings(value)))
    if isinstance(fresh, list):
        return sequence(one for item in fresh for one in readings(item))
    return [scalar(fresh)]


@dataclass(frozen=True, slots=True)
class Manner:
    """How the neighbours are written. `unit`: one more indentation; `dash`: what items have before their dash, more
    than their key; `colon` and `comma`: what parts members in braces; `newline` "" where all is on one line."""

    language: Language
    newline: str
    unit: str = "  "
    dash: str = ""
    quote: Style = "plain"
    key_quote: str | None = None
    colon: str = ": "
    comma: str = ", "

    def scalar(self, value: Scalar) -> str:
        """A value's text."""
        return writing.write(value, None, self.quote, self.language)

    def key(self, name: str) -> str:
        """A key's text."""
        return writing.write_key(name, self.key_quote, self.language)


def in_lines(fresh: Fresh, manner: Manner, indent: str) -> str:
    """A YAML value after its key or dash, its leading space or newline included."""
    if isinstance(fresh, dict):
        deeper = indent + manner.unit
        return manner.newline + deeper + members(fresh, manner, deeper)
    if isinstance(fresh, list):
        deeper = indent + manner.dash
        return "".join(f"{manner.newline}{deeper}{item(one, manner, deeper)}" for one in fresh)
    return f" {manner.scalar(fresh)}"


def members(fresh: dict[str, Fresh], manner: Manner, indent: str) -> str:
    """A mapping's members in lines, without the indentation of the first."""
    lines = (f"{manner.key(key)}:{in_lines(value, manner, indent)}" for key, value in fresh.items())
    return f"{manner.newline}{indent}".join(lines)


def item(fresh: Fresh, manner: Manner, indent: str, gap: str = " ") -> str:
    """An item of a list with its dash."""
    if isinstance(fresh, dict):
        return f"-{gap}{members(fresh, manner, f'{indent} {gap}')}"
    assert not isinstance(fresh, list), "no path makes a list in a list"
    return f"-{gap}{manner.scalar(fresh)}"


def in_braces(fresh: Fresh, manner: Manner, indent: str) -> str:
    """A value on one line; as JSON over lines where the neighbours are."""
    if not isinstance(fresh, dict | list):
        return manner.scalar(fresh)
    deeper = indent + manner.unit
    inside = (
        [in_braces(one, manner, deeper) for one in fresh]
        if isinstance(fresh, list)
        else [pair(key, value, manner, deeper) for key, value in fresh.items()]
    )
    opening, closing = "[]" if isinstance(fresh, list) else "{}"
    if manner.newline and manner.language == "json":
        comma = f",{manner.newline}{deeper}"
        return f"{opening}{manner.newline}{deeper}{comma.join(inside)}{manner.newline}{indent}{closing}"
    return f"{opening}{manner.comma.join(inside)}{closing}"


def pair(key: str, value: Fresh, manner: Manner, indent: str) -> str:
    """A member in braces."""
    return f"{manner.key(key)}{manner.colon}{in_braces(value, manner, indent)}"
