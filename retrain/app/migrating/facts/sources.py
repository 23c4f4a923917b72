"""What is different about an EventSource. The words are those of docs/compatibility.md."""

from __future__ import annotations

from retrain.app.migrating.facts.fact import Fact, Found, Verdict, alike
from retrain.app.migrating.facts.pods import of_pods

BETTER, DIFFERS = Verdict.BETTER, Verdict.DIFFERS

FOUND_LATER = (
    "what happens while the source is away is lost (files, MinIO, ticks of a calendar)",
    "it is found at the next start",
)
KEEPS = ("minio", "calendar", "file", "sftp", "resource")
"""What tells later what there was meanwhile."""
EXPRESSION = ("an error of `filter.expression` drops the event and reports success", "it is a dead letter")
NO_JSON = (
    "a message that is no JSON under `jsonBody` is dropped, or deleted unread",
    "a dead letter with its bytes",
)
PODS = (
    "`template` shapes the source's pod: volumes, variables, placement, a service account",
    "there is no such pod: what sources need, the platform's own pod has",
)


def _json(found: Found) -> bool:
    return found.value is True and found.path[1] not in {"webhook"}


def _no_group(found: Found) -> bool:
    return not found.value.get("consumerGroup")


def _acknowledges_first(found: Found) -> bool:
    """Without `consume` Argo Events asks the broker to forget each message as it sends it."""
    consume = found.value.get("consume")
    return not consume or bool(consume.get("autoAck"))


def _combined(found: Found) -> bool:
    return "|" in str(found.value)


def _token_unchecked(found: Found) -> bool:
    return bool(found.value.get("secretToken"))


SOURCES: tuple[Fact, ...] = (
    Fact(
        "ids",
        BETTER,
        "spec",
        "an event's id is random",
        "it comes from the thing: the delivery, the object's version, the file's version",
        general=True,
    ),
    Fact(
        "tried-for-ever",
        BETTER,
        "spec",
        "a source that cannot start ten times is given up",
        "it is tried again for ever, and its state says what it waits for",
        general=True,
    ),
    Fact(
        "acknowledged", BETTER, "spec", "a source may acknowledge before the bus has the event", "never", general=True
    ),
    Fact("wrong-method", DIFFERS, "spec", "a webhook's wrong method is 400", "405 with `Allow`", general=True),
    Fact(
        "forms",
        BETTER,
        "spec",
        "a form must be exactly `application/x-www-form-urlencoded`",
        "parameters such as `; charset=utf-8` may follow",
        general=True,
    ),
    *alike("found-later", BETTER, (f"spec.{kind}.*" for kind in KEEPS), FOUND_LATER),
    Fact(
        "kafka-offset",
        BETTER,
        "spec.kafka.*",
        "`kafka` without a consumer group begins at the newest record with every start",
        "it goes on where it was: the offset is in the store",
        when=_no_group,
    ),
    Fact(
        "mqtt-session",
        BETTER,
        "spec.mqtt.*",
        "`mqtt` takes QoS 0 and a new session, and does not subscribe again after a break",
        "QoS 1 and a session that the broker keeps; it subscribes with every connection",
    ),
    Fact(
        "amqp-ack",
        BETTER,
        "spec.amqp.*",
        "`amqp` without `consume` has the broker forget each message as it is sent",
        "it is acknowledged when the bus has it, whatever `autoAck` says",
        when=_acknowledges_first,
    ),
    Fact(
        "gitlab-token",
        BETTER,
        "spec.gitlab.*",
        "`gitlab` checks `secretToken` only where Argo Events makes the hooks itself",
        "it is checked with every request",
        when=_token_unchecked,
    ),
    Fact(
        "redis-stream",
        BETTER,
        "spec.redisStream.*",
        "`redisStream` takes a message that failed up again only when its pod starts anew",
        "it is taken up again by itself",
    ),
    Fact("expression-error", BETTER, "spec.*.*.filter.expression", *EXPRESSION),
    Fact("not-json", BETTER, "spec.*.*.jsonBody", *NO_JSON, when=_json),
    Fact(
        "event-types",
        DIFFERS,
        "spec.file.*.eventType",
        "`eventType: CREATE|WRITE` never matches a CREATE",
        "it means either",
        when=_combined,
    ),
    *of_pods(PODS, alone={"metadata"}),
)
