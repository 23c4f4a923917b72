"""Which key of the local repository holds what: one small table beside the blobs, in SQLite.

A save is one transaction, so a reader sees all of it or nothing. Keys are bytes in order: names of files need not be
UTF-8. Threads and processes may share the file.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["file", "tree", "empty"]
"""`tree`: the blob lists the files of a directory (`pipelines.artifacts.trees`). `empty`: a directory with nothing in
it, of a directory that is kept as single files; its key ends in a slash."""
Packing = Literal["none", "tar", "zip"]

PAGE = 1000
_WAIT_S = 60.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    key BLOB NOT NULL PRIMARY KEY, kind TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    mode INTEGER NOT NULL, packing TEXT NOT NULL, level INTEGER NOT NULL, base BLOB NOT NULL,
    run_id TEXT NOT NULL, named INTEGER NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_by_run ON records (run_id);
CREATE INDEX IF NOT EXISTS records_by_age ON records (created);
CREATE TABLE IF NOT EXISTS large (
    size INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (size, digest)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What lies at one key, as if it were packed as `packing` says; on disk nothing is."""

    key: bytes
    kind: Kind
    digest: str
    size: int
    """Of the blob."""
    mode: int
    packing: Packing
    level: int
    """Of gzip, -1 to 9."""
    base: bytes
    """The name of what was saved: the first part of the names in the archive."""
    run_id: str
    named: bool
    """The workflow names the key itself: others may count on it, so it stays when the run is deleted."""
    created: float
    """Seconds since 1970."""


class Records:
    """The table. Opened at the first use: most runs have no artifacts."""

    def __init__(self, file: Path, *, sync: bool = False) -> None:
        self._file = file
        self._sync = sync
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def put(self, records: Iterable[Record], large: Iterable[tuple[int, str]] = ()) -> None:
        """Keep all of them, in place of what lay at their keys. `large`: (size, digest) of blobs to be known again."""
        rows = [astuple(record) for record in records]
        with self._transaction() as connection:
            connection.executemany(f"INSERT OR REPLACE INTO records VALUES ({', '.join('?' * 11)})", rows)  # noqa: S608
            connection.executemany("INSERT OR IGNORE INTO large VALUES (?, ?)", large)

    def get(self, key: bytes) -> Record | None:
        """What lies at this very key."""
        rows = self._all("SELECT * FROM records WHERE key = ?", (key,))
        return _record(rows[0]) if rows else None

    def below(self, prefix: bytes) -> Iterator[Record]:
        """What lies at keys that begin so, in order; a page of it in memory."""
        after = prefix
        sign = ">="
        while True:
            rows = self._all(
                f"SELECT * FROM records WHERE key {sign} ? AND (? IS NULL OR key < ?) ORDER BY key LIMIT ?",  # noqa: S608
                (after, _end(prefix), _end(prefix), PAGE),
            )
            for row in rows:
                yield _record(row)
            if len(rows) < PAGE:
                return
            after, sign = rows[-1][0], ">"

    def delete(self, key: bytes) -> None:
        """Forget a key and what is below it."""
        folder = key.rstrip(b"/") + b"/"
        with self._transaction() as connection:
            connection.execute("DELETE FROM records WHERE key = ?", (key.rstrip(b"/"),))
            connection.execute("DELETE FROM records WHERE key >= ? AND key < ?", (folder, _end(folder)))

    def forget_run(self, run_id: str) -> int:
        """Forget what a run saved under keys that it did not choose itself; how many."""
        with self._transaction() as connection:
            return connection.execute("DELETE FROM records WHERE run_id = ? AND NOT named", (run_id,)).rowcount

    def forget_before(self, time: float) -> int:
        """Forget what was saved before, under keys that no workflow chose; how many."""
        with self._transaction() as connection:
            return connection.execute("DELETE FROM records WHERE created < ? AND NOT named", (time,)).rowcount

    def contents(self) -> Iterator[tuple[Kind, str, int]]:
        """Kind, digest and size of all that is kept, each once; read in one go so that nothing slips through."""
        with self._lock:
            cursor = self._open().execute("SELECT DISTINCT kind, digest, size FROM records")
            rows = cursor.fetchall()
        yield from rows

    def knows_size(self, size: int) -> bool:
        """Whether a large blob of exactly this size was kept once."""
        return bool(self._all("SELECT 1 FROM large WHERE size = ? LIMIT 1", (size,)))

    def forget_gone(self, there: Callable[[str], bool]) -> None:
        """Forget large blobs that are not there any more."""
        gone = [row for row in self._all("SELECT digest FROM large", ()) if not there(row[0])]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM large WHERE digest = ?", gone)

    def close(self) -> None:
        """Let go of the file; it opens again by itself."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _all(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._open().execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock, self._open() as connection:
            yield connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # The lock above hands the connection from thread to thread.
            connection = sqlite3.connect(self._file, timeout=_WAIT_S, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._sync else 'NORMAL'}")
            connection.executescript(_SCHEMA)
            self._connection = connection
        return self._connection


def _record(row: tuple[Any, ...]) -> Record:
    key, kind, digest, size, mode, packing, level, base, run_id, named, created = row
    return Record(key, kind, digest, size, mode, packing, level, base, run_id, bool(named), created)


def _end(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with `prefix`; None if there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else None
