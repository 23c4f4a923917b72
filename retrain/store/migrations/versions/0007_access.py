"""Who may come in: tokens that people make, sessions of the page, people as their login names them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tokens()
    _sessions()
    op.create_table(
        "people",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="who it is, as the issuer tells people apart"),
        sa.Column("roles", sa.Text(), nullable=False, comment="as the groups of the last login gave them"),
        sa.Column("seen", sa.BigInteger(), nullable=False, comment="the last login"),
        sa.PrimaryKeyConstraint("name", name="pk_people"),
    )
    op.create_index("ix_audit_actor", "audit", ["actor"])
    op.create_index("ix_audit_action", "audit", ["action"])


def downgrade() -> None:
    op.drop_index("ix_audit_action", "audit")
    op.drop_index("ix_audit_actor", "audit")
    for table in ("people", "sessions", "tokens"):
        op.drop_table(table)


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the token, in hex"),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False, comment="who has made it"),
        sa.Column("kind", sa.Text(), nullable=False, comment="person or service"),
        sa.Column("roles", sa.Text(), nullable=False, comment="its scopes: at most the owner's roles count"),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=True, comment="to the minute"),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("parent", sa.Text(), nullable=True, comment="the token that has made it"),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.create_index("ix_tokens_owner", "tokens", ["owner"])
    op.create_index("ix_tokens_created", "tokens", ["created"])


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the cookie, in hex"),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("stands_for", sa.Text(), nullable=False, comment="what it began with, and what ends it"),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False, comment="to the minute"),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("digest", name="uq_sessions_digest"),
    )
    op.create_index("ix_sessions_person", "sessions", ["person"])
    op.create_index("ix_sessions_expires", "sessions", ["expires"])
