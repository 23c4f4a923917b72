"""Firing -> action. One file for each kind of action, and the dispatcher that lets them act.

A kind acts on the world (`Trigger`) or writes to the store (`StoreTrigger`); `KINDS` maps its name in a sensor's
manifest to the function that opens it. Third parties add kinds through the entry-point group `retrain.triggers`.
"""

from triggers.argo_workflow import open_argo_workflow
from triggers.dispatcher import Dispatcher
from triggers.http import open_http
from triggers.log import open_log
from triggers.port import Firing, Opener, RetryAfter, Secrets, StaticSecrets, StoreTrigger, Tools, Trigger
from triggers.promotion import open_promotion
from triggers.redrive import redrive
from triggers.settings import DispatchSettings, HttpSettings

KINDS: dict[str, Opener] = {
    "argoWorkflow": open_argo_workflow,
    "http": open_http,
    "log": open_log,
    "promotion": open_promotion,
}

__all__ = [
    "KINDS",
    "DispatchSettings",
    "Dispatcher",
    "Firing",
    "HttpSettings",
    "Opener",
    "RetryAfter",
    "Secrets",
    "StaticSecrets",
    "StoreTrigger",
    "Tools",
    "Trigger",
    "redrive",
]
