"""The trace that things belong to"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "span_feed",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="event, firing, run or promotion"),
        sa.Column("ref", sa.Text(), nullable=False, comment="its key or id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_span_feed")),
    )
    timings = sa.Column(
        "timings", sa.Text(), comment="when its last attempt began, was judged and pushed: for its spans"
    )
    op.add_column("promotions", timings)


def downgrade() -> None:
    with op.batch_alter_table("promotions") as table:
        table.drop_column("timings")
    op.drop_table("span_feed")
