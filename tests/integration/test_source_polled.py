"""The httpPoll and prometheus sources against real servers: changes, validators, redirects, and what is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
import pytest

from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import Platform, Secrets, bodies, document, state, until
from tests.servers.http_server import HttpServer, http_server

if TYPE_CHECKING:
    from tests.servers.prometheus_server import PrometheusServer

PATH = "/data.json"


@pytest.fixture
def site() -> Iterator[HttpServer]:
    with http_server(documents={PATH: b'{"n": 1}'}) as server:
        yield server


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store) -> Platform:
    secrets = {("web", "token"): "very-secret-token", ("prometheus", "user"): "ann"}
    return Platform(memory_bus, store, Secrets({**secrets, ("prometheus", "password"): "hunter22"}))


def poll(site: HttpServer, path: str = PATH, **more: Any) -> Any:
    return document(httpPoll={"thing": {"url": f"{site.url}{path}", "every": "100ms", **more}})


async def test_each_content_is_told_once_also_when_it_comes_back(platform: Platform, site: HttpServer) -> None:
    async with platform.running(poll(site)):
        await platform.records(1)
        site.documents[PATH] = b"text"
        await platform.records(2)
        site.documents[PATH] = b'{"n": 1}'
        found = bodies(await platform.records(3))

    assert [data["body"] for data in found] == [{"n": 1}, "text", {"n": 1}]
    assert found[0]["digest"].startswith("sha256:")
    assert found[0]["size"] == 8


async def test_what_has_not_changed_is_not_sent_again(platform: Platform, site: HttpServer) -> None:
    async with platform.running(poll(site)) as host:
        await platform.records(1)
        await until(lambda: site.asked.count(("GET", PATH, 304)) >= 2)
        await state(host, "listening")
    async with platform.running(poll(site)) as host:
        await state(host, "listening")

    assert site.asked.count(("GET", PATH, 200)) == 1
    assert len(await platform.all()) == 1


async def test_the_content_counts_where_there_are_no_validators(platform: Platform, site: HttpServer) -> None:
    site.etags = False
    async with platform.running(poll(site)):
        await until(lambda: len(site.asked) >= 3)
        site.documents[PATH] = b'{"n": 2}'
        await platform.records(2)

    assert len(await platform.all()) == 2


async def test_a_big_file_is_not_fetched(platform: Platform, site: HttpServer) -> None:
    async with platform.running(poll(site, body=False)):
        await platform.records(1)
        site.documents[PATH] = b"other"
        found = bodies(await platform.records(2))

    assert {method for method, _, _ in site.asked} == {"HEAD"}
    assert [data["size"] for data in found] == [8, 5]
    assert "body" not in found[0]


async def test_without_body_and_validators_it_says_what_is_missing(platform: Platform, site: HttpServer) -> None:
    site.etags = False
    async with platform.running(poll(site, body=False)) as host:
        waiting = await state(host, "waiting")

    assert "neither ETag nor Last-Modified" in (waiting.waiting_for or "")


async def test_items_that_are_new_or_have_changed_are_told(platform: Platform, site: HttpServer) -> None:
    def show(*items: dict[str, Any]) -> None:
        site.documents[PATH] = orjson.dumps({"results": items})

    show({"id": "a", "rows": 1}, {"id": "b", "rows": 1})
    async with platform.running(poll(site, each={"path": "results", "id": "id"}, existing="skip")) as host:
        await state(host, "listening")
        show({"id": "a", "rows": 2}, {"id": "c", "rows": 1}, {"id": "b", "rows": 1})
        found = bodies(await platform.records(2))

    assert [data["item"] for data in found] == [{"id": "a", "rows": 2}, {"id": "c", "rows": 1}]


async def test_credentials_do_not_follow_to_another_host(platform: Platform, site: HttpServer) -> None:
    with http_server(documents={"/there": b"x"}) as other:
        site.statuses[PATH] = 302
        site.headers["Location"] = f"{other.url}/there"
        async with platform.running(poll(site, token={"name": "web", "key": "token"})):
            await platform.records(1)

        assert site.requests[0]["authorization"] == "Bearer very-secret-token"
        assert "authorization" not in other.requests[0]


@pytest.mark.parametrize(
    ("where", "said"), [("file:///etc/passwd", "not followed"), ("/loop", "leads on and on"), ("/", "answers 404")]
)
async def test_redirects_that_lead_nowhere_are_said(
    platform: Platform, site: HttpServer, where: str, said: str
) -> None:
    site.statuses |= {PATH: 302, "/loop": 302}
    site.headers["Location"] = where
    async with platform.running(poll(site)) as host:
        waiting = await state(host, "waiting")

    assert said in (waiting.waiting_for or "")


async def test_a_document_that_is_too_big_is_said(platform: Platform, site: HttpServer) -> None:
    async with platform.running(poll(site, maxBodySize=4)) as host:
        waiting = await state(host, "waiting")

    assert "more than 4 bytes" in (waiting.waiting_for or "")


async def test_what_must_be_json_and_is_not_is_one_dead_letter(platform: Platform, site: HttpServer) -> None:
    site.documents[PATH] = b"{oops"
    async with platform.running(poll(site, jsonBody=True)) as host:
        (letter,) = await platform.letters(1)
        asked = len(site.asked)
        await until(lambda: len(site.asked) > asked + 2)
        site.documents[PATH] = b"{}"
        await platform.records(1)
        buried = host.states()[0].buried

    assert (letter.body, buried) == (b"{oops", 1)


# --- prometheus --------------------------------------------------------------------------------------------------


def drift(server: PrometheusServer, test: str, **more: Any) -> Any:
    auth = {"username": {"name": "prometheus", "key": "user"}, "password": {"name": "prometheus", "key": "password"}}
    query = f'score{{test="{test}"}} > 0.5'
    return document(prometheus={"thing": {"url": server.url, "query": query, "every": "100ms", "auth": auth, **more}})


@pytest.mark.integration
async def test_drift_is_told_when_it_begins_and_when_it_is_over(
    platform: Platform, prometheus: PrometheusServer
) -> None:
    test = uuid4().hex

    def show(value: float) -> None:
        prometheus.figures[test, "digits"] = value
        prometheus.show()

    async with platform.running(drift(prometheus, test)) as host:
        await state(host, "listening")
        show(0.9)
        await platform.records(1)
        show(0.1)
        first, second = bodies(await platform.records(2))
    show(0.7)
    async with platform.running(drift(prometheus, test)):
        records = await platform.records(3)

    assert [first["status"], second["status"], records[2].event.data["status"]] == ["firing", "resolved", "firing"]
    assert (first["value"], first["labels"]["name"], first["endsAt"]) == (0.9, "digits", None)
    assert second["startsAt"] == first["startsAt"] < second["endsAt"]
    assert len({record.event.id for record in records}) == 3


@pytest.mark.integration
async def test_a_server_that_is_away_ends_nothing(platform: Platform, prometheus: PrometheusServer) -> None:
    test = uuid4().hex
    prometheus.figures[test, "digits"] = 1.0
    prometheus.show()
    async with platform.running(drift(prometheus, test)) as host:
        await platform.records(1)
        prometheus.kill()
        await state(host, "waiting")
        prometheus.start()
        listening = await state(host, "listening")

    assert listening.note == "1 firing"
    assert len(await platform.all()) == 1


@pytest.mark.integration
async def test_a_query_that_is_wrong_is_said(platform: Platform, prometheus: PrometheusServer) -> None:
    async with platform.running(drift(prometheus, "x", query="sum(")) as host:
        waiting = await state(host, "waiting")

    assert "answers 400" in (waiting.waiting_for or "")
    assert "parse error" in (waiting.waiting_for or "")
