"""Indices that the views of a full store stand on"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ENDED = sa.text("state NOT IN ('pending', 'running', 'done')")
_LEFT = sa.text("redriven IS NULL")
_PLAIN = (
    ("event_refs", "base"),
    ("event_refs", "event_key"),
    ("runs", "phase", "created"),
    ("runs", "workflow", "created"),
)


def upgrade() -> None:
    told = "the last part of the name, behind its last /"
    op.add_column("event_refs", sa.Column("base", sa.Text(), nullable=False, server_default="", comment=told))
    # What is left of the name when all letters but slashes are taken from its end ends with the last slash.
    op.execute("UPDATE event_refs SET base = substr(ref, length(rtrim(ref, replace(ref, '/', ''))) + 1)")
    for table, *columns in _PLAIN:
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)
    columns = ["state", "created"]
    op.create_index("ix_firings_ended", "firings", columns, sqlite_where=_ENDED, postgresql_where=_ENDED)
    op.create_index("ix_deadletters_left", "deadletters", ["created"], sqlite_where=_LEFT, postgresql_where=_LEFT)


def downgrade() -> None:
    op.drop_index("ix_deadletters_left", "deadletters")
    op.drop_index("ix_firings_ended", "firings")
    for table, *columns in _PLAIN:
        op.drop_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table)
    with op.batch_alter_table("event_refs") as batch_op:
        batch_op.drop_column("base")
