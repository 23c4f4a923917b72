"""The store's engine room: one writer thread with group commit, a few readers, migrations, errors in our words.

SQLite takes one writer at a time. Here every write of a process goes through one thread, which commits what has
queued up in one transaction: small writes get the speed of batches, and no two of them ever collide. Between processes
`BEGIN IMMEDIATE` and a busy timeout keep the order; a lock that is still held after that is waited for, not reported.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from retrain.errors import ConfigError, RetrainError, Transient
from retrain.log import get_logger
from retrain.store.riders import mounted
from retrain.store.schema import migrate
from retrain.store.signals import Signals
from retrain.store.windows import Hinting
from retrain.telemetry import meters

T = TypeVar("T")
Work = Callable[[Connection], T]

log = get_logger()

BATCH = 512
"""Writes that share one commit at most. A commit is held up by its slowest member, so this is bounded."""
BUSY_S = 5.0
"""Seconds that one attempt waits for another process's write lock."""
PATIENCE_S = 60.0
"""Seconds after which a write gives up on the lock. Writes take milliseconds: by then something is stuck."""
READERS = 4
CACHE_KIB, READERS_CACHE_KIB = 4096, 1024
"""Of each connection. What a reader has not in it is in the system's cache of files, once for all of them."""


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    outcome: Any = None
    error: BaseException | None = None


class Store:
    """The platform's memory. Get one from `open_store`.

    `work` functions run on another thread: they use the connection they get and touch nothing else of the caller's.
    """

    def __init__(self, writer: Engine, reader: Engine, path: Path) -> None:
        self.path = path
        self.signals = Signals()
        self._reader = reader
        self._limiter = anyio.CapacityLimiter(READERS)
        self._writer = _Writer(writer)

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction and return its result once that is committed.

        Works queued at the same time share a commit; an error in one undoes only that one.

        Raises:
            Transient: the disk is full, or another process held the lock for a minute.
            Exception: whatever `work` raised; nothing of it is kept.
        """
        return await self._writer.submit(mounted(work))

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a snapshot and return its result. It sees every write that was awaited before.

        Raises:
            Transient: the store cannot be read now.
        """
        return await anyio.to_thread.run_sync(self._read, work, limiter=self._limiter)

    def _read(self, work: Work[T]) -> T:
        try:
            with self._reader.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            raise translate(error) from error

    def close(self) -> None:
        """Finish the writes in hand, then let go of the files. Twice is once."""
        self._writer.close()
        self._reader.dispose()


class _Writer:
    """The one thread that writes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: deque[_Job] = deque()
        self._ready = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Work[T]) -> T:
        job = _Job(work, asyncio.get_running_loop().create_future())
        with self._ready:
            if self._closed:
                raise Transient("the store is closed")
            self._jobs.append(job)
            self._ready.notify()
        return await job.future

    def close(self) -> None:
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()
        self._engine.dispose()

    def _run(self) -> None:
        while batch := self._take():
            self._commit(batch)
            _deliver(batch)

    def _take(self) -> list[_Job]:
        with self._ready:
            while not self._jobs and not self._closed:
                self._ready.wait()
            return [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]

    def _commit(self, batch: list[_Job]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                started = time.perf_counter()
                with self._engine.begin() as connection:
                    _perform(connection, batch)
                meters.TRANSACTIONS.add()
                meters.TRANSACTION_SECONDS.observe(time.perf_counter() - started)
                return
            except DBAPIError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    _fail(batch, translate(error))
                    return
            # The commit failed for another reason than the database: the batch fails, the writer lives on.
            except Exception as error:  # noqa: BLE001
                _fail(batch, error)
                return


def _perform(connection: Connection, batch: list[_Job]) -> None:
    if len(batch) == 1:
        batch[0].error = None
        batch[0].outcome = batch[0].work(connection)
        return
    for job in batch:
        job.error = job.outcome = None
        try:
            with connection.begin_nested():
                job.outcome = job.work(connection)
        except DBAPIError as error:
            if _is_fatal(error):
                raise
            job.error = translate(error)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits this job
            job.error = error


def _fail(batch: list[_Job], error: BaseException) -> None:
    for job in batch:
        job.error, job.outcome = error, None


def _deliver(batch: list[_Job]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        loops.setdefault(job.future.get_loop(), []).append(job)
    for loop, jobs in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, jobs)
        except RuntimeError:
            log.debug("store.loop_closed", jobs=len(jobs))  # nobody is left to hear it


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # the caller was cancelled; the write stands
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.outcome)


def _is_busy(error: DBAPIError) -> bool:
    text = str(error.orig)
    return "database is locked" in text or "database table is locked" in text


def _is_fatal(error: DBAPIError) -> bool:
    """Whether SQLite has (or may have) rolled back the whole transaction, not only the savepoint."""
    text = str(error.orig)
    return _is_busy(error) or "disk is full" in text or "disk I/O error" in text


def translate(error: DBAPIError) -> RetrainError:
    """A database error in our words, by what the caller should do."""
    text = str(error.orig)
    if "disk is full" in text:
        return Transient("the disk that holds the store is full; free some space, work goes on by itself")
    return Transient(f"the store cannot be used now: {text}")


@asynccontextmanager
async def open_store(path: Path, *, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> AsyncGenerator[Store]:
    """Open (and create or migrate) the store in the file `path`; its folder must exist.

    `synchronous`: NORMAL keeps every commit through `kill -9` of any process; a power cut may take the last ones, and
    never corrupts. FULL keeps them through a power cut too, for one disk sync each commit.

    Raises:
        ConfigError: the file is no store of ours, or a newer Retrain has migrated it.
    """
    writer = _engine(path, f"PRAGMA synchronous={synchronous}", "BEGIN IMMEDIATE", pool=1)
    reader = _engine(path, "PRAGMA query_only=ON", "BEGIN", pool=READERS, cache_kib=READERS_CACHE_KIB)
    try:
        await anyio.to_thread.run_sync(_prepare, writer, path)
        store = Store(writer, reader, path)
        try:
            yield store
        finally:
            # Not awaited: after a cancellation nothing can be, and the writes in hand take milliseconds.
            store.close()
    finally:
        writer.dispose()
        reader.dispose()


@contextmanager
def reading(path: Path) -> Generator[Connection]:
    """A connection that only reads, on a snapshot of the store, for a process that is not the platform's.

    Raises:
        Transient: the store cannot be read now.
    """
    engine = _engine(path, "PRAGMA query_only=ON", "BEGIN", pool=2, cache_kib=READERS_CACHE_KIB)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise translate(error) from error
    finally:
        engine.dispose()


def _prepare(engine: Engine, path: Path) -> None:
    try:
        migrate(engine, path)
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.DatabaseError) and "not a database" in str(error.orig):
            raise ConfigError(f"{path}: is not a Retrain store (not even SQLite); move it away") from error
        raise translate(error) from error


def _engine(path: Path, pragma: str, begin: str, pool: int, cache_kib: int = CACHE_KIB) -> Engine:
    # `isolation_level: None` stops sqlite3 from opening transactions by itself; ours begin below.
    engine = create_engine(
        f"sqlite+pysqlite:///{path}",
        poolclass=QueuePool,
        pool_size=pool,
        max_overflow=0,
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": BUSY_S},
    )
    engine.dialect.statement_compiler = Hinting

    def on_connect(connection: sqlite3.Connection, _record: object) -> None:
        # The first counts for a file that is still empty: its free pages can be given back later (app/keeping.py).
        first = "PRAGMA auto_vacuum=INCREMENTAL"
        for statement in (first, "PRAGMA journal_mode=WAL", f"PRAGMA cache_size=-{cache_kib}", pragma):
            connection.execute(statement)

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
