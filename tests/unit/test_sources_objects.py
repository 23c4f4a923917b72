"""What records of objects say, what objects are known by, and which of them make a data set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsources import EventSourceDocument
from eventsources.objects.s3_keys import Inventory, Removal
from eventsources.objects.s3_records import (
    ObjectVersion,
    data_of,
    notices_of,
    passing_thing,
    read_notice,
    version_thing,
    wants,
)
from eventsources.objects.sets import DataSet, Rule, Walk
from eventsources.spec import check

OBJECT = {"key": "train%2Fa+b%2B%C3%BC.csv", "size": 8, "eTag": "e1", "versionId": "null", "sequencer": "S"}
RECORD = {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": OBJECT}}
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_record_is_read_and_what_may_be_an_encoded_key_is_said() -> None:
    def key(text: str) -> tuple[str, str | None]:
        record = {**RECORD, "s3": {"bucket": {"name": "b"}, "object": {**OBJECT, "key": text}}}
        notice = read_notice(record)
        assert notice is not None
        assert (notice.version.version, notice.lasting) == ("", True)
        return notice.version.key, notice.decoded

    assert key("train%2Fa+b.csv") == ("train%2Fa+b.csv", "train/a b.csv")
    assert key("train/a+b.csv") == ("train/a+b.csv", None)
    assert key("a.csv") == ("a.csv", None)


def test_keys_of_queues_and_webhooks_are_decoded_for_sure() -> None:
    (notice,) = notices_of({"Records": [RECORD, {"s3": 1}]})

    assert (notice.version.key, notice.decoded) == ("train/a b+ü.csv", None)
    assert list(notices_of({"Event": "s3:TestEvent"})) == []


@pytest.mark.parametrize("record", [None, [], {}, {"s3": 1}, {"s3": {"object": {}}, "eventName": "x"}])
def test_what_is_no_record_is_passed_over(record: object) -> None:
    assert read_notice(record) is None


def test_a_version_has_one_id_whether_it_was_listed_or_told_of() -> None:
    thing = {**OBJECT, "key": "train/a b+ü.csv", "versionId": "v1"}
    notice = read_notice({**RECORD, "s3": {"bucket": {"name": "b"}, "object": thing}})
    assert notice is not None

    listed = ObjectVersion("b", "train/a b+ü.csv", "e1", "v1")

    assert version_thing(notice.version) == version_thing(listed)
    assert passing_thing(notice) != version_thing(listed)


def test_the_key_is_as_the_server_sent_it_and_plain_in_ours() -> None:
    argo = data_of(RECORD, "train/a b+ü.csv", plain=False)
    ours = data_of(RECORD, "train/a b+ü.csv", plain=True)

    assert argo == {"notification": [RECORD]}
    assert ours["notification"][0]["s3"]["object"]["key"] == "train/a b+ü.csv"


def test_event_patterns_mean_what_they_say() -> None:
    assert wants(["s3:ObjectCreated:*"], "s3:ObjectCreated:Put")
    assert not wants(["s3:ObjectRemoved:*", "s3:ObjectCreated:Copy"], "s3:ObjectCreated:Put")


# --- removals: a memory that is compared with listings, page by page ------------------------------------------------


class Memory:
    """Checkpoints in a dict, in the order of names as the store has it."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    async def get(self, scope: str, names: Any) -> dict[str, Any]:
        return {name: self.rows[name] for name in names if name in self.rows}

    async def after(self, scope: str, name: str, limit: int) -> dict[str, Any]:
        return {one: self.rows[one] for one in sorted(self.rows) if one > name and limit} if limit else {}

    async def save(self, scope: str, values: Any) -> None:
        self.rows.update(values)

    async def forget(self, scope: str, names: Any) -> None:
        for name in names:
            self.rows.pop(name, None)


keys = st.sets(st.text("abc/é𝄞 \n", min_size=1, max_size=4), max_size=12)


@given(keys, keys, st.integers(1, 5))
async def test_what_a_listing_does_not_show_any_more_is_found_in_pages_of_any_size(
    before: set[str], after: set[str], size: int
) -> None:
    memory: Any = Memory()
    inventory = Inventory(memory, "s")

    async def walk(found: set[str]) -> list[Removal]:
        inventory.begin()
        ordered = [ObjectVersion("b", key, "e", modified=NOON) for key in sorted(found, key=str.encode)]
        gone: list[Removal] = []
        for start in range(0, len(ordered), size):
            page = ordered[start : start + size]
            gone += await inventory.page(page, upto=page[-1].key)
        return gone + await inventory.page([], upto=None)

    assert await walk(before) == []
    gone = await walk(after)

    assert {one.key for one in gone} == before - after
    assert set(await inventory.stamps(before | after)) == before | after


# --- data sets -------------------------------------------------------------------------------------------------------


def listed(*names: str) -> list[ObjectVersion]:
    return [ObjectVersion("b", name, f"e-{name}", modified=NOON, size=len(name)) for name in sorted(names)]


def gathered(rule: Rule, versions: list[ObjectVersion]) -> dict[str, DataSet]:
    walk = Walk(rule)
    done = [one for version in versions for one in walk.add([version])] + walk.end()
    assert len({one.folder for one in done}) == len(done)
    return {one.folder: one for one in done}


def keys_of(found: DataSet) -> list[str]:
    return [part["key"] for part in found.parts]


def test_a_set_is_each_objects_own_folder() -> None:
    found = gathered(Rule(1), listed("a/1", "a/b/2", "a/b/", "a/z", "top"))

    assert {folder: keys_of(one) for folder, one in found.items()} == {
        "a/": ["a/1", "a/z"],
        "a/b/": ["a/b/2"],
        "": ["top"],
    }
    assert found["a/"].size == 6


def test_a_set_is_the_folder_that_a_pattern_names_with_all_below() -> None:
    found = gathered(Rule(1, folder="train/*/"), listed("train/x/1", "train/x/y/2", "train/z", "other/x/1"))

    assert {folder: keys_of(one) for folder, one in found.items()} == {"train/x/": ["train/x/1", "train/x/y/2"]}


def test_a_set_is_the_folder_with_the_marker_and_all_below() -> None:
    rule = Rule(1, marker="_SUCCESS", suffix=".csv")
    found = gathered(rule, listed("out/_SUCCESS", "out/d=1/a.csv", "out/d=1/a.crc", "out/d=2/b.csv", "raw/a.csv"))
    marked = {folder: keys_of(one) for folder, one in found.items() if one.marker}

    assert marked == {"out/": ["out/d=1/a.csv", "out/d=2/b.csv"]}


def test_the_digest_tells_any_change_and_does_not_hang_on_what_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = listed("a/1", "a/2")
    other = [versions[0], ObjectVersion("b", "a/2", "other", modified=NOON, size=3)]
    whole = gathered(Rule(1), versions)["a/"]
    changed = gathered(Rule(1), other)["a/"]
    cramped = DataSet("a/", _room=150)
    for one in versions:
        cramped.add(one)

    assert whole.digest != changed.digest
    assert cramped.digest == whole.digest
    assert (len(cramped.parts), cramped.data("b")["partsLeftOut"], cramped.count) == (1, 1, 2)
    assert "partsLeftOut" not in whole.data("b")


# --- what is written wrong -------------------------------------------------------------------------------------------

MINIO = {
    "endpoint": "h:9000",
    "bucket": {"name": "b"},
    "accessKey": {"name": "s", "key": "a"},
    "secretKey": {"name": "s", "key": "b"},
}
S3 = {"region": "eu-central-1", "bucket": {"name": "b"}}


def problems(kind: str, more: dict[str, Any], version: str = "retrain.dev/v1") -> list[str]:
    entry = {**(MINIO if kind == "minio" else S3), **more}
    document = {"apiVersion": version, "kind": "EventSource", "metadata": {"name": "e"}, "spec": {kind: {"x": entry}}}
    return [
        f"{'.'.join(map(str, one.path[3:]))}: {one.code}" for one in check(EventSourceDocument.model_validate(document))
    ]


@pytest.mark.parametrize(
    ("kind", "more", "wrong"),
    [
        ("minio", {}, []),
        ("minio", {"buckets": ["c", "b"], "stable": {"quiet": "5s", "folder": "train/*/"}}, []),
        ("minio", {"bucket": None, "buckets": ["c"], "marker": "_SUCCESS"}, []),
        ("minio", {"bucket": None}, ["bucket: missing-field"]),
        ("minio", {"buckets": [""]}, ["buckets: wrong-value"]),
        ("minio", {"marker": "x/_SUCCESS"}, ["marker: wrong-value"]),
        ("minio", {"stable": {"quiet": "soon"}}, ["stable.quiet: wrong-value"]),
        ("minio", {"stable": {"folder": "tr*n/"}}, ["stable.folder: wrong-value"]),
        ("minio", {"marker": "_OK", "stable": {"folder": "*/"}}, ["stable.folder: wrong-value"]),
        ("minio", {"notifications": {}}, ["notifications: missing-field"]),
        ("minio", {"notifications": {"arn": "x", "webhook": {"endpoint": "/m"}}}, ["notifications.arn: wrong-value"]),
        ("s3", {}, []),
        ("s3", {"region": ""}, [": missing-field"]),
        ("s3", {"endpoint": "h:9000"}, ["endpoint: wrong-value"]),
        ("s3", {"accessKey": {"name": "s", "key": "a"}}, ["secretKey: missing-field"]),
        ("s3", {"events": ["ObjectCreated"]}, ["events.0: wrong-value"]),
        ("s3", {"notifications": {"sqs": {"queue": "q"}}}, []),
        (
            "s3",
            {"notifications": {"arn": "arn:aws:sns:x"}},
            ["notifications: missing-field", "notifications.arn: wrong-value"],
        ),
        ("s3", {"roleARN": "me"}, ["roleARN: wrong-value"]),
    ],
)
def test_what_is_wrong_is_said_at_its_place(kind: str, more: dict[str, Any], wrong: list[str]) -> None:
    assert problems(kind, more) == wrong


def test_what_only_ours_has_is_refused_in_argos() -> None:
    more = {"buckets": ["c"], "stable": {}, "marker": "", "notifications": {"webhook": {"endpoint": "/m"}}}

    assert problems("minio", more, "argoproj.io/v1alpha1") == [
        f"{name}: unknown-field" for name in ("buckets", "notifications", "stable", "marker")
    ]
