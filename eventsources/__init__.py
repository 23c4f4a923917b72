"""The outside world becomes events here: one file for each kind of source, and a host that keeps them running.

`spec.py` is what the user writes, `port.py` what a kind is and gets, `host.py` starts, watches over and reloads them.
What an event means to anybody is none of this room's business.
"""

from __future__ import annotations

from eventsources.host.settings import SourceSettings
from eventsources.host.source_host import SourceHost, Tools
from eventsources.http.door import WebhookApp
from eventsources.kinds import KINDS
from eventsources.port import Kind, Secrets, Source, SourceContext, SourceState, Status
from eventsources.spec import EventSourceDocument, check

__all__ = [
    "KINDS",
    "EventSourceDocument",
    "Kind",
    "Secrets",
    "Source",
    "SourceContext",
    "SourceHost",
    "SourceSettings",
    "SourceState",
    "Status",
    "Tools",
    "WebhookApp",
    "check",
]
