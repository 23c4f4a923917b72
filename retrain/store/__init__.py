"""The platform's memory: events seen, decisions, firings, runs, promotions, in one SQL database.

`open_store` gives a `Store`; the modules beside it hold plain functions that take a connection first, one module for
each table, so that several of them make one transaction:

    await store.write(lambda c: (firings.add(c, rows), cursors.save(c, "sensors", position)))
"""

from retrain.store.database import Store, open_store, reading
from retrain.store.signals import Signals

__all__ = ["Signals", "Store", "open_store", "reading"]
