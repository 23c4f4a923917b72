"""What a user writes for an SQS source, and what can be wrong with it. `sqs_source.py` runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from eventsources.fields import Filter, Limits, Path, check_secret, only_ours
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

LONGEST_S = 20
"""Seconds that SQS waits for a message at most."""

_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,75}(\.fifo)?")
_ACCOUNT = re.compile(r"[0-9]{1,12}")


class Sqs(Shape):
    """Messages of one queue of Amazon SQS, or of a server that speaks its protocol.

    Without keys, those of the environment, a profile or the machine's role are taken. `wait_time_seconds`: how long one
    request waits for a message; 0 is 3 in Argo Events' documents and 20 in ours. `dlq`: what cannot be read stays in
    the queue, so that its redrive policy moves it. `unwrap` is of retrain.dev/v1: the message that SNS has wrapped is
    the body, and S3's test events are passed over; true if left out.
    """

    region: str = ""
    queue: str = ""
    queue_account_id: str = ""
    wait_time_seconds: int = 0
    access_key: KeySelector | None = None
    secret_key: KeySelector | None = None
    session_token: KeySelector | None = None
    role_arn: str = Field(default="", alias="roleARN")
    endpoint: str = ""
    json_body: bool | None = None
    dlq: bool = False
    unwrap: bool = True
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


def check(path: Path, sqs: Sqs, ours: bool) -> Iterator[Problem]:
    """What is wrong with one SQS source."""
    if not sqs.region:
        yield Problem(path, "missing-field", "region is missing: where the queue is, such as us-east-1")
    if not sqs.queue:
        yield Problem(path, "missing-field", "queue is missing: the name of the queue")
    elif not _QUEUE.fullmatch(sqs.queue):
        message = f"queue {sqs.queue!r} is no name of a queue: up to 80 letters, digits, - and _, with .fifo at the end"
        yield Problem((*path, "queue"), "wrong-value", message)
    if sqs.queue_account_id and not _ACCOUNT.fullmatch(sqs.queue_account_id):
        message = f"queueAccountId {sqs.queue_account_id!r} is no number of an AWS account"
        yield Problem((*path, "queueAccountId"), "wrong-value", message)
    if not 0 <= sqs.wait_time_seconds <= LONGEST_S:
        yield Problem((*path, "waitTimeSeconds"), "wrong-value", f"waitTimeSeconds is from 0 to {LONGEST_S}")
    if sqs.endpoint and not sqs.endpoint.startswith(("http://", "https://")):
        message = f"endpoint {sqs.endpoint!r} must begin with https:// or http://"
        yield Problem((*path, "endpoint"), "wrong-value", message)
    yield from only_ours(path, sqs, ("unwrap",), ours=ours)
    yield from _check_keys(path, sqs)


def _check_keys(path: Path, sqs: Sqs) -> Iterator[Problem]:
    """Both halves of a key, or none."""
    yield from check_secret((*path, "accessKey"), sqs.access_key, required=sqs.secret_key is not None)
    yield from check_secret((*path, "secretKey"), sqs.secret_key, required=sqs.access_key is not None)
    yield from check_secret((*path, "sessionToken"), sqs.session_token)
    if sqs.session_token is not None and sqs.access_key is None:
        yield Problem((*path, "sessionToken"), "wrong-value", "sessionToken goes with accessKey and secretKey")
    if sqs.role_arn and not sqs.role_arn.startswith("arn:"):
        yield Problem((*path, "roleARN"), "wrong-value", f"roleARN {sqs.role_arn!r} is no ARN of a role")
