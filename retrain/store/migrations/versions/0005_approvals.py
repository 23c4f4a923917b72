"""Approvals and the audit record; what promotions remember of each other and wait for"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_COLUMNS: dict[str, sa.Column[str] | sa.Column[int]] = {
    "parent": sa.Column(
        "parent", sa.Text(), nullable=True, comment="the promotion of the same model to the environment before"
    ),
    "retry_of": sa.Column(
        "retry_of", sa.Text(), nullable=True, comment="the promotion that a person has asked for again"
    ),
    "actor": sa.Column(
        "actor", sa.Text(), nullable=False, server_default="", comment="who has proposed it; empty: automation"
    ),
    "route": sa.Column(
        "route", sa.Text(), nullable=True, comment="the promotion's environments in order, as it was proposed"
    ),
    "subject": sa.Column(
        "subject", sa.Text(), nullable=True, comment="the digest of what approvals bind to, as it was looked at last"
    ),
    "waiting": sa.Column("waiting", sa.Text(), nullable=True, comment="what it waits for: for, due, have, need, roles"),
    "ended": sa.Column("ended", sa.BigInteger(), nullable=True, comment="when it reached a state that is not open"),
}


def upgrade() -> None:
    for column in _COLUMNS.values():
        op.add_column("promotions", column)
    op.create_index("ix_promotions_parent", "promotions", ["parent"])
    op.execute("UPDATE promotions SET ended = updated WHERE state NOT IN ('proposed', 'gating', 'committing')")
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("promotion", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="the digest of what was decided on"),
        sa.Column("decision", sa.Text(), nullable=False, comment="approve or reject"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("verified", sa.Integer(), nullable=False, comment="1: a token said who it was"),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_promotion", "approvals", ["promotion"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("verified", sa.Integer(), nullable=False, comment="1: a token said who it was"),
        sa.Column("action", sa.Text(), nullable=False, comment="such as promotions.approve"),
        sa.Column("subject", sa.Text(), nullable=False, comment="what it was done to"),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False, server_default="", comment="the address it came from"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_subject", "audit", ["subject"])


def downgrade() -> None:
    op.drop_table("audit")
    op.drop_table("approvals")
    op.drop_index("ix_promotions_parent", "promotions")
    with op.batch_alter_table("promotions") as batch_op:
        for name in _COLUMNS:
            batch_op.drop_column(name)
