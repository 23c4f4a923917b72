"""Whole workflows: edges apart from nodes, requests of runs, locks, memos, objects, crons"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_RUN_INDEXES = (("parent", ["parent", "created"]), ("expires", ["expires"]), ("finished", ["finished"]))
_RUN_COLUMNS = ("parent", "parked", "wake", "expires", "pods")

_PARK = """
UPDATE runs SET parked = 1 WHERE control = 'suspend' AND owner IS NULL AND phase IN ('Pending', 'Running')
"""
_ASK_AGAIN = """
INSERT INTO run_requests (run_id, body)
SELECT id, '{"verb":"' || control || '"}' FROM runs
WHERE control IS NOT NULL AND parked = 0 AND phase IN ('Pending', 'Running')
""".replace('_"', '\\:"')
"""What was asked for and perhaps not heard is asked for again; twice is once."""


def upgrade() -> None:
    comments = {
        "parent": "whose child it is: CronWorkflow/<namespace>/<name> or Workflow/<run id>",
        "wake": "when somebody looks at a parked run, whether it is asked for or not",
        "expires": "when a run that is over may be deleted; none: it is kept",
    }
    for name, comment in comments.items():
        kind = sa.Text() if name == "parent" else sa.BigInteger()
        op.add_column("runs", sa.Column(name, kind, nullable=True, comment=comment))
    parked = sa.Column("parked", sa.Integer(), nullable=False, server_default="0", comment="1: nobody works on it")
    op.add_column("runs", parked)
    pods = sa.Column("pods", sa.Text(), nullable=False, server_default="", comment="pending/running/completed ones")
    op.add_column("runs", pods)
    for name, columns in _RUN_INDEXES:
        where = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_runs_{name}", "runs", columns, sqlite_where=where, postgresql_where=where)
    with op.batch_alter_table("runs") as batch_op:
        batch_op.alter_column(
            "control",
            existing_type=sa.Text(),
            comment="what was asked of the whole run last: stop, terminate, suspend or resume",
        )
    op.execute(_PARK)
    _edges()
    _requests()
    _keepers()
    _crons()


def _edges() -> None:
    """Children leave the nodes, one run after the other: a store may hold more nodes than memory."""
    edges = op.create_table(
        "run_edges",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False, comment="from 0, in the order in which they were made"),
        sa.Column("parent", sa.Text(), nullable=False),
        sa.Column("child", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_run_edges")),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    bare = sa.text("UPDATE nodes SET body = :body WHERE run_id = :run AND node_id = :node")
    for run_id in list(connection.execute(sa.text("SELECT DISTINCT run_id FROM nodes")).scalars()):
        found: list[dict[str, object]] = []
        changed: list[dict[str, object]] = []
        select = sa.text("SELECT node_id, body FROM nodes WHERE run_id = :run ORDER BY node_id")
        for node_id, text in connection.execute(select, {"run": run_id}).all():
            body = json.loads(text)
            children = body.pop("children", None) or []
            if children:
                changed.append({"run": run_id, "node": node_id, "body": json.dumps(body, separators=(",", ":"))})
            for child in children:
                found.append({"run_id": run_id, "position": len(found), "parent": node_id, "child": child})
        if found:
            connection.execute(edges.insert(), found)
            connection.execute(bare, changed)


def _requests() -> None:
    op.create_table(
        "run_requests",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="a request as `pipelines.host.requests` writes it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_requests")),
    )
    op.create_index("ix_run_requests_run_id_id", "run_requests", ["run_id", "id"])
    op.execute(_ASK_AGAIN)


def _keepers() -> None:
    op.create_table(
        "locks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False, comment="a node of the run, or empty for the run itself"),
        sa.Column("lock_limit", sa.Integer(), server_default="1", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False, comment="when the run was"),
        sa.Column("asked", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), comment="none: it waits"),
        sa.PrimaryKeyConstraint("name", "run_id", "holder", name=op.f("pk_locks")),
    )
    op.create_index("ix_locks_run_id_holder", "locks", ["run_id", "holder"])
    op.create_index("ix_locks_queue", "locks", ["name", "granted", sa.text("priority DESC"), "created", "asked"])
    op.create_table(
        "memos",
        sa.Column("cache", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("last_hit", sa.BigInteger()),
        sa.PrimaryKeyConstraint("cache", "key", name=op.f("pk_memos")),
    )
    op.create_index("ix_memos_created", "memos", ["created"])
    op.create_table(
        "objects",
        sa.Column("api_version", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="1", nullable=False, comment="grows with every change"),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("api_version", "kind", "namespace", "name", name=op.f("pk_objects")),
    )


def _crons() -> None:
    op.create_table(
        "crons",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="when it was first seen: no earlier tick counts"),
        sa.Column("last_scheduled", sa.BigInteger(), comment="the newest tick that a run was made for"),
        sa.Column("looked", sa.BigInteger(), nullable=False, comment="ticks up to here are dealt with"),
        sa.Column("phase", sa.Text(), server_default="Active", nullable=False),
        sa.Column("succeeded", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("digest", sa.Text(), server_default="", nullable=False, comment="of its schedules and time zone"),
        sa.Column("suspended_by", sa.Text(), comment="who has suspended it; NULL: nobody but perhaps its document"),
        sa.Column("skipped", sa.BigInteger(), comment="the newest tick that became no run"),
        sa.Column("skipped_why", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("namespace", "name", name=op.f("pk_crons")),
    )


def downgrade() -> None:
    connection = op.get_bind()
    select = sa.text("SELECT run_id, parent, child FROM run_edges ORDER BY run_id, position")
    children: dict[tuple[str, str], list[str]] = {}
    for run_id, parent, child in connection.execute(select):
        children.setdefault((run_id, parent), []).append(child)
    for (run_id, parent), below in children.items():
        where = {"run": run_id, "node": parent}
        body = connection.execute(
            sa.text("SELECT body FROM nodes WHERE run_id = :run AND node_id = :node"), where
        ).scalar()
        if body is not None:
            text = json.dumps({**json.loads(body), "children": below}, separators=(",", ":"))
            connection.execute(
                sa.text("UPDATE nodes SET body = :body WHERE run_id = :run AND node_id = :node"),
                {**where, "body": text},
            )
    for table in ("crons", "objects", "memos", "locks", "run_requests", "run_edges"):
        op.drop_table(table)
    for name, _ in _RUN_INDEXES:
        op.drop_index(f"ix_runs_{name}", "runs")
    with op.batch_alter_table("runs") as batch_op:
        for column in _RUN_COLUMNS:
            batch_op.drop_column(column)
        batch_op.alter_column("control", existing_type=sa.Text(), comment="what a person asked for: stop or terminate")
