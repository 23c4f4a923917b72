"""What pictures are drawn with: a colour for each phase, and the few shapes of SVG.

Every text passes `escaped`; nothing else of a run comes into a picture.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FONT = "ui-sans-serif, system-ui, 'DejaVu Sans', 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Ink:
    """How a phase looks. Told apart without colour too: by the mark in front of the name."""

    fill: str
    line: str
    text: str
    mark: str
    dashed: bool = False


COLOURS: Mapping[str, Ink] = {
    "Pending": Ink("#fff8e5", "#d4a72c", "#4d2d00", "◷"),
    "Running": Ink("#ddf4ff", "#218bff", "#0a3069", "●"),
    "Suspended": Ink("#fbefff", "#a475f9", "#3e1f79", "ǁ"),
    "Succeeded": Ink("#dafbe1", "#2da44e", "#0f3d1e", "✔"),
    "Failed": Ink("#ffebe9", "#cf222e", "#660018", "✖"),
    "Error": Ink("#fff1e5", "#e16f24", "#5c2200", "⚠"),
    "Skipped": Ink("#f6f8fa", "#afb8c1", "#57606a", "○", dashed=True),
    "Omitted": Ink("#ffffff", "#d0d7de", "#6e7781", "○", dashed=True),
}


def colours_of(phase: str) -> Ink:
    """How a phase looks; one that is not known like what has not begun."""
    return COLOURS.get(phase, COLOURS["Pending"])


_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def escaped(text: str) -> str:
    """Text as it may stand in XML, between tags and in an attribute; what XML has no place for, and marks that turn
    the direction of what follows, are shown as unreadable."""
    text = _UNSEEN.sub("\ufffd", text)
    for letter, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        text = text.replace(letter, name)
    return text


def width_of(text: str, size: float) -> float:
    """How wide a text is at most, in pixels, in a sans-serif font of this size: nobody can measure it here."""
    wide = sum(1.7 if unicodedata.east_asian_width(c) in "WF" else _WIDTHS.get(c, 1.0) for c in text)
    return wide * size * 0.62


_WIDTHS = {
    **dict.fromkeys("iljtf.,:;|!'()[] ", 0.6),
    **dict.fromkeys("mwMW@%", 1.45),
    **dict.fromkeys("ABCDEFGHIJKLNOPQRSTUVXYZ", 1.12),
}


def text(x: float, y: float, words: str, *, size: float = 12, fill: str = "#24292f", more: str = "") -> str:
    """A line of text that begins at x, on the base line y."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}"{more}>{escaped(words)}</text>'


def page(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """An SVG document."""
    box = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="{FONT}">',
            f"<title>{escaped(title)}</title>",
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        )
    )
