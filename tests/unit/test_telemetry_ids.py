"""Identities of traces, as W3C's Trace Context has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.telemetry.ids import Parent, of_headers, read_parent, span_id, trace_id

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEX = "0123456789abcdef"


@given(st.text(HEX, min_size=32, max_size=32).filter(lambda t: set(t) != {"0"}), st.booleans())
def test_what_is_written_is_read_again(trace: str, sampled: bool) -> None:
    parent = Parent(trace, SPAN, sampled)
    assert read_parent(parent.header()) == parent


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_no_traceparent_is_none(text: object) -> None:
    assert read_parent(text) is None


def test_a_version_to_come_may_say_more() -> None:
    assert read_parent(f"cc-{TRACE}-{SPAN}-00-more") == Parent(TRACE, SPAN, sampled=False)


def test_headers_become_extension_attributes_only_where_they_can_be_used() -> None:
    parent = f"00-{TRACE}-{SPAN}-01".encode()
    assert of_headers([(b"traceparent", parent), (b"tracestate", b"a=1")]) == {
        "traceparent": parent.decode(),
        "tracestate": "a=1",
    }
    assert of_headers([(b"traceparent", b"nonsense"), (b"tracestate", b"a=1")]) == {}
    assert of_headers([(b"traceparent", parent), (b"tracestate", b"a\x00")]) == {"traceparent": parent.decode()}
    assert of_headers([(b"tracestate", b"a=1")]) == {}


@given(st.text(), st.text())
def test_ids_are_theirs_alone(one: str, other: str) -> None:
    assert (span_id("run", one) == span_id("run", other)) == (one == other)
    assert span_id("run", one) != span_id("firing", one)
    assert len(trace_id("event", one)) == 32
    assert len(span_id("step", one, other)) == 16
