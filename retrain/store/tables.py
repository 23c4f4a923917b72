"""The tables, and the two column types they need. What SQLite and PostgreSQL both can; history is in `migrations/`.

Times are microseconds since 1970 in one integer: exact, sortable and the same in every database. JSON is text.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_microseconds(time: datetime) -> int:
    """An aware time as whole microseconds since 1970."""
    past = time - _EPOCH
    return (past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds


def from_microseconds(value: int) -> datetime:
    """Microseconds since 1970 as an aware time in UTC."""
    return _EPOCH + timedelta(microseconds=value)


class Time(TypeDecorator[datetime]):
    """An aware time, kept as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else from_microseconds(value)


def dumps(value: Any) -> str:
    """A JSON value as the database keeps it."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


class Json(TypeDecorator[Any]):
    """Any JSON value as compact text. Python's None is SQL's NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


_DUE = text("due IS NOT NULL")
_EXPIRES = text("expires IS NOT NULL")
_RETIRED = text("retired IS NOT NULL")
_ORDERED = text("ordered <> 0")
_PARENT = text("parent IS NOT NULL")
_FINISHED = text("finished IS NOT NULL")
_ELSEWHERE = text("engine <> 'local'")
_ENDED = text("state NOT IN ('pending', 'running', 'done')")
_LEFT = text("redriven IS NULL")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, default=0, server_default="0")


def _leased() -> list[Column[Any]]:
    """Who works on the row, and until when nobody else may take it."""
    return [Column("owner", Text), Column("lease_until", Time)]


events = Table(
    "events",
    metadata,
    Column("key", Text, primary_key=True),
    _text("id"),
    _text("source"),
    Column("subject", Text),
    _text("type"),
    Column("time", Time),
    Column("position", BigInteger, nullable=False, unique=True),
    Column("received", Time, nullable=False),
    Column("cause", Text, comment="the run or promotion that this event tells of"),
    Column("body", Text, nullable=False, comment="the CloudEvent in structured JSON"),
    Index(None, "cause"),
    Index(None, "source", "subject", "position"),
)
"""Every event that the log has shown, once. The log forgets first."""

event_refs = Table(
    "event_refs",
    metadata,
    Column("ref", Text, primary_key=True),
    Column("event_key", Text, primary_key=True),
    Column("base", Text, nullable=False, server_default="", comment="the last part of the name, behind its last /"),
    Index(None, "base"),
    Index(None, "event_key"),
)
"""Names of things that an event tells of (`s3://bucket/key`, a path), so that `trace` finds the event by them."""

cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("now", Time, comment="how far the time of the log has come with this reader"),
    Column("version", BigInteger, nullable=False, default=0, server_default="0", comment="grows with every move"),
)

sensors = Table(
    "sensors",
    metadata,
    Column("name", Text, primary_key=True),
    _text("digest"),
    Column("position", BigInteger, nullable=False),
    Column("state", Json, comment="what a Retrain before windows kept; becomes cells when the sensor runs next"),
    Column("updated", Time, nullable=False),
    Column("joined", Integer, nullable=False, default=1, server_default="1", comment="1: it reads with the cursor"),
    Column("shape", Json, comment="digests of its parts, as far as they matter to its cells"),
    Column("now", Time, comment="the time of the log at `position`, for one that has not joined"),
    Column("removed", Time, comment="since when no manifest has it; its cells are set aside"),
)

sensor_cells = Table(
    "sensor_cells",
    metadata,
    Column("sensor", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("timeline", Integer, comment="whose timers: 0 of the live log, 1 of the past; none: they stand still"),
    Column("due", Time, comment="when a timer looks at it"),
    Column("expires", Time, comment="when it may be deleted; nobody decides anything then"),
    Column("retired", Time, comment="since when its part is in no manifest"),
    Column("body", Text, nullable=False, comment="the cell without its members, as JSON"),
    Column("members", Text, comment="the members that are not in sensor_members, as a JSON list"),
    Column("chunked", Integer, nullable=False, default=0, server_default="0", comment="members in sensor_members"),
    Index("ix_sensor_cells_due", "timeline", "due", sqlite_where=_DUE, postgresql_where=_DUE),
    Index("ix_sensor_cells_expires", "expires", sqlite_where=_EXPIRES, postgresql_where=_EXPIRES),
    Index("ix_sensor_cells_retired", "retired", sqlite_where=_RETIRED, postgresql_where=_RETIRED),
    sqlite_with_rowid=False,  # one tree instead of two: cells are small, and asked for by their whole key
)
"""What sensors keep in mind: one row for each thing that is waited for, by key. Never read as a whole."""

sensor_members = Table(
    "sensor_members",
    metadata,
    Column("sensor", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("part", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, comment="number of its first member, from 0"),
    Column("body", Text, nullable=False, comment="a JSON list of members"),
)
"""Members of cells that hold many: written once, when they come."""

decisions = Table(
    "decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("event_key", Text, comment="none: a timer decided"),
    _text("sensor"),
    Column("dependency", Text),
    _text("outcome"),
    _text("reason"),
    Column("detail", Json),
    Column("time", Time, nullable=False),
    Column("trigger", Text),
    Column("key", Text, nullable=False, default="", server_default=""),
    Index(None, "event_key"),
    Index(None, "sensor", "id"),
)

firings = Table(
    "firings",
    metadata,
    Column("id", Text, primary_key=True),
    _text("sensor"),
    _text("trigger"),
    _text("key"),
    _text("state"),
    _count("attempts"),
    _count("depth"),
    Column("action", Json, nullable=False),
    Column("created", Time, nullable=False),
    Column("next_attempt", Time, nullable=False),
    *_leased(),
    Column("result", Json),
    Column("error", Text),
    Column("finished", Time),
    _count("tracked"),
    _count("priority"),
    _count("ordered"),
    Index(None, "state", "next_attempt"),
    Index(None, "created"),
    Index(None, "sensor", "created"),
    # Of the few that did not end well: the many others are no more work for it.
    Index("ix_firings_ended", "state", "created", sqlite_where=_ENDED, postgresql_where=_ENDED),
    Index(
        "ix_firings_ordered", "sensor", "trigger", "key", "created", sqlite_where=_ORDERED, postgresql_where=_ORDERED
    ),
)

firing_events = Table(
    "firing_events",
    metadata,
    Column("firing_id", Text, primary_key=True),
    Column("event_key", Text, primary_key=True),
    _count("ordinal"),
    Index(None, "event_key"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("firing_id", Text, unique=True),
    _text("name"),
    _text("namespace"),
    _text("workflow"),
    Column("manifest", Json, nullable=False),
    Column("templates", Json, comment="the documents that the manifest names, as they were when the run began"),
    Column("labels", Json, nullable=False),
    _text("phase"),
    _text("message"),
    _count("depth"),
    Column("created", Time, nullable=False),
    Column("started", Time),
    Column("finished", Time),
    *_leased(),
    _count("attempts"),
    Column("outputs", Json),
    Column("control", Text, comment="what was asked of the whole run last: stop, terminate, suspend or resume"),
    _count("priority"),
    Column("parent", Text, comment="whose child it is: CronWorkflow/<namespace>/<name> or Workflow/<run id>"),
    Column("parked", Integer, nullable=False, default=0, server_default="0", comment="1: nobody works on it"),
    Column("wake", Time, comment="when somebody looks at a parked run, whether it is asked for or not"),
    Column("expires", Time, comment="when a run that is over may be deleted; none: it is kept"),
    Column("pods", Text, nullable=False, default="", server_default="", comment="pending/running/completed ones"),
    Column("engine", Text, nullable=False, default="local", server_default="local", comment="local, argo or object"),
    Column("object", Json, comment="metadata and status of its object on a cluster, without nodes, as last seen"),
    Index(None, "phase", "lease_until"),
    Index(None, "phase", "created"),
    Index(None, "workflow", "created"),
    Index(None, "created"),
    Index(None, "name"),
    Index("ix_runs_parent", "parent", "created", sqlite_where=_PARENT, postgresql_where=_PARENT),
    Index("ix_runs_expires", "expires", sqlite_where=_EXPIRES, postgresql_where=_EXPIRES),
    Index("ix_runs_finished", "finished", sqlite_where=_FINISHED, postgresql_where=_FINISHED),
    Index("ix_runs_elsewhere", "engine", "phase", sqlite_where=_ELSEWHERE, postgresql_where=_ELSEWHERE),
)

nodes = Table(
    "nodes",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("node_id", Text, primary_key=True),
    Column("body", Json, nullable=False),
)

run_edges = Table(
    "run_edges",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True, comment="from 0, in the order in which they were made"),
    _text("parent"),
    _text("child"),
    sqlite_with_rowid=False,
)
"""Who was created because which node was there. Appended only: a node with 10,000 children is not written again for
the next."""

run_requests = Table(
    "run_requests",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _text("run_id"),
    Column("body", Json, nullable=False, comment="a request as `pipelines.host.requests` writes it"),
    Index(None, "run_id", "id"),
)
"""What was asked of open runs and is not done yet. A row goes in the transaction that keeps what came of it."""

locks = Table(
    "locks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("holder", Text, primary_key=True, comment="a node of the run, or empty for the run itself"),
    Column("lock_limit", Integer, nullable=False, default=1, server_default="1"),
    _count("priority"),
    Column("created", Time, nullable=False, comment="when the run was"),
    Column("asked", Time, nullable=False),
    Column("granted", Time, comment="none: it waits"),
    Index(None, "run_id", "holder"),
    Index("ix_locks_queue", "name", "granted", text("priority DESC"), "created", "asked"),
)
"""Who holds mutexes and semaphores, and who waits for them. A row goes when the holder lets go."""

memos = Table(
    "memos",
    metadata,
    Column("cache", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _text("node_id"),
    Column("outputs", Json, nullable=False),
    Column("created", Time, nullable=False),
    Column("last_hit", Time),
    Index(None, "created"),
)
"""Outputs of steps that `memoize` remembers."""

objects = Table(
    "objects",
    metadata,
    Column("api_version", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("body", Json, nullable=False),
    Column("version", BigInteger, nullable=False, default=1, server_default="1", comment="grows with every change"),
    Column("updated", Time, nullable=False),
)
"""Objects that `resource` templates have made, as a cluster would hold them."""

crons = Table(
    "crons",
    metadata,
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("since", Time, nullable=False, comment="when it was first seen: no earlier tick counts"),
    Column("last_scheduled", Time, comment="the newest tick that a run was made for"),
    Column("looked", Time, nullable=False, comment="ticks up to here are dealt with"),
    Column("phase", Text, nullable=False, default="Active", server_default="Active"),
    _count("succeeded"),
    _count("failed"),
    Column("message", Text, nullable=False, default="", server_default=""),
    Column("digest", Text, nullable=False, default="", server_default="", comment="of its schedules and time zone"),
    Column("suspended_by", Text, comment="who has suspended it; NULL: nobody but perhaps its document"),
    Column("skipped", Time, comment="the newest tick that became no run"),
    Column("skipped_why", Text, nullable=False, default="", server_default=""),
)
"""What is remembered of CronWorkflows: how far each has come."""

promotions = Table(
    "promotions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("intent_key", Text, nullable=False),
    _text("name"),
    _text("environment"),
    _text("state"),
    _text("action"),
    Column("candidate", Json, nullable=False),
    Column("gates", Json),
    Column("changes", Json),
    Column("diff", Text),
    Column("base_sha", Text),
    Column("commit_sha", Text),
    _text("reason"),
    Column("firing_id", Text),
    Column("run_id", Text),
    _count("depth"),
    Column("created", Time, nullable=False),
    Column("updated", Time, nullable=False),
    *_leased(),
    _count("attempts"),
    Column("next_attempt", Time, nullable=False),
    Column("parent", Text, comment="the promotion of the same model to the environment before"),
    Column("retry_of", Text, comment="the promotion that a person has asked for again"),
    Column(
        "actor", Text, nullable=False, default="", server_default="", comment="who has proposed it; empty: automation"
    ),
    Column("route", Json, comment="the promotion's environments in order, as it was proposed"),
    Column("subject", Text, comment="the digest of what approvals bind to, as it was looked at last"),
    Column("waiting", Json, comment="what it waits for: for, due, have, need, roles"),
    Column("ended", Time, comment="when it reached a state that is not open"),
    Column("pull", Json, comment="the pull request: number, url, branch, head"),
    Column(
        "step",
        Integer,
        nullable=False,
        default=0,
        server_default="0",
        comment="which step of its canary is in the branch",
    ),
    Column("verification", Json, comment="what was seen after the commit: since, until, checks"),
    Column("timings", Json, comment="when its last attempt began, was judged and pushed: for its spans"),
    Index(None, "state", "next_attempt"),
    Index(None, "created"),
    Index(None, "commit_sha"),
    Index(None, "parent"),
    Index(None, "run_id"),
    Index(None, "firing_id"),
    Index(None, "intent_key"),
    Index(None, "name", "environment", "created"),
)

holds = Table(
    "holds",
    metadata,
    Column("name", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    _text("reason"),
    _text("actor"),
    Column("created", Time, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("promotion", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="the digest of what was decided on"),
    Column("decision", Text, nullable=False, comment="approve or reject"),
    Column("actor", Text, nullable=False),
    Column("verified", Integer, nullable=False, comment="1: a token said who it was"),
    Column("roles", Json, nullable=False),
    _text("reason"),
    Column("at", Time, nullable=False),
    Column("expires_at", Time),
    Index(None, "promotion"),
)
"""What people decided on promotions. Rows are added and never changed."""

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Time, nullable=False),
    Column("actor", Text, nullable=False),
    Column("verified", Integer, nullable=False, comment="1: a token said who it was"),
    Column("action", Text, nullable=False, comment="such as promotions.approve"),
    Column("subject", Text, nullable=False, comment="what it was done to"),
    Column("before", Json),
    Column("after", Json),
    _text("reason"),
    Column("origin", Text, nullable=False, default="", server_default="", comment="the address it came from"),
    Index(None, "at"),
    Index(None, "subject"),
    Index(None, "actor"),
    Index(None, "action"),
)
"""What people did. Rows are added and never changed."""

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True, comment="SHA-256 of the token, in hex"),
    _text("label"),
    Column("owner", Text, nullable=False, comment="who has made it"),
    Column("kind", Text, nullable=False, comment="person or service"),
    Column("roles", Json, nullable=False, comment="its scopes: at most the owner's roles count"),
    Column("created", Time, nullable=False),
    Column("expires", Time, nullable=False),
    Column("used", Time, comment="to the minute"),
    Column("revoked", Time),
    Column("parent", Text, comment="the token that has made it"),
    Index(None, "owner"),
    Index(None, "created"),
)
"""Tokens that people make. The token itself is nowhere."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True, comment="SHA-256 of the cookie, in hex"),
    _text("person"),
    Column("stands_for", Text, nullable=False, comment="what it began with, and what ends it"),
    _text("origin"),
    _text("agent"),
    Column("created", Time, nullable=False),
    Column("seen", Time, nullable=False, comment="to the minute"),
    Column("expires", Time, nullable=False),
    Index(None, "person"),
    Index(None, "expires"),
)
"""Who is logged in at the page."""

people = Table(
    "people",
    metadata,
    Column("name", Text, primary_key=True),
    _text("issuer"),
    Column("subject", Text, nullable=False, comment="who it is, as the issuer tells people apart"),
    Column("roles", Json, nullable=False, comment="as the groups of the last login gave them"),
    Column("seen", Time, nullable=False, comment="the last login"),
)
"""People whom a login of theirs has named."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("event", Text, nullable=False, comment="the CloudEvent in structured JSON"),
    Column("created", Time, nullable=False),
)

span_feed = Table(
    "span_feed",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False, comment="event, firing, run or promotion"),
    Column("ref", Text, nullable=False, comment="its key or id"),
)
"""What has become over, and whose spans are still to be sent. Filled by triggers, which are there only while somebody
wants traces (`retrain.store.span_feed`): in the transaction that ends the thing, so none is forgotten."""

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Json, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", Time, nullable=False, comment="after this it is anybody's"),
)

deadletters = Table(
    "deadletters",
    metadata,
    Column("id", Text, primary_key=True),
    _text("kind"),
    _text("origin"),
    _text("reason"),
    Column("body", LargeBinary, nullable=False),
    Column("created", Time, nullable=False),
    Column("redriven", Time),
    Index(None, "created"),
    Index("ix_deadletters_left", "created", sqlite_where=_LEFT, postgresql_where=_LEFT),
)
