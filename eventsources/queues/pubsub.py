"""What a user writes for a source on Google Cloud Pub/Sub, and what can be wrong with it: see `pubsub_source.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from eventsources.fields import Filter, Limits, Path, check_secret, only_ours
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

_NAME = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{1,61}[a-z0-9]|[a-z]")
_ENDPOINT = re.compile(r"[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5}")


class Subscribed(Shape):
    """Where messages come from, and as whom they are asked for.

    `project_id`: the subscription's, taken from the login if left out; `topic_project_id`: the topic's, if it is
    another one. `subscription_id`: one is made of the EventSource's and the event's name if left out; where it is not
    there, it is made on `topic`. `credential_secret`: the key of a service account, as JSON; the machine's own login if
    left out. `endpoint` (of retrain.dev/v1): HOST:PORT of an emulator, which is spoken to in plain text and without a
    login.
    """

    project_id: str = Field(default="", alias="projectID")
    topic_project_id: str = Field(default="", alias="topicProjectID")
    topic: str = ""
    subscription_id: str = Field(default="", alias="subscriptionID")
    credential_secret: KeySelector | None = None
    delete_subscription_on_finish: bool = False
    endpoint: str = ""
    metadata: dict[str, str] = {}
    limits: Limits | None = None


class PubSub(Subscribed):
    """Messages of one subscription."""

    json_body: bool | None = None
    filter: Filter | None = None


def check(path: Path, pubsub: PubSub, ours: bool) -> Iterator[Problem]:
    """What is wrong with one source on Pub/Sub."""
    yield from only_ours(path, pubsub, ("endpoint",), ours=ours)
    yield from check_place(path, pubsub)


def check_place(path: Path, spec: Subscribed) -> Iterator[Problem]:
    """Which subscription is meant, and who asks."""
    if not spec.topic and not spec.subscription_id:
        yield Problem(path, "missing-field", "topic is missing; or give the subscriptionID of one that is there")
    for name, value in (("topic", spec.topic), ("subscriptionID", spec.subscription_id)):
        if value and not _NAME.fullmatch(value):
            message = f"{name} {value!r} is no name: 3 to 255 letters, digits and - . _ ~ + %, a letter first, not goog"
            yield Problem((*path, name), "wrong-value", message)
    for name, value in (("projectID", spec.project_id), ("topicProjectID", spec.topic_project_id)):
        if value and not _PROJECT.fullmatch(value):
            yield Problem((*path, name), "wrong-value", f"{name} {value!r} is no id of a project")
    if spec.endpoint and not _ENDPOINT.fullmatch(spec.endpoint):
        yield Problem((*path, "endpoint"), "wrong-value", f"endpoint {spec.endpoint!r} is no HOST:PORT")
    yield from check_secret((*path, "credentialSecret"), spec.credential_secret)
