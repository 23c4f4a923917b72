"""What a user writes for a source on Azure Queue Storage, and what can be wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from eventsources.fields import Filter, Limits, Path, check_secret, not_built
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

_QUEUE = re.compile(r"[a-z0-9](?:-?[a-z0-9])+")


class AzureQueueStorage(Shape):
    """Messages of one queue of an Azure storage account.

    `connection_string`: a secret with what the portal calls so, or with one of a shared access signature.
    `decode_message`: messages are base64, and their body is what that says. `wait_time_in_seconds`: the pause after the
    queue was found empty; 3 in Argo Events' documents and 1 in ours. `dlq`: what cannot be read stays in the queue.
    """

    connection_string: KeySelector | None = None
    storage_account_name: str = ""
    queue_name: str = ""
    json_body: bool | None = None
    decode_message: bool = False
    dlq: bool = False
    wait_time_in_seconds: int | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


def check(path: Path, azure: AzureQueueStorage, ours: bool) -> Iterator[Problem]:  # noqa: ARG001 - all are upstream's
    """What is wrong with one source on a queue of Azure."""
    if not azure.queue_name:
        yield Problem(path, "missing-field", "queueName is missing: the name of the queue")
    elif not _QUEUE.fullmatch(azure.queue_name) or not 3 <= len(azure.queue_name) <= 63:
        message = f"queueName {azure.queue_name!r} is no name: 3 to 63 small letters, digits and single dashes"
        yield Problem((*path, "queueName"), "wrong-value", message)
    if azure.wait_time_in_seconds is not None and azure.wait_time_in_seconds < 0:
        yield Problem((*path, "waitTimeInSeconds"), "wrong-value", "waitTimeInSeconds must not be negative")
    if azure.connection_string is None and azure.storage_account_name:
        instead = (
            "logins by Azure's directory are not; give a connectionString, one of a shared access signature will do"
        )
        yield from not_built(path, azure, (("storageAccountName", instead),))
    else:
        yield from check_secret((*path, "connectionString"), azure.connection_string, required=True)
