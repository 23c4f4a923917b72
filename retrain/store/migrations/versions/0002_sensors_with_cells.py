"""Sensors with cells, timers and lanes; decisions of timers; order and priority of firings and runs"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_JOINED = """
UPDATE sensors SET joined = 0 WHERE state LIKE '%"joined"_false%'
"""
"""Whether a sensor still read the past stood in its state, as compact JSON."""


def upgrade() -> None:
    _firings_and_runs()
    _decisions()
    _sensors()
    _cells()


def _firings_and_runs() -> None:
    for table, names in (("firings", ("tracked", "priority", "ordered")), ("runs", ("priority",))):
        for name in names:
            op.add_column(table, sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    where = sa.text("ordered <> 0")
    op.create_index(
        "ix_firings_ordered",
        "firings",
        ["sensor", "trigger", "key", "created"],
        sqlite_where=where,
        postgresql_where=where,
    )


def _decisions() -> None:
    with op.batch_alter_table("decisions") as batch_op:
        batch_op.alter_column("event_key", existing_type=sa.Text(), nullable=True, comment="none: a timer decided")
        batch_op.add_column(sa.Column("trigger", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("key", sa.Text(), server_default="", nullable=False))


def _sensors() -> None:
    op.add_column(
        "cursors",
        sa.Column(
            "now", sa.BigInteger(), nullable=True, comment="how far the time of the log has come with this reader"
        ),
    )
    op.add_column(
        "cursors",
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False, comment="grows with every move"),
    )
    with op.batch_alter_table("sensors") as batch_op:
        batch_op.alter_column(
            "state",
            existing_type=sa.Text(),
            nullable=True,
            comment="what a Retrain before windows kept; becomes cells when the sensor runs next",
        )
        batch_op.add_column(
            sa.Column("joined", sa.Integer(), server_default="1", nullable=False, comment="1: it reads with the cursor")
        )
        batch_op.add_column(
            sa.Column(
                "shape", sa.Text(), nullable=True, comment="digests of its parts, as far as they matter to its cells"
            )
        )
        batch_op.add_column(
            sa.Column(
                "now",
                sa.BigInteger(),
                nullable=True,
                comment="the time of the log at `position`, for one that has not joined",
            )
        )
        batch_op.add_column(
            sa.Column(
                "removed",
                sa.BigInteger(),
                nullable=True,
                comment="since when no manifest has it; its cells are set aside",
            )
        )
    op.execute(_JOINED)


def _cells() -> None:
    op.create_table(
        "sensor_cells",
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "timeline",
            sa.Integer(),
            nullable=True,
            comment="whose timers: 0 of the live log, 1 of the past; none: they stand still",
        ),
        sa.Column("due", sa.BigInteger(), nullable=True, comment="when a timer looks at it"),
        sa.Column(
            "expires", sa.BigInteger(), nullable=True, comment="when it may be deleted; nobody decides anything then"
        ),
        sa.Column("retired", sa.BigInteger(), nullable=True, comment="since when its part is in no manifest"),
        sa.Column("body", sa.Text(), nullable=False, comment="the cell without its members, as JSON"),
        sa.Column(
            "members", sa.Text(), nullable=True, comment="the members that are not in sensor_members, as a JSON list"
        ),
        sa.Column("chunked", sa.Integer(), server_default="0", nullable=False, comment="members in sensor_members"),
        sa.PrimaryKeyConstraint("sensor", "kind", "part", "key", name=op.f("pk_sensor_cells")),
        sqlite_with_rowid=False,
    )
    for name, columns in (("due", ["timeline", "due"]), ("expires", ["expires"]), ("retired", ["retired"])):
        where = sa.text(f"{name} IS NOT NULL")
        op.create_index(f"ix_sensor_cells_{name}", "sensor_cells", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "sensor_members",
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False, comment="number of its first member, from 0"),
        sa.Column("body", sa.Text(), nullable=False, comment="a JSON list of members"),
        sa.PrimaryKeyConstraint("sensor", "kind", "part", "key", "seq", name=op.f("pk_sensor_members")),
    )


def downgrade() -> None:
    op.drop_table("sensor_members")
    for name in ("retired", "expires", "due"):
        op.drop_index(f"ix_sensor_cells_{name}", "sensor_cells")
    op.drop_table("sensor_cells")
    op.execute("UPDATE sensors SET state = '{}' WHERE state IS NULL")
    with op.batch_alter_table("sensors") as batch_op:
        for name in ("removed", "now", "shape", "joined"):
            batch_op.drop_column(name)
        batch_op.alter_column("state", existing_type=sa.Text(), nullable=False)
    for name in ("version", "now"):
        with op.batch_alter_table("cursors") as batch_op:
            batch_op.drop_column(name)
    op.execute("DELETE FROM decisions WHERE event_key IS NULL")
    with op.batch_alter_table("decisions") as batch_op:
        for name in ("key", "trigger"):
            batch_op.drop_column(name)
        batch_op.alter_column("event_key", existing_type=sa.Text(), nullable=False)
    op.drop_index("ix_firings_ordered", "firings")
    for table, names in (("runs", ("priority",)), ("firings", ("ordered", "priority", "tracked"))):
        with op.batch_alter_table(table) as batch_op:
            for name in names:
                batch_op.drop_column(name)
