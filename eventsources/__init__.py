"""The outside world becomes events here: one file for each kind of source, and a host that keeps them running.

`spec.py` is what the user writes, `port.py` what a kind is and gets, `host.py` starts, watches over and reloads them.
What an event means to anybody is none of this room's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrain.lazily import lazily

if TYPE_CHECKING:
    from eventsources.host.settings import SourceSettings
    from eventsources.host.source_host import SourceHost, Tools
    from eventsources.http.door import WebhookApp
    from eventsources.kinds import KINDS
    from eventsources.port import Kind, Secrets, Source, SourceContext, SourceState, Status
    from eventsources.spec import EventSourceDocument, check

# What runs sources brings a bus and a database with it: whoever only reads manifests does not pay for that.
__getattr__ = lazily(
    __name__,
    {
        **dict.fromkeys(("EventSourceDocument", "check"), "spec"),
        **dict.fromkeys(("Kind", "Secrets", "Source", "SourceContext", "SourceState", "Status"), "port"),
        **dict.fromkeys(("SourceHost", "Tools"), "host.source_host"),
        "KINDS": "kinds",
        "SourceSettings": "host.settings",
        "WebhookApp": "http.door",
    },
)

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
