"""What promotions know after their commit: the pull request, the step of a canary, what was verified"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS: dict[str, sa.Column[str] | sa.Column[int]] = {
    "pull": sa.Column("pull", sa.Text(), nullable=True, comment="the pull request: number, url, branch, head"),
    "step": sa.Column(
        "step", sa.Integer(), nullable=False, server_default="0", comment="which step of its canary is in the branch"
    ),
    "verification": sa.Column(
        "verification", sa.Text(), nullable=True, comment="what was seen after the commit: since, until, checks"
    ),
}


def upgrade() -> None:
    for column in _COLUMNS.values():
        op.add_column("promotions", column)


def downgrade() -> None:
    with op.batch_alter_table("promotions") as batch_op:
        for name in _COLUMNS:
            batch_op.drop_column(name)
