"""What is shown of an artifact: a picture, a page, a table, a text, a list of files, or that it can only be downloaded.

The deciding part is pure. What a step wrote is never believed: a picture is one by its first bytes, and nothing is told
to a browser but the types named here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anyio.to_thread
import orjson

from pipelines.artifacts.looking import Entry, Look
from pipelines.artifacts.port import Artifacts
from retrain.app.runs.artifacts import artifact_of, located, node_of, where_of
from retrain.store import Store
from retrain.store.runs import RunRow

Kind = Literal["image", "page", "table", "json", "text", "folder", "binary", "large", "nothing"]
MOST = 5 << 20
"""Bytes of a picture or page that is shown."""
TEXT = 256 << 10
"""Letters of a text that are shown."""
ROWS, COLUMNS, CELL = 200, 40, 300
"""Of a table: rows, columns and letters of one cell that are shown."""
PICTURES: Sequence[tuple[bytes, int, str]] = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
)
HTML, SVG = "text/html; charset=utf-8", "image/svg+xml; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Preview:
    """What to show. `type`: of the bytes, for a browser that shows them in a frame of their own; "" for what is no
    picture and no page. `cut`: it goes on behind what is shown."""

    kind: Kind
    name: str
    size: int | None = None
    type: str = ""
    text: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    entries: Sequence[Entry] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """An artifact of a step, and what a look at it showed."""

    node: Mapping[str, Any]
    artifact: Mapping[str, Any]
    look: Look


async def look_at(store: Store, artifacts: Artifacts, run: RunRow, node: str, name: str, path: str = "") -> Looked:
    """Look at an artifact of a step, or at what is at `path` in it.

    Raises:
        NotFound: there is no such step, artifact or path.
        ConfigError: it cannot be read, or only as a whole.
    """
    body = await store.read(lambda c: node_of(c, run, node))
    artifact = located(run, body, artifact_of(body, name))
    found = await anyio.to_thread.run_sync(artifacts.look, artifact, where_of(run, body), path, MOST)
    return Looked(body, artifact, found)


def preview_of(look: Look) -> Preview:
    """What is shown of it."""
    if look.entries is not None:
        return Preview("folder", look.name, entries=look.entries, cut=look.more)
    if not look.head:
        return Preview("nothing", look.name, look.size)
    if kind := type_of(look):
        shown: Kind = "page" if kind in {HTML, SVG} else "image"
        return Preview(shown if look.whole else "large", look.name, look.size, kind if look.whole else "")
    if b"\0" in look.head[:8192]:
        return Preview("binary", look.name, look.size)
    return _of_text(look)


def type_of(look: Look) -> str:
    """The type of a picture or page; "" for what is neither."""
    for magic, at, kind in PICTURES:
        if look.head[at : at + len(magic)] == magic and (magic != b"BM" or look.name.lower().endswith(".bmp")):
            return kind
    begin, name = look.head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower(), look.name.lower()
    if name.endswith((".html", ".htm")) or begin.startswith((b"<!doctype html", b"<html")):
        return HTML
    if name.endswith(".svg") or begin.startswith(b"<svg") or (begin.startswith(b"<?xml") and b"<svg" in begin):
        return SVG
    return ""


def _of_text(look: Look) -> Preview:
    text = look.head.decode("utf-8-sig", errors="replace")
    name = look.name.lower()
    if name.endswith((".csv", ".tsv")) and (table := _table(text, "\t" if name.endswith(".tsv") else "", look.whole)):
        header, rows, more = table
        return Preview("table", look.name, look.size, header=header, rows=rows, cut=more or not look.whole)
    if look.whole and len(text) <= TEXT and text.lstrip()[:1] in {"{", "["} and (pretty := _pretty(text)):
        return Preview("json", look.name, look.size, text=pretty[:TEXT], cut=len(pretty) > TEXT)
    return Preview("text", look.name, look.size, text=text[:TEXT], cut=len(text) > TEXT or not look.whole)


def _pretty(text: str) -> str:
    try:
        return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return ""


def _table(text: str, delimiter: str, whole: bool) -> tuple[list[str], list[list[str]], bool] | None:
    """The first rows; the last line of what was cut off is left out. None: it cannot be read as a table."""
    if not whole:
        text = text[: text.rfind("\n") + 1]
    line = text.partition("\n")[0]
    sign = delimiter or max(",;\t|", key=line.count)
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign)
    try:
        for row in reader:
            if row:
                rows.append([cell[:CELL] for cell in row[:COLUMNS]])
            if len(rows) > ROWS + 1:
                break
    except csv.Error:
        return None
    return (rows[0], rows[1 : ROWS + 1], len(rows) > ROWS + 1) if rows else None
