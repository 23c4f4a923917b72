"""What is different about how a Sensor acts. The words are those of docs/compatibility.md."""

from __future__ import annotations

from typing import Any

from retrain.app.migrating.facts.fact import Fact, Found, Verdict, alike

BETTER, DIFFERS = Verdict.BETTER, Verdict.DIFFERS

TEMPLATE = "spec.triggers.[].template"
OBJECT = f"{TEMPLATE}.*.source"
AFTER_THE_FACT = frozenset({"submit-from", "resubmit", "retry", "resume", "suspend", "stop", "terminate"})
REMOTE = (
    "objects of triggers may come from Git, URLs and S3",
    "only where the operator allows it: `RETRAIN_SENSORS_ALLOW_REMOTE_SOURCES=true`",
)
GIVEN_UP = (
    "after the last attempt the event is gone, or goes to a `dlqTrigger`",
    "it is a dead letter that can be redriven",
)


def _trigger(found: Found) -> dict[str, Any]:
    return found.up(3)


def _never_retried(found: Found) -> bool:
    return not _trigger(found).get("atLeastOnce")


def _no_policy(found: Found) -> bool:
    policy: Any = _trigger(found).get("policy") or {}
    return not (policy.get("status") or {}).get("allow")


def _counted_as_failed(found: Found) -> bool:
    return found.value in AFTER_THE_FACT


def _no_ref(found: Found) -> bool:
    return isinstance(found.value, dict) and not any(found.value.get(name) for name in ("branch", "tag", "ref"))


def _unverified(found: Found) -> bool:
    return isinstance(found.value, dict) and "verifyCert" not in found.value


def _has_parameters(found: Found) -> bool:
    return bool(found.value)


TRIGGERS: tuple[Fact, ...] = (
    Fact(
        "dead-letters",
        BETTER,
        "spec",
        *GIVEN_UP,
        general=True,
    ),
    Fact(
        "attempts",
        BETTER,
        "spec",
        "without `retryStrategy` one attempt",
        "five, 1 s apart, doubling",
        general=True,
    ),
    Fact(
        "retries-count",
        BETTER,
        "spec.triggers.[].retryStrategy",
        "`retryStrategy` counts only with `atLeastOnce: true`",
        "always",
        when=_never_retried,
    ),
    Fact(
        "rate-limit",
        DIFFERS,
        "spec.triggers.[].rateLimit",
        "`rateLimit` spaces requests evenly, ten at once at the beginning",
        "at most so many in any second, minute or hour",
    ),
    Fact(
        "dlq-always",
        BETTER,
        "spec.triggers.[].dlqTrigger",
        "without `atLeastOnce` no `dlqTrigger`",
        "it always holds",
        when=_never_retried,
    ),
    Fact(
        "http-answers",
        BETTER,
        f"{TEMPLATE}.http",
        "`http`: without `policy.status.allow` every answer is success, a 500 too",
        "2xx is; 408, 425, 429 and 5xx are tried again; the rest is a dead letter",
        when=_no_policy,
    ),
    Fact(
        "done-is-done",
        BETTER,
        f"{TEMPLATE}.argoWorkflow.operation",
        "`submit-from`, `resubmit` and others count as failed after they were done",
        "done is done",
        when=_counted_as_failed,
    ),
    Fact(
        "run-of-the-firing",
        BETTER,
        f"{TEMPLATE}.argoWorkflow",
        "`argoWorkflow` names the run by chance",
        "by the firing",
    ),
    Fact(
        "policy-waits",
        BETTER,
        "spec.triggers.[].policy.k8s",
        "`policy.k8s` blocks its trigger while it polls",
        "the firing waits in the store",
    ),
    Fact(
        "kafka-acknowledged",
        BETTER,
        f"{TEMPLATE}.kafka",
        "`kafka`: errors are logged and the trigger succeeds; TLS is not verified; "
        "`flushFrequency` in nanoseconds, snappy",
        "the broker's acknowledgement is awaited; TLS is verified; gzip, murmur2 keys; "
        "`version`, `flushFrequency`, `partition` change nothing",
    ),
    Fact(
        "nats-parameters",
        BETTER,
        f"{TEMPLATE}.nats",
        "`nats`: `parameters` cannot change the subject; nobody waits for the server",
        "they can; the server's answer is awaited",
    ),
    Fact(
        "function-errors",
        BETTER,
        f"{TEMPLATE}.awsLambda",
        "`awsLambda`: a function's own error is success",
        "it is tried again",
    ),
    Fact(
        "email-parameters",
        DIFFERS,
        f"{TEMPLATE}.email",
        "`email`: one mail for each recipient; `parameters` are ignored",
        "one mail for all; they count",
    ),
    Fact(
        "slack-parameters",
        DIFFERS,
        f"{TEMPLATE}.slack.parameters",
        "`slack`: `parameters` are ignored",
        "they count",
        when=_has_parameters,
    ),
    *alike("remote-objects", DIFFERS, (f"{OBJECT}.{kind}" for kind in ("git", "url", "s3")), REMOTE),
    Fact(
        "url-verified",
        DIFFERS,
        f"{OBJECT}.url",
        "`url` sources: TLS unverified, redirects followed, on every event",
        "verified unless `verifyCert: false`, no redirects, not to this machine; "
        "read every 60 s, the last good text is kept",
        when=_unverified,
    ),
    Fact(
        "git-head",
        DIFFERS,
        f"{OBJECT}.git",
        "`git` sources take the branch master, `cloneDirectory`",
        "the remote's HEAD; no clone is kept where you say",
        when=_no_ref,
    ),
)
