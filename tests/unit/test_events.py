"""The CloudEvent: what goes in comes out, in every form; what is wrong is refused by the attribute's name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import EventError
from retrain.events import Event, batch_from_json, from_binary, from_dict, from_json, parse_time

ATTRIBUTE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)
EXTENSION = st.from_regex(r"[a-z][a-z0-9]{0,19}", fullmatch=True).filter(
    lambda n: (
        n not in {"id", "source", "type", "subject", "time", "data", "specversion", "datacontenttype", "dataschema"}
    )
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
).filter(lambda value: "\\ud" not in ascii(value))
EVENTS = st.builds(
    Event,
    id=ATTRIBUTE,
    source=ATTRIBUTE,
    type=ATTRIBUTE,
    subject=st.none() | ATTRIBUTE,
    time=st.none() | st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC)),
    data=JSON | st.binary(min_size=1),
    extensions=st.dictionaries(EXTENSION, ATTRIBUTE | st.booleans() | st.integers(-(2**31), 2**31 - 1), max_size=3),
)


def _valid(**changes: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": "1", "source": "s", "type": "t", **changes}


@given(EVENTS)
def test_an_event_survives_its_structured_form(event: Event) -> None:
    assert from_json(event.to_json()) == event


@given(EVENTS)
def test_an_event_survives_its_binary_form(event: Event) -> None:
    headers, body = event.to_binary()
    back = from_binary(headers.items(), body)

    assert (back.id, back.source, back.type, back.subject, back.time) == (
        event.id,
        event.source,
        event.type,
        event.subject,
        event.time,
    )
    assert back.data == event.data
    # Headers have no types: an extension comes back as the text it was sent as.
    assert {n: str(v).lower() for n, v in back.extensions.items()} == {
        n: str(v).lower() for n, v in event.extensions.items()
    }


def test_unknown_extension_attributes_survive_with_their_types() -> None:
    event = from_dict(_valid(traceparent="00-ab", sampled=True, attempt=3))

    assert dict(event.extensions) == {"traceparent": "00-ab", "sampled": True, "attempt": 3}
    assert event.to_dict()["sampled"] is True


@pytest.mark.parametrize(
    ("change", "attribute", "message"),
    [
        ({"id": None}, "id", "is missing"),
        ({"id": ""}, "id", "must not be empty"),
        ({"id": 7}, "id", "must be a string, not int"),
        ({"source": "a\nb"}, "source", "holds control characters"),
        ({"type": "x" * 5000}, "type", "is longer than 4096 characters"),
        ({"specversion": "0.3"}, "specversion", "must be '1.0', not '0.3'"),
        ({"time": "yesterday"}, "time", "is no RFC 3339 time"),
        ({"time": "2026-02-30T00:00:00Z"}, "time", ""),
        ({"time": "2026-02-03T00:00:00"}, "time", "is no RFC 3339 time"),
        ({"Bad-Name": "x"}, "Bad-Name", "lower-case letters and digits"),
        ({"weight": 1.5}, "weight", "a string, an integer or a boolean"),
        ({"data": 1, "data_base64": "YQ=="}, "data_base64", "only one of them"),
        ({"data_base64": "*"}, "data_base64", "is not base64"),
    ],
)
def test_a_wrong_event_is_refused_by_the_attributes_name(
    change: dict[str, object], attribute: str, message: str
) -> None:
    with pytest.raises(EventError) as caught:
        from_dict(_valid(**change))

    assert caught.value.attribute == attribute
    assert message in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'"x"', b"\xff"])
def test_bytes_that_are_no_event_are_refused(body: bytes) -> None:
    with pytest.raises(EventError, match="event"):
        from_json(body)


def test_a_wrong_event_in_a_batch_is_named_by_its_place() -> None:
    with pytest.raises(EventError, match=r"^\[1\]\.id: is missing$"):
        batch_from_json(b'[{"specversion":"1.0","id":"1","source":"s","type":"t"},{"specversion":"1.0"}]')


def test_the_identity_is_source_and_id_and_nothing_else() -> None:
    event = Event(id="b:c", source="a", type="t")

    assert event.key == Event(id="b:c", source="a", type="other", data=1).key
    assert event.key != Event(id="c", source="a:b", type="t").key


def test_times_are_kept_in_utc_to_the_microsecond() -> None:
    assert parse_time("2026-11-20T09:15:00.1234567+01:00") == datetime(2026, 11, 20, 8, 15, 0, 123456, UTC)
    zoned = Event(id="1", source="s", type="t", time=datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert zoned.to_dict()["time"] == "2026-01-01T00:00:00Z"


def test_a_binary_body_is_parsed_only_where_its_type_says_json() -> None:
    headers = [("ce-id", "1"), ("ce-source", "s"), ("ce-type", "t"), ("ce-specversion", "1.0")]

    assert from_binary([*headers, ("content-type", "application/json; charset=utf-8")], b'{"a":1}').data == {"a": 1}
    assert from_binary([*headers, ("content-type", "application/vnd.x+json")], b"[1]").data == [1]
    assert from_binary([*headers, ("content-type", "text/csv")], b"a,b").data == b"a,b"
    with pytest.raises(EventError, match="data: is not JSON"):
        from_binary([*headers, ("content-type", "application/json")], b"{")
    with pytest.raises(EventError, match="id: is there twice"):
        from_binary([*headers, ("CE-ID", "2")], b"")
