"""What an `http` firing sends, and what an answer means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import Permanent, Transient
from triggers import Firing, HttpSettings, RetryAfter, StaticSecrets
from triggers.addresses import may_talk_to
from triggers.http_request import build_request, judge, read_retry_after
from triggers.settings import METADATA
from triggers.tls import TlsContexts

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def build(**action: Any) -> Any:
    action = {"kind": "http", "url": "http://host/x"} | action
    return build_request(Firing("f-1", "s", "t", "", action), StaticSecrets(), HttpSettings(), TlsContexts())


def test_a_body_is_json_and_nothing_at_all_where_there_is_no_payload() -> None:
    assert build(payload={"a": [1]}).body == b'{"a":[1]}'
    assert build().body is None
    assert "Content-Type" not in build().headers


def test_a_whole_body_is_sent_as_it_is() -> None:
    assert build(body="<xml/>", headers={"content-type": "text/xml"}).body == b"<xml/>"
    assert build(body={"a": 1}).body == b'{"a":1}'


def test_the_firings_id_is_the_key_whatever_the_sensor_wrote() -> None:
    assert build(headers={"Idempotency-Key": "mine"}).headers["Idempotency-Key"] == "f-1"


@pytest.mark.parametrize(("written", "seconds"), [(None, 60), (0, 60), (5, 5), ("90s", 90), (10**9, 3600)])
def test_a_timeout_is_in_seconds_and_bounded(written: object, seconds: float) -> None:
    assert build(timeout=written).timeout_s == seconds


def test_a_request_does_not_show_its_headers() -> None:
    request = build(url="http://ann:hunter2@host/x", headers={"X": "topsecret"})

    assert "hunter2" not in repr(request)
    assert "topsecret" not in repr(request)
    assert request.redact("no: hunter2") == "no: ***"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_success(status: int) -> None:
    judge(status, "", None, frozenset(), NOW)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_later_is_tried_again(status: int) -> None:
    with pytest.raises(Transient):
        judge(status, "", None, frozenset(), NOW)


@pytest.mark.parametrize("status", [301, 304, 307, 400, 404, 410, 422])
def test_no_is_final(status: int) -> None:
    with pytest.raises(Permanent):
        judge(status, "", None, frozenset(), NOW)


def test_only_what_the_policy_allows_is_success() -> None:
    judge(404, "", None, frozenset({404}), NOW)
    with pytest.raises(Transient, match=r"answered 200 OK, which policy.status.allow \(404\) does not have"):
        judge(200, "OK", None, frozenset({404}), NOW)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("99999999999999999999", 3600),
        ("Fri, 20 Nov 2026 08:01:00 GMT", 60),
        ("Fri, 20 Nov 2026 07:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        (None, None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_read_or_ignored(header: str) -> None:
    wait = read_retry_after(header, NOW)

    assert wait is None or 0 <= wait <= 3600


def test_retry_after_goes_with_the_verdict() -> None:
    with pytest.raises(RetryAfter) as caught:
        judge(503, "", "30", frozenset(), NOW)

    assert caught.value.after_s == 30


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
    ],
)
def test_addresses_of_metadata_services_are_closed_in_any_clothing(address: str) -> None:
    assert not may_talk_to(address, METADATA, ())


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "93.184.216.34", "::1", "2606:2800:220:1::1"])
def test_other_addresses_are_open(address: str) -> None:
    assert may_talk_to(address, METADATA, ())


def test_the_operator_may_open_what_is_closed() -> None:
    assert may_talk_to("169.254.169.254", METADATA, METADATA[:1])
