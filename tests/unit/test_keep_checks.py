"""What the doctor makes of figures."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from retrain.app.keeping import checks
from retrain.app.keeping.checks import Checked
from retrain.app.keeping.checkup import certificates, risky
from retrain.app.keeping.risks import Risky, risks
from retrain.app.settings import Settings
from tests.servers.certificates import signing_pair

NOW = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
SAFE = Risky("127.0.0.1", None, (), 0, False, True, False, False, False)


def health(**changes: Any) -> dict[str, Any]:
    return {
        "started": "2026-11-19T00:00:00Z",
        "parts": [{"name": "bus", "ready": True, "vital": True, "waitingFor": None, "since": None}],
        "versions": {"bus": "2.15.1", "retrain": "1"},
        "log": {"first": 1, "last": 10, "read": 10, "lag": 0, "lagSeconds": 0.0},
        "sensors": [],
        "store": {"revision": "0010", "bytes": 100 << 20, "wal": 0},
        "bus": {"kind": "embedded", "messages": 10, "bytes": 10 << 20},
        "disk": {"free": 50 << 30, "total": 100 << 30},
        **changes,
    }


def facts(**changes: Any) -> dict[str, Any]:
    nothing = {"count": 0, "ids": []}
    return {
        "eventsEver": 1000,
        "eventsOfDay": 10,
        "letters": {"count": 0, "oldest": None},
        "stuck": dict.fromkeys(("firings", "runs", "promotions", "outbox"), nothing),
        "leases": [],
        "pages": 100,
        "freePages": 0,
        "shrinks": True,
        "integrity": "ok",
        "integrityS": 2.0,
        **changes,
    }


def bad(found: Any) -> list[tuple[str, str]]:
    """Those that are not ok. Each of them says what it means and what to do."""
    listed: list[Checked] = list(found)
    assert listed, "every check says something"
    assert all(one.means and one.do for one in listed if one.status != "ok"), listed
    return [(one.name, one.status) for one in listed if one.status != "ok"]


def part(**changes: Any) -> dict[str, Any]:
    return {"name": "x", "ready": False, "vital": False, "waitingFor": "y", "since": None, **changes}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (checks.parts(health(), NOW), []),
        (checks.parts(health(parts=[part(vital=True)]), NOW), [("part x", "fail")]),
        (checks.parts(health(parts=[part(since="2026-11-20T08:10:00Z")]), NOW), [("part x", "warn")]),
        (checks.parts(health(parts=[part(since="2026-11-20T07:00:00Z")]), NOW), [("part x", "fail")]),
        (checks.schema(health(), "0010"), []),
        (checks.schema(health(), "0011"), [("schema", "fail")]),
        (checks.lag(health()), []),
        (checks.lag(health(log={"first": 1, "last": 9, "read": 5, "lag": 4, "lagSeconds": 90})), [("lag", "warn")]),
        (checks.lag(health(log={"first": 1, "last": 9, "read": 5, "lag": 4, "lagSeconds": 9000})), [("lag", "fail")]),
        (checks.lag(health(log={"first": 8, "last": 9, "read": 5, "lag": 4, "lagSeconds": 1})), [("log gap", "fail")]),
        (checks.lag(health(log={"first": 6, "last": 5, "read": 5, "lag": 0, "lagSeconds": 0})), []),
        (checks.lag(health(log=dict.fromkeys(("first", "last", "read", "lag", "lagSeconds")))), [("log", "fail")]),
        (checks.bus(health()), []),
        (checks.bus(health(bus={"kind": "server", "messages": None, "bytes": None})), [("bus", "fail")]),
        (checks.store(health(), facts()), []),
        (checks.store(health(), facts(integrity=None)), []),
        (checks.store(health(), facts(integrity="row 4 missing")), [("store", "fail")]),
        (checks.store(health(), facts(shrinks=False, freePages=40)), [("store room", "warn")]),
        (checks.store(health(store={"revision": "", "bytes": 1, "wal": 2 << 30}), facts()), [("store log", "warn")]),
        (checks.room(health(), facts()), []),
        (checks.room(health(), facts(eventsOfDay=0)), []),
        (checks.room(health(disk={"free": 1 << 20, "total": 1 << 40}), facts()), [("disk", "fail")]),
        (checks.room(health(disk={"free": 2 << 30, "total": 1 << 40}), facts(eventsOfDay=1000)), [("disk", "warn")]),
        (checks.room(health(disk={"free": None, "total": None}), facts()), [("disk", "warn")]),
        (checks.work(facts()), []),
        (checks.work(facts(letters={"count": 3, "oldest": "yesterday"})), [("dead letters", "warn")]),
        (checks.work(facts(leases=["shop"])), [("leases", "warn")]),
        (
            checks.work(facts(stuck={**facts()["stuck"], "runs": {"count": 1000, "ids": ["a"]}})),
            [("stuck runs", "fail")],
        ),
        (
            checks.sources([{"name": "a/b", "last": NOW - timedelta(hours=4), "usual": 60.0}], NOW),
            [("source a/b", "warn")],
        ),
        (checks.sources([{"name": "a/b", "last": NOW - timedelta(minutes=4), "usual": 60.0}], NOW), []),
        (checks.sources([{"name": "a/b", "last": NOW - timedelta(days=9), "usual": None}], NOW), []),
        (checks.ends([("token a", NOW + timedelta(days=99))], NOW), []),
        (checks.ends([("token a", NOW + timedelta(days=9))], NOW), [("token a", "warn")]),
        (checks.ends([("token a", NOW - timedelta(days=1))], NOW), [("token a", "fail")]),
        (risks(SAFE), []),
        ([checks.skew(0.4, 1.0), checks.versions("1", "1")], []),
        ([checks.skew(5.0, 1.0), checks.skew(-99.0, 1.0)], [("clock", "warn"), ("clock", "fail")]),
        ([checks.versions("1", "2")], [("versions", "warn")]),
    ],
)
def test_a_check_says_what_is_wrong_what_it_means_and_what_to_do(found: Any, said: list[tuple[str, str]]) -> None:
    assert bad(found) == said


def test_the_worst_counts() -> None:
    assert checks.worst([Checked("a", "ok", ""), Checked("b", "warn", "")]) == "warn"
    assert checks.worst([Checked("b", "warn", ""), Checked("a", "fail", "")]) == "fail"
    assert checks.worst([]) == "ok"


def test_risky_settings_are_named() -> None:
    settings = Settings(
        server={"host": "0.0.0.0", "token": "short"},  # pyright: ignore[reportArgumentType]
        access={"users": {"ada": {"token": "x" * 20}}},  # pyright: ignore[reportArgumentType]
        pipelines={"any_image": True},  # pyright: ignore[reportArgumentType]
    )
    found = bad(risks(risky(settings, {"RETRAIN_FAULT": "x", "RETRAIN_LOG_LEVEL": "debug"})))

    assert {name.removeprefix("settings ") for name, _ in found} == {
        *("fault", "host", "token", "users", "images", "private addresses", "logs"),
    }
    shared = Settings(server={"token": "x" * 40})  # pyright: ignore[reportArgumentType]
    assert bad(risks(risky(shared, {}))) == [("settings shared token", "warn")]


def test_certificates_in_secrets_are_read() -> None:
    _, pem = signing_pair()
    plain = {"kind": "Secret", "metadata": {"name": "tls"}, "stringData": {"crt": pem, "x": "y"}}
    coded = {"kind": "Secret", "metadata": {"name": "tls"}, "data": {"crt": b64encode(pem.encode()).decode()}}
    torn = {"kind": "Secret", "metadata": {"name": "tls"}, "stringData": {"crt": "-----BEGIN CERTIFICATE-----\ntorn"}}

    ((what, when),) = certificates(plain)
    assert what == "certificate tls/crt"
    assert when.tzinfo is not None
    assert list(certificates(coded)) == [(what, when)]
    assert list(certificates(torn)) == []
