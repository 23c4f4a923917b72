"""What every answer has around it: problems, request ids, HEAD, OPTIONS, ETags, 304, gzip, pages."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from retrain.store import runs
from retrain.store.runs import RunRow
from retrain.web.bodies import LONGEST
from retrain.web.envelope import LONGEST_TARGET
from tests.integration.page_house import House, house

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
JSON = {"content-type": "application/json"}
PROBLEM = "application/problem+json"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path) as found:
        yield found


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path, people=True) as found:
        yield found


def run_row(name: str, **more: Any) -> RunRow:
    words: dict[str, Any] = {"created": NOW, "phase": "Succeeded", "finished": NOW, **more}
    return RunRow(f"r-{name}", name, "orders", {"spec": {"text": "x" * 5000}}, {}, **words)


async def filled(found: House, *rows: RunRow) -> None:
    await found.store.write(lambda c: runs.submit(c, rows))


def problem(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == PROBLEM, answer.text
    said = answer.json()
    assert {"type", "title", "status", "detail", "instance", "error", "requestId"} <= said.keys()
    assert said["status"] == answer.status_code
    assert said["error"] == said["detail"]
    assert said["requestId"] == answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    return said


async def test_each_way_to_be_refused_is_a_problem(here: House) -> None:
    async with here.visitor() as one:
        answers = {
            "nowhere": await one.get("/api/v1/nothing"),
            "nothing": await one.get("/api/v1/runs/nothing"),
            "method": await one.patch("/api/v1/runs"),
            "limit": await one.get("/api/v1/runs?limit=0"),
            "cursor": await one.get("/api/v1/runs?cursor=5.x"),
            "age": await one.get("/api/v1/runs?since=soon"),
            "form": await one.post("/api/v1/reload", content=b"a=b", headers={"content-type": "text/plain"}),
            "json": await one.post("/api/v1/reload", content=b"{", headers=JSON),
            "list": await one.post("/api/v1/sensors/replay", content=b"[]", headers=JSON),
            "packed": await one.post("/api/v1/reload", content=b"x", headers={**JSON, "content-encoding": "br"}),
            "long": await one.post("/api/v1/reload", content=b" " * (LONGEST + 1), headers=JSON),
            "target": await one.get(f"/api/v1/find?q={'x' * LONGEST_TARGET}"),
            "nul": await one.get("/api/v1/find?q=%00"),
            "host": await one.get("/api/v1/runs", headers={"host": "evil.example"}),
        }
    found = {name: (answer.status_code, problem(answer)) for name, answer in answers.items()}

    assert {name: status for name, (status, _) in found.items()} == {
        "nowhere": 404,
        "nothing": 404,
        "method": 405,
        "limit": 422,
        "cursor": 422,
        "age": 422,
        "form": 415,
        "json": 400,
        "list": 422,
        "packed": 415,
        "long": 413,
        "target": 414,
        "nul": 400,
        "host": 403,
    }
    assert answers["method"].headers["allow"] == "GET, HEAD, OPTIONS"
    assert found["limit"][1]["errors"] == [
        {"parameter": "limit", "in": "query", "detail": "Input should be greater than or equal to 1"}
    ]
    assert "none that a list gave" in found["cursor"][1]["detail"]
    assert found["nothing"][1]["instance"] == "/api/v1/runs/nothing"


async def test_a_stranger_and_somebody_without_the_role_get_problems(office: House) -> None:
    async with office.visitor() as stranger, office.visitor("vic") as viewer:
        unknown = await stranger.get("/api/v1/runs")
        unentitled = await viewer.post("/api/v1/reload", json={})
        text = await viewer.get(problem(unentitled)["type"])

    assert (unknown.status_code, problem(unknown)["type"]) == (401, "/problems/who-are-you")
    assert unknown.headers["www-authenticate"].startswith("Bearer")
    assert "needs the role operator" in problem(unentitled)["detail"]
    assert "You may not do that" in text.text


async def test_errors_of_the_page_stay_views(here: House) -> None:
    async with here.visitor() as one:
        answer = await one.get("/ui/run?name=nothing")

    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert answer.headers["x-request-id"]


async def test_a_request_id_comes_back_and_stands_in_the_log(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_down(*_: object) -> None:
        raise ZeroDivisionError

    async with here.visitor() as one:
        mine = await one.get("/api/v1/runs", headers={"x-request-id": "deploy-17/a.b"})
        odd = [(await one.get("/healthz", headers={"x-request-id": said})) for said in ("", "a b", "x" * 129, "<b>")]
        monkeypatch.setattr(type(here.services), "ask", break_down)
        with capture_logs() as lines:
            bug = await one.get("/api/v1/runs")

    assert mine.headers["x-request-id"] == "deploy-17/a.b"
    assert len({answer.headers["x-request-id"] for answer in odd}) == 4
    assert problem(bug)["type"] == "/problems/bug"
    assert "ZeroDivisionError" not in bug.text
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["http.bug"]


async def test_head_is_get_without_a_body_and_options_says_what_is_allowed(here: House) -> None:
    await filled(here, run_row("a"))
    async with here.visitor() as one:
        for path in ("/api/v1/runs", "/api/v1/runs/a", "/ui/runs", "/healthz", "/openapi.json", "/api/v1/runs/none"):
            got, head = await one.get(path), await one.head(path)
            assert (head.status_code, head.content) == (got.status_code, b"")
            same = {name for name in got.headers if name not in {"x-request-id", "content-length"}}
            assert {name: head.headers[name] for name in same} == {name: got.headers[name] for name in same}, path
        endless = await one.head("/api/v1/events/tail")
        options = await one.options("/api/v1/events")

    assert (endless.status_code, endless.content) == (200, b"")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


async def test_what_has_not_changed_is_not_sent_again(here: House) -> None:
    await filled(here, run_row("a"), run_row("b", phase="Running", finished=None))
    async with here.visitor() as one:
        for path in ("/api/v1/runs", "/api/v1/runs/a", "/api/v1/runs/b"):
            first = await one.get(path, headers={"accept-encoding": "identity"})
            tag = first.headers["etag"]
            for form in (tag, f"W/{tag}", f'"other", {tag}', f'{tag[:-1]}-gzip"', "*"):
                same = await one.get(path, headers={"if-none-match": form})
                assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag), (path, form)
            assert (await one.get(path, headers={"if-none-match": '"other"'})).status_code == 200
            assert first.headers["cache-control"] == "private, no-cache"
        before = (await one.get("/api/v1/runs")).headers["etag"]
        await filled(here, run_row("c"))
        after = await one.get("/api/v1/runs", headers={"if-none-match": before})

    assert after.status_code == 200


async def test_a_long_answer_is_short_for_who_takes_gzip(here: House) -> None:
    await filled(here, run_row("a"))
    async with here.visitor() as one:
        plain = await one.get("/api/v1/runs/a", headers={"accept-encoding": "identity"})
        async with one.stream("GET", "/api/v1/runs/a", headers={"accept-encoding": "gzip"}) as packed:
            raw = b"".join([part async for part in packed.aiter_raw()])
        view = await one.get("/ui/runs", headers={"accept-encoding": "gzip"})

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 3
    assert packed.headers["etag"] == f'{plain.headers["etag"][:-1]}-gzip"'
    assert packed.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in view.headers  # it holds the word of the session's forms


async def test_what_was_looked_at_may_bind_what_is_done(here: House) -> None:
    await filled(here, run_row("a"))
    async with here.visitor() as one:
        tag = (await one.get("/api/v1/runs/a")).headers["etag"]
        stale = await one.post("/api/v1/runs/a/stop", json={}, headers={"if-match": '"old"'})
        fresh = await one.post("/api/v1/runs/a/stop", json={}, headers={"if-match": tag})
        nothing = await one.post("/api/v1/runs/none/stop", json={}, headers={"if-match": "*"})

    assert (stale.status_code, problem(stale)["type"]) == (412, "/problems/changed")
    assert fresh.status_code == 404  # this process has no such action: it was asked
    assert nothing.status_code == 412


async def test_pages_lead_to_the_next_one(here: House) -> None:
    await filled(here, *(run_row(f"run-{n}") for n in range(7)))
    found: list[str] = []
    async with here.visitor() as one:
        path = "/api/v1/runs?limit=3&workflow=orders"
        while path:
            answer = await one.get(path)
            found += [item["metadata"]["name"] for item in answer.json()["items"]]
            link = answer.headers.get("link", "")
            assert bool(link) == bool(answer.json()["next"])
            await filled(here, run_row(f"new-{len(found)}", created=NOW.replace(year=2027)))
            path = link.removeprefix("<").partition(">")[0]

    assert sorted(found) == [f"run-{n}" for n in range(7)]


# --- whatever is sent ------------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.text(max_size=40),
    st.sampled_from(["\0", "\u202e", "\U0010ffff", "9" * 400, "-1", "NaN", "../../etc/passwd", "%", "a" * 7000]),
    st.integers(-(10**30), 10**30).map(str),
)
READS = (
    *(f"/api/v1/{noun}" for noun in ("events", "runs", "firings", "promotions", "deadletters", "audit", "sensors")),
    "/api/v1/event",
    "/api/v1/find",
    "/api/v1/trace",
)
WORDS = ("cursor", "limit", "id", "q", "source", "phase", "labels", "since", "sort", "columns", "state", "subject")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(READS), st.dictionaries(st.sampled_from(WORDS), ODD, max_size=3))
async def test_whatever_is_asked_is_answered_or_refused(here: House, path: str, words: dict[str, str]) -> None:
    async with here.visitor() as one:
        answer = await one.get(path, params=words)

    assert answer.status_code in {200, 400, 404, 414, 422}, answer.text
    if answer.status_code >= 400:
        assert problem(answer)["detail"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ODD)
async def test_whatever_a_thing_is_called_there_is_none(here: House, name: str) -> None:
    async with here.visitor() as one:
        for noun in ("runs", "firings", "sensors", "promotions", "deadletters", "models"):
            url = httpx2.URL("http://127.0.0.1:7300").copy_with(
                raw_path=b"/api/v1/%s/%s" % (noun.encode(), quoted(name))
            )
            answer = await one.get(url)
            assert answer.status_code in {200, 400, 404, 405, 414}, (noun, answer.text)


def quoted(name: str) -> bytes:
    return "".join(f"%{byte:02X}" for byte in name.encode("utf-8", "surrogatepass")).encode() or b"x"


BODIES = [
    b"[" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"reason": "\\ud800"}',
    b'{"reason": "\\u0000"}',
    b'{"priority": ' + b"9" * 5000 + b"}",
    b'{"priority": 1e400}',
    b'{"reason": NaN}',
    b"\xff\xfe{}",
    b"null",
    b'"text"',
    b'{"' + b"k" * 60_000 + b'": "v"}',
    json.dumps({"parameters": {"x": {"y": 1}}}).encode(),
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_a_hostile_body_is_refused_with_a_reason(here: House, body: bytes) -> None:
    await filled(here, run_row("a"))
    asked = ("runs/a/stop", "runs/a/resubmit", "runs/a/set", "sensors/replay", "promotions/p/hold", "firings/f/approve")
    async with here.visitor() as one:
        for path in asked:
            answer = await one.post(f"/api/v1/{path}", content=body, headers=JSON)
            assert 400 <= answer.status_code < 500, (path, answer.text)
            assert len(problem(answer)["detail"]) < 3000


async def test_files_of_the_page_may_be_kept_for_good_under_their_own_address(here: House) -> None:
    async with here.visitor() as one:
        view = await one.get("/ui/runs")
        named = sorted(set(re.findall(r'"(/ui/static/[^"]+)"', view.text)))
        answers = [await one.get(path, headers={"accept-encoding": "identity"}) for path in named]
        packed = [await one.get(path, headers={"accept-encoding": "gzip"}) for path in named if ".svg" not in path]
        stale = await one.get("/ui/static/page.css?v=0123456789ab")
        outside = await one.get("/ui/static/..%2f..%2fapi.py?v=")

    assert len(named) >= 4
    assert {answer.headers["cache-control"] for answer in answers} == {"public, max-age=31536000, immutable"}
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["content-encoding"] for answer in packed} == {"gzip"}
    assert stale.headers["cache-control"] == "public, max-age=3600"
    assert outside.status_code == 404
