"""Sends spans by OTLP over HTTP, with OpenTelemetry's own exporter: the extra `telemetry`.

Its variables are OpenTelemetry's: `OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`, `_TIMEOUT`, `_COMPRESSION`,
`_CERTIFICATE` (and their `_TRACES_` forms), `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_EXPORTER`,
`OTEL_TRACES_SAMPLER` with `_ARG`, `OTEL_SDK_DISABLED`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from retrain import __version__
from retrain.app.tracing.span import Span
from retrain.errors import ConfigError
from retrain.store.tables import to_microseconds

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PATH = "/v1/traces"


class Sender(Protocol):
    """Who spans are given to. Blocking: call it from a thread."""

    def send(self, spans: Sequence[Span]) -> bool:
        """Whether the receiver has taken them."""
        ...

    def close(self) -> None:
        """Send nothing more; what is under way ends."""
        ...


def open_sender(endpoint: str | None, wanted: bool | None, environ: Mapping[str, str]) -> Sender | None:
    """Where spans go; None: nobody wants any. `wanted` None: wanted where an endpoint is named.

    Raises:
        ConfigError: they are wanted, and the extra `telemetry` is not installed.
    """
    if not _wants(endpoint, wanted, environ):
        return None
    try:
        return _Otlp(endpoint)
    except ImportError:
        raise ConfigError(
            "traces are wanted (telemetry.traces, telemetry.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT), and the "
            "libraries for it are missing; install retrain[telemetry]"
        ) from None


def _wants(endpoint: str | None, wanted: bool | None, environ: Mapping[str, str]) -> bool:
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    exporter = environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if exporter != "otlp":
        raise ConfigError(f"OTEL_TRACES_EXPORTER: {exporter!r} is not supported here; there are otlp and none")
    named = endpoint is not None or any(environ.get(name) for name in ENDPOINTS)
    return named if wanted is None else wanted


class _Otlp:
    def __init__(self, endpoint: str | None) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SpanExportResult
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        # Its own words of each failed request: ours are said once, when it begins.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}{PATH}" if endpoint else None)
        self._resource = Resource.create({"service.name": "retrain", "service.version": __version__}).merge(
            Resource.create()
        )
        self._sampler = TracerProvider(resource=self._resource, shutdown_on_exit=False).sampler
        self._scope = InstrumentationScope("retrain", __version__)
        self._success = SpanExportResult.SUCCESS

    def send(self, spans: Sequence[Span]) -> bool:
        kept = [self._readable(one) for one in spans if self._samples(one)]
        return not kept or self._exporter.export(kept) is self._success

    def close(self) -> None:
        self._exporter.shutdown()

    def _samples(self, span: Span) -> bool:
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        context = None
        if span.sampled is not None:
            context = set_span_in_context(
                NonRecordingSpan(_context(span.trace, span.parent or span.span, span.sampled))
            )
        return self._sampler.should_sample(context, int(span.trace, 16), span.name).decision.is_sampled()

    def _readable(self, span: Span) -> ReadableSpan:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode

        status = Status(StatusCode.ERROR, span.failed) if span.failed is not None else Status(StatusCode.UNSET)
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace, span.span, sampled=True),
            parent=_context(span.trace, span.parent, sampled=True) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            links=[Link(_context(trace, one, sampled=True)) for trace, one in span.links],
            kind=SpanKind[span.role.upper()],
            status=status,
            start_time=_ns(span.start),
            end_time=_ns(span.end),
            instrumentation_scope=self._scope,
        )


def _context(trace: str, span: str, sampled: Any) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=flags)


def _ns(moment: datetime) -> int:
    return to_microseconds(moment) * 1000
