"""What the queues of clouds and Redis tell becomes data: envelopes, generations, names. No server is asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from eventsources.objects.gcs_notice import Newest, Notice, read_notice
from eventsources.objects.gcs_notice import data_of as gcs_data
from eventsources.queues.azure_queue_storage_source import decoded
from eventsources.queues.pubsub_reader import subscription_of
from eventsources.queues.redis import place
from eventsources.queues.redis_stream_source import time_of, values_of
from eventsources.queues.sqs_message import SqsMessage, data_of, s3_records, unwrap
from eventsources.spec import EventSourceDocument, check
from retrain.errors import Permanent

RECORD = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "data"}, "object": {"key": "a+b.csv"}}}
TEST_EVENT = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "data"}
SELECTOR = {"name": "s", "key": "k"}


def problems(kind: str, version: str = "retrain.dev/v1", **spec: Any) -> list[tuple[str, str]]:
    body = {"apiVersion": version, "kind": "EventSource", "metadata": {"name": "es"}, "spec": {kind: {"x": spec}}}
    return [
        (".".join(map(str, p.path)).removeprefix(f"spec.{kind}.x").strip("."), p.code)
        for p in check(EventSourceDocument.model_validate(body))
    ]


def by_sns(message: str) -> str:
    return json.dumps({"Type": "Notification", "TopicArn": "arn:t", "MessageId": "m", "Message": message})


# --- sqs -------------------------------------------------------------------------------------------------------------


def test_a_message_has_upstreams_shape_and_null_for_no_attributes() -> None:
    message = SqsMessage("m-1", '{"a": 1}', "receipt")

    assert data_of(message, True, ours=False, unwraps=True) == {
        "messageId": "m-1",
        "messageAttributes": None,
        "body": {"a": 1},
    }
    assert data_of(message, None, ours=False, unwraps=True) == {
        "messageId": "m-1",
        "messageAttributes": None,
        "body": "eyJhIjogMX0=",
    }


def test_attributes_have_all_members_of_upstreams_library() -> None:
    given = {"raw": {"DataType": "Binary", "BinaryValue": b"\xff"}}
    data = data_of(SqsMessage("m", "x", "r", attributes=given), None, ours=False, unwraps=True)

    assert data is not None
    assert data["messageAttributes"]["raw"] == {
        "BinaryListValues": None,
        "BinaryValue": "/w==",
        "DataType": "Binary",
        "StringListValues": None,
        "StringValue": None,
    }


def test_what_sns_has_wrapped_is_the_body_in_ours_and_stays_wrapped_in_argos() -> None:
    message = SqsMessage("m", by_sns('{"rows": 3}'), "r")
    ours = data_of(message, None, ours=True, unwraps=True)
    argos = data_of(message, True, ours=False, unwraps=True)
    kept = data_of(message, None, ours=True, unwraps=False)

    assert ours is not None
    assert argos is not None
    assert kept is not None
    assert ours["body"] == {"rows": 3}
    assert ours["sns"] == {"TopicArn": "arn:t", "MessageId": "m"}
    assert argos["body"]["Message"] == kept["body"]["Message"] == '{"rows": 3}'


@pytest.mark.parametrize("text", [json.dumps(TEST_EVENT), by_sns(json.dumps(TEST_EVENT))])
def test_s3s_test_event_is_passed_over_in_ours(text: str) -> None:
    assert data_of(SqsMessage("m", text, "r"), None, ours=True, unwraps=True) is None
    assert data_of(SqsMessage("m", text, "r"), True, ours=False, unwraps=True) is not None
    assert s3_records(unwrap(text)) == []


@pytest.mark.parametrize("wrap", [str, by_sns])
def test_records_of_s3_are_found_however_they_came(wrap: Any) -> None:
    assert s3_records(unwrap(wrap(json.dumps({"Records": [RECORD]})))) == [RECORD]


def test_an_event_of_eventbridge_becomes_a_record() -> None:
    event = {
        "version": "0",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "region": "eu-central-1",
        "time": "2026-11-21T10:00:00Z",
        "detail": {
            "bucket": {"name": "data"},
            "object": {"key": "train/a b+ü.csv", "size": 5, "etag": "e", "sequencer": "01"},
            "reason": "CompleteMultipartUpload",
        },
    }
    records = s3_records(unwrap(json.dumps(event)))

    assert records is not None
    assert records[0]["eventName"] == "ObjectCreated:CompleteMultipartUpload"
    assert records[0]["s3"]["object"] == {"key": "train/a+b%2B%C3%BC.csv", "size": 5, "eTag": "e", "sequencer": "01"}


@pytest.mark.parametrize("text", ["", "hello", "[]", "{}", '{"Records": []}', '{"Records": [1]}', '{"Records": "x"}'])
def test_what_is_no_notification_of_s3_is_none_or_empty(text: str) -> None:
    assert not s3_records(unwrap(text))


def test_sqs_says_what_is_wrong() -> None:
    assert problems("sqs", region="r", queue="q", endpoint="http://x") == []
    assert problems("sqs", queue="a b", waitTimeSeconds=21) == [
        ("", "missing-field"),
        ("queue", "wrong-value"),
        ("waitTimeSeconds", "wrong-value"),
    ]
    assert problems("sqs", region="r", queue="q", accessKey=SELECTOR) == [("secretKey", "missing-field")]
    assert problems("sqs", "argoproj.io/v1alpha1", region="r", queue="q", unwrap=True) == [("unwrap", "unknown-field")]


# --- redis -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("redis:6380", ("redis", 6380)),
        ("redis", ("redis", 6379)),
        ("[::1]:6379", ("::1", 6379)),
        ("redis:x", None),
        ("redis:0", None),
        ("redis://h:1", None),
        ("user:pw@h:1", None),
        ("", None),
    ],
)
def test_an_address_of_redis_is_host_and_port(address: str, expected: tuple[str, int] | None) -> None:
    assert place(address) == expected


def test_bytes_that_are_no_text_are_base64_in_ours_and_said() -> None:
    fields = [b"a", b"text", b"b", b"\xff\xfe"]

    assert values_of(fields, ours=True) == {
        "values": {"a": "text", "b": "//4="},
        "valuesEncoding": {"b": "base64"},
    }
    assert values_of(fields, ours=False) == {"values": {"a": "text", "b": "\ufffd\ufffd"}}


def test_the_id_of_a_message_says_when_it_was_added_if_redis_has_made_it() -> None:
    assert time_of("1700000000000-3") == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert time_of("7-1") is None


def test_redis_says_what_is_wrong() -> None:
    assert problems("redis", hostAddress="h:1", channels=["a"]) == []
    assert problems("redis") == [("", "missing-field"), ("", "missing-field")]
    assert problems("redisStream", hostAddress="h:1", streams=["a", "a"]) == [("streams.1", "wrong-value")]
    assert problems("redisStream", "argoproj.io/v1alpha1", hostAddress="h", streams=["a"], existing="emit") == [
        ("existing", "unknown-field")
    ]


# --- azure -----------------------------------------------------------------------------------------------------------


def test_messages_are_decoded_in_either_alphabet_of_base64() -> None:
    assert decoded("+/8=") == decoded("-_8=") == b"\xfb\xff"
    with pytest.raises(Permanent, match="no base64"):
        decoded("not base64!")


def test_azure_says_what_is_wrong_and_what_is_not_built() -> None:
    assert problems("azureQueueStorage", queueName="abc", connectionString=SELECTOR) == []
    assert problems("azureQueueStorage", queueName="A", storageAccountName="lake") == [
        ("queueName", "wrong-value"),
        ("storageAccountName", "unsupported-field"),
    ]
    assert problems("azureQueueStorage", queueName="abc") == [("connectionString", "missing-field")]


# --- google ----------------------------------------------------------------------------------------------------------


def notice(generation: int, happened: str = "OBJECT_FINALIZE") -> Notice:
    attributes = {
        "bucketId": "data",
        "objectId": "train/a b.csv",
        "objectGeneration": str(generation),
        "eventType": happened,
        "eventTime": "2026-11-21T15:58:41Z",
        "payloadFormat": "JSON_API_V1",
    }
    return read_notice(attributes, b'{"size": "5", "contentType": "text/csv"}')


def test_a_notification_tells_of_one_generation() -> None:
    one = notice(1795276721322746)

    assert one.id == "data/train/a%20b.csv#1795276721322746:OBJECT_FINALIZE"
    assert one.url == "gs://data/train/a%20b.csv"
    assert gcs_data(one, superseded=False)["size"] == 5
    assert gcs_data(one, superseded=False)["generation"] == "1795276721322746"


def test_the_order_is_that_of_generations_and_of_an_objects_life() -> None:
    arrived = [notice(1, "OBJECT_DELETE"), notice(2), notice(1), notice(1, "OBJECT_METADATA_UPDATE")]

    assert [(one.generation, one.happened) for one in sorted(arrived, key=lambda one: one.rank)] == [
        (1, "OBJECT_FINALIZE"),
        (1, "OBJECT_METADATA_UPDATE"),
        (1, "OBJECT_DELETE"),
        (2, "OBJECT_FINALIZE"),
    ]


def test_what_comes_after_something_newer_is_superseded() -> None:
    newest = Newest()

    assert [newest.supersedes(one) for one in (notice(1, "OBJECT_DELETE"), notice(1), notice(2), notice(2))] == [
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("attributes", "raw"),
    [({}, b"hello"), ({"bucketId": "b", "objectId": "o", "objectGeneration": "x", "eventType": "y"}, b"")],
)
def test_what_is_no_notification_of_cloud_storage_is_said(attributes: dict[str, str], raw: bytes) -> None:
    with pytest.raises(Permanent, match="no notification of Cloud Storage"):
        read_notice(attributes, raw)


def test_a_subscription_of_ours_is_named_alike_whatever_else_changes() -> None:
    assert subscription_of("lake house", "new") == "retrain-lake-house-new"


def test_google_says_what_is_wrong() -> None:
    assert problems("pubSub", projectID="my-project", topic="data") == []
    assert problems("pubSub", projectID="my-project") == [("", "missing-field")]
    assert problems("pubSub", "argoproj.io/v1alpha1", topic="data", endpoint="h:1") == [("endpoint", "unknown-field")]
    assert problems("gcs", topic="data", bucket="B", events=["OBJECT_MADE"]) == [
        ("bucket", "wrong-value"),
        ("events.0", "wrong-value"),
    ]
    assert problems("pubSub", topic="goog-x", endpoint="http://x") == [
        ("topic", "wrong-value"),
        ("endpoint", "wrong-value"),
    ]
