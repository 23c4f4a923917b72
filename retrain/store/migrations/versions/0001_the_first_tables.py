"""The first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "deadletters",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("redriven", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deadletters")),
    )
    with op.batch_alter_table("deadletters") as batch_op:
        batch_op.create_index(batch_op.f("ix_deadletters_created"), ["created"], unique=False)

    op.create_table(
        "decisions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("dependency", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    with op.batch_alter_table("decisions") as batch_op:
        batch_op.create_index(batch_op.f("ix_decisions_event_key"), ["event_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_decisions_sensor_id"), ["sensor", "id"], unique=False)

    op.create_table(
        "event_refs",
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ref", "event_key", name=op.f("pk_event_refs")),
    )
    op.create_table(
        "events",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True, comment="the run or promotion that this event tells of"),
        sa.Column("body", sa.Text(), nullable=False, comment="the CloudEvent in structured JSON"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_events")),
        sa.UniqueConstraint("position", name=op.f("uq_events_position")),
    )
    with op.batch_alter_table("events") as batch_op:
        batch_op.create_index(batch_op.f("ix_events_cause"), ["cause"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_events_source_subject_position"), ["source", "subject", "position"], unique=False
        )

    op.create_table(
        "firing_events",
        sa.Column("firing_id", sa.Text(), nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("firing_id", "event_key", name=op.f("pk_firing_events")),
    )
    with op.batch_alter_table("firing_events") as batch_op:
        batch_op.create_index(batch_op.f("ix_firing_events_event_key"), ["event_key"], unique=False)

    op.create_table(
        "firings",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sensor", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("depth", sa.Integer(), server_default="0", nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("next_attempt", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("finished", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_firings")),
    )
    with op.batch_alter_table("firings") as batch_op:
        batch_op.create_index(batch_op.f("ix_firings_created"), ["created"], unique=False)
        batch_op.create_index(batch_op.f("ix_firings_sensor_created"), ["sensor", "created"], unique=False)
        batch_op.create_index(batch_op.f("ix_firings_state_next_attempt"), ["state", "next_attempt"], unique=False)

    op.create_table(
        "holds",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "environment", name=op.f("pk_holds")),
    )
    op.create_table(
        "nodes",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "node_id", name=op.f("pk_nodes")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("event", sa.Text(), nullable=False, comment="the CloudEvent in structured JSON"),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_table(
        "promotions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("intent_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("candidate", sa.Text(), nullable=False),
        sa.Column("gates", sa.Text(), nullable=True),
        sa.Column("changes", sa.Text(), nullable=True),
        sa.Column("diff", sa.Text(), nullable=True),
        sa.Column("base_sha", sa.Text(), nullable=True),
        sa.Column("commit_sha", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("firing_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("depth", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
    )
    with op.batch_alter_table("promotions") as batch_op:
        batch_op.create_index(batch_op.f("ix_promotions_commit_sha"), ["commit_sha"], unique=False)
        batch_op.create_index(batch_op.f("ix_promotions_created"), ["created"], unique=False)
        batch_op.create_index(batch_op.f("ix_promotions_firing_id"), ["firing_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_promotions_intent_key"), ["intent_key"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_promotions_name_environment_created"), ["name", "environment", "created"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_promotions_run_id"), ["run_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_promotions_state_next_attempt"), ["state", "next_attempt"], unique=False)

    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("firing_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column(
            "templates",
            sa.Text(),
            nullable=True,
            comment="the documents that the manifest names, as they were when the run began",
        ),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("depth", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=True),
        sa.Column("finished", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outputs", sa.Text(), nullable=True),
        sa.Column("control", sa.Text(), nullable=True, comment="what a person asked for: stop or terminate"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("firing_id", name=op.f("uq_runs_firing_id")),
    )
    with op.batch_alter_table("runs") as batch_op:
        batch_op.create_index(batch_op.f("ix_runs_created"), ["created"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_name"), ["name"], unique=False)
        batch_op.create_index(batch_op.f("ix_runs_phase_lease_until"), ["phase", "lease_until"], unique=False)

    op.create_table(
        "sensors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sensors")),
    )


def downgrade() -> None:
    op.drop_table("sensors")
    with op.batch_alter_table("runs") as batch_op:
        batch_op.drop_index(batch_op.f("ix_runs_phase_lease_until"))
        batch_op.drop_index(batch_op.f("ix_runs_name"))
        batch_op.drop_index(batch_op.f("ix_runs_created"))

    op.drop_table("runs")
    with op.batch_alter_table("promotions") as batch_op:
        batch_op.drop_index(batch_op.f("ix_promotions_state_next_attempt"))
        batch_op.drop_index(batch_op.f("ix_promotions_run_id"))
        batch_op.drop_index(batch_op.f("ix_promotions_name_environment_created"))
        batch_op.drop_index(batch_op.f("ix_promotions_intent_key"))
        batch_op.drop_index(batch_op.f("ix_promotions_firing_id"))
        batch_op.drop_index(batch_op.f("ix_promotions_created"))
        batch_op.drop_index(batch_op.f("ix_promotions_commit_sha"))

    op.drop_table("promotions")
    op.drop_table("outbox")
    op.drop_table("nodes")
    op.drop_table("holds")
    with op.batch_alter_table("firings") as batch_op:
        batch_op.drop_index(batch_op.f("ix_firings_state_next_attempt"))
        batch_op.drop_index(batch_op.f("ix_firings_sensor_created"))
        batch_op.drop_index(batch_op.f("ix_firings_created"))

    op.drop_table("firings")
    with op.batch_alter_table("firing_events") as batch_op:
        batch_op.drop_index(batch_op.f("ix_firing_events_event_key"))

    op.drop_table("firing_events")
    with op.batch_alter_table("events") as batch_op:
        batch_op.drop_index(batch_op.f("ix_events_source_subject_position"))
        batch_op.drop_index(batch_op.f("ix_events_cause"))

    op.drop_table("events")
    op.drop_table("event_refs")
    with op.batch_alter_table("decisions") as batch_op:
        batch_op.drop_index(batch_op.f("ix_decisions_sensor_id"))
        batch_op.drop_index(batch_op.f("ix_decisions_event_key"))

    op.drop_table("decisions")
    with op.batch_alter_table("deadletters") as batch_op:
        batch_op.drop_index(batch_op.f("ix_deadletters_created"))

    op.drop_table("deadletters")
    op.drop_table("cursors")
    op.drop_table("checkpoints")
