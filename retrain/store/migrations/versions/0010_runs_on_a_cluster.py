"""Runs that a cluster works on"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "runs",
        sa.Column("engine", sa.Text(), nullable=False, server_default="local", comment="local, argo or object"),
    )
    op.add_column(
        "runs",
        sa.Column(
            "object", sa.Text(), comment="metadata and status of its object on a cluster, without nodes, as last seen"
        ),
    )
    elsewhere = sa.text("engine <> 'local'")
    op.create_index(
        "ix_runs_elsewhere", "runs", ["engine", "phase"], sqlite_where=elsewhere, postgresql_where=elsewhere
    )


def downgrade() -> None:
    op.drop_index("ix_runs_elsewhere", "runs")
    with op.batch_alter_table("runs") as table:
        table.drop_column("object")
        table.drop_column("engine")
