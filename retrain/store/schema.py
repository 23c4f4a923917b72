"""The schema's version: brought up to date when the store is opened, and never touched by an older program."""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, Engine

from retrain.errors import ConfigError

HEAD = "0010"
"""The newest revision in `migrations/versions`; a test holds the two together. Known here so that an up-to-date store
opens without loading Alembic."""


_MIGRATING = threading.Lock()
"""Alembic keeps its context in globals: two stores of one process are migrated one after the other."""


def migrate(engine: Engine, path: Path) -> None:
    """Bring the store to `HEAD`. Several processes may do so at once: the first does it, the others find it done.

    Raises:
        ConfigError: a newer Retrain has made the store; the message names both revisions.
    """
    with _MIGRATING, engine.begin() as connection:
        found = revision(connection)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise ConfigError(
                f"{path}: its schema is revision {found}, and this Retrain knows up to {HEAD}; "
                "use the newer Retrain that wrote it"
            )
        _upgrade(connection)


def revision(connection: Connection) -> str | None:
    """The schema's revision; None in an empty file."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _upgrade(connection: Connection) -> None:
    # Imported here: 100 ms that an up-to-date store need not pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
