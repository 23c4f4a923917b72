"""Alembic's entry: runs the migrations on the connection that `retrain.store.schema` hands over."""

from __future__ import annotations

from alembic import context

from retrain.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
