"""Every figure that is counted as things happen, by name. What is read from the store and the parts when somebody asks
is in `retrain/web/metrics.py`. `docs/telemetry.md` says the same as a table; a test holds them together."""

from __future__ import annotations

from collections.abc import Sequence

from retrain.telemetry.figures import LONG, Counter, Family, Histogram, Level

FEW = 20
"""Workflows with a histogram of their own: each is a dozen series."""

# --- the way in ------------------------------------------------------------------------------------------------------

EVENTS_RECEIVED = Counter(
    "retrain_events_received_total", "Events that the bus has, by who brought them", "source", "kind"
)
EVENTS_DEDUPLICATED = Counter(
    "retrain_events_deduplicated_total", "Events that the bus had already: nothing was added", "source", "kind"
)
EVENTS_FILTERED = Counter(
    "retrain_events_filtered_total", "Events that filter.expression did not want", "source", "kind"
)
EVENTS_REFUSED = Counter(
    "retrain_events_refused_total", "Requests and messages that were turned away", "source", "kind"
)
INTAKE_SECONDS = Histogram("retrain_intake_duration_seconds", "Until the bus has confirmed what came in", "kind")

# --- decisions and actions -------------------------------------------------------------------------------------------

DECISIONS = Counter("retrain_decisions_total", "Decisions of sensors, by outcome", "outcome")
DECISION_SECONDS = Histogram("retrain_decision_latency_seconds", "From the bus to the decision that is written down")
SENSOR_ERRORS = Counter("retrain_sensor_errors_total", "Events that a sensor could not decide on", "sensor")
ATTEMPTS = Counter(
    "retrain_firing_attempts_total", "Attempts at actions, by how they ended: done, dead or again", "result"
)
TRIGGER_SECONDS = Histogram(
    "retrain_trigger_latency_seconds", "From the event that completed a firing to the end of its action", "kind"
)

# --- runs ------------------------------------------------------------------------------------------------------------

RUNS_ENDED = Counter("retrain_runs_ended_total", "Runs that have ended, by workflow and phase", "workflow", "phase")
RUN_SECONDS = Histogram(
    "retrain_run_duration_seconds", "From the start of a run to its end", "workflow", buckets=LONG, most=FEW
)
RUN_QUEUE_SECONDS = Histogram("retrain_run_queue_duration_seconds", "What runs wait for their start", buckets=LONG)
STEPS_ENDED = Counter("retrain_steps_ended_total", "Steps that have ended, by phase", "phase")
STEP_SECONDS = Histogram("retrain_step_duration_seconds", "From the start of a step to its end", buckets=LONG)

# --- promotions ------------------------------------------------------------------------------------------------------

PROMOTIONS_ENDED = Counter(
    "retrain_promotions_ended_total", "Promotions that came to an end, by state", "state", "environment"
)
GATE_VERDICTS = Counter("retrain_gate_verdicts_total", "What gates have said", "kind", "verdict")
GATE_SECONDS = Histogram(
    "retrain_gate_duration_seconds", "What a gate takes to ask others and to judge", "kind", most=FEW
)
GIT_PUSHES = Counter("retrain_git_pushes_total", "Attempts to push a commit: pushed, raced or failed", "result")
GIT_PUSH_SECONDS = Histogram("retrain_git_push_duration_seconds", "What a push takes, from the last word before it")
VERIFICATIONS = Counter("retrain_verifications_total", "What was seen of models after their commit", "outcome")

# --- the doors and the ground ----------------------------------------------------------------------------------------

HTTP_REQUESTS = Counter(
    "retrain_http_requests_total", "HTTP requests by route, as it is written in the code, and class of status",
    "method", "route", "status", most=300,
)  # fmt: skip
HTTP_SECONDS = Histogram(
    "retrain_http_request_duration_seconds", "What answers take, by room: not those that stay open", "room"
)
LISTENERS = Level("retrain_http_listeners", "Open feeds (Server-Sent Events)", "feed")
TRANSACTIONS = Counter("retrain_store_transactions_total", "Commits of the store")
TRANSACTION_SECONDS = Histogram("retrain_store_transaction_duration_seconds", "What a commit and the writes in it take")
SPANS_EXPORTED = Counter("retrain_spans_exported_total", "Spans that the receiver has taken")
SPANS_LOST = Counter(
    "retrain_spans_lost_total", "Things whose spans were given up, for the receiver took none for too long"
)


def took_in(source: str, kind: str, duplicates: Sequence[bool], seconds: float) -> None:
    """Events are on the bus, or were there before; so long it took to know."""
    again = sum(duplicates)
    if again < len(duplicates):
        EVENTS_RECEIVED.add(source, kind, by=len(duplicates) - again)
    if again:
        EVENTS_DEDUPLICATED.add(source, kind, by=again)
    INTAKE_SECONDS.observe(seconds, kind)


ALL: tuple[Family, ...] = tuple(one for one in list(globals().values()) if isinstance(one, Counter | Histogram))
"""All of the above, in their order."""
