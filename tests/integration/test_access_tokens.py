"""Tokens and sessions that people make and end, at the real doors; and that all of it is on record."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, text, update

from pipelines.core.happenings import Suspend
from retrain.app.looking import queries
from retrain.identity import SPEAKING, Principal
from retrain.store import audit
from retrain.store.audit import DeedFilter
from retrain.store.tables import sessions, tokens
from retrain.web.remembered import BELIEVED
from retrain.web.sessions import COOKIE, SECURE_COOKIE, Sessions, Visit
from tests.integration.access_world import FORM, log_in, premises, word_of
from tests.integration.page_house import House, Seen, house, token_of


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[House]:
    async with premises(tmp_path) as found:
        yield found


async def made(visitor: httpx2.AsyncClient, **wish: Any) -> dict[str, Any]:
    answer = await visitor.post("/api/v1/tokens", json={"label": "for a test", **wish})
    assert answer.status_code == 201, answer.text
    return answer.json()


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def deeds(office: House, **which: Any) -> list[audit.Deed]:
    return (await office.store.read(lambda c: audit.listing(c, DeedFilter(**which)))).items


async def test_a_token_opens_what_it_says_until_it_is_revoked(office: House) -> None:
    async with office.visitor("eve") as eve, office.visitor() as anybody:
        token = await made(eve, roles=["viewer"])
        seen = await anybody.get("/api/v1/me", headers=bearer(token["token"]))
        refused = await anybody.post("/api/v1/reload", headers=bearer(token["token"]))
        listed = (await eve.get("/api/v1/tokens")).json()["items"]
        ended = await eve.delete(f"/api/v1/tokens/{token['id']}")
        after = await anybody.get("/api/v1/me", headers=bearer(token["token"]))
        record = [one.action for one in await deeds(office, action="tokens")]

    assert re.fullmatch(r"rtn_[0-9A-Za-z]{49}", token["token"])
    assert (seen.json()["name"], seen.json()["roles"], seen.json()["verified"]) == ("eve", ["viewer"], True)
    assert (refused.status_code, ended.status_code, after.status_code) == (403, 200, 401)
    assert [(one["id"], "token" in one) for one in listed] == [(token["id"], False)]
    assert record == ["tokens.revoke", "tokens.create"]


async def test_the_token_itself_is_nowhere_but_in_the_answer(
    office: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with office.visitor("eve") as eve, office.visitor() as anybody:
        token = (await made(eve))["token"]
        entered = await log_in(anybody, token)
        cookie = entered.headers["set-cookie"].partition("=")[2].partition(";")[0]
        await anybody.get("/ui/tokens")
        shown = [(await eve.get(path)).text for path in ("/api/v1/tokens", "/api/v1/audit", "/ui/tokens", "/ui/audit")]
        await office.store.write(lambda c: c.execute(text("SELECT 1")))
    kept = b"".join((tmp_path / f"store.db{end}").read_bytes() for end in ("", "-wal"))
    said = "".join(capsys.readouterr()) + "".join(shown)

    for secret in (token, cookie, token_of("eve")):
        assert secret not in said
        assert secret.encode() not in kept


async def test_a_token_gives_no_more_than_its_owner_has_now(office: House) -> None:
    async with office.visitor("root") as root:
        token = await made(root, roles=["admin", "operator@a"])
    await office.store.write(lambda c: c.execute(update(tokens).values(owner="vic")))
    async with office.visitor() as anybody:
        shrunk = await anybody.get("/api/v1/me", headers=bearer(token["token"]))
        await office.store.write(lambda c: c.execute(update(tokens).values(owner="gone")))
        assert office.access.keys is not None
        row = (await office.store.read(lambda c: c.execute(select(tokens)))).one()
        office.access.keys.forget(row.digest)
        gone = await anybody.get("/api/v1/me", headers=bearer(token["token"]))

    assert (shrunk.json()["name"], shrunk.json()["roles"]) == ("vic", ["viewer"])
    assert gone.status_code == 401


async def test_an_expired_token_opens_nothing(office: House) -> None:
    async with office.visitor("eve") as eve, office.visitor() as anybody:
        token = await made(eve, days=1)
        assert (await anybody.get("/api/v1/runs", headers=bearer(token["token"]))).status_code == 200
        past = office.services.clock.now() - timedelta(seconds=1)
        await office.store.write(lambda c: c.execute(update(tokens).values(expires=past)))
        assert office.access.keys is not None
        row = (await office.store.read(lambda c: c.execute(select(tokens)))).one()
        office.access.keys.forget(row.digest)
        late = await anybody.get("/api/v1/runs", headers=bearer(token["token"]))
        listed = (await eve.get("/api/v1/tokens")).json()["items"]

    assert (late.status_code, listed[0]["state"]) == (401, "expired")


async def test_a_token_makes_no_stronger_and_no_longer_one_and_ends_with_its_maker(office: House) -> None:
    async with office.visitor("eve") as eve, office.visitor() as anybody:
        parent = await made(eve, roles=["viewer"], days=5)
        anybody.headers.update(bearer(parent["token"]))
        stronger = await anybody.post("/api/v1/tokens", json={"label": "x", "roles": ["operator"]})
        longer = await anybody.post("/api/v1/tokens", json={"label": "x", "days": 6})
        child = await made(anybody)
        await eve.delete(f"/api/v1/tokens/{parent['id']}")
        after = await anybody.get("/api/v1/runs", headers=bearer(child["token"]))

    assert (stronger.status_code, longer.status_code, after.status_code) == (403, 403, 401)
    assert child["expires"] <= parent["expires"]


async def test_a_program_operates_and_approves_nothing(office: House) -> None:
    async with office.visitor("root") as root, office.visitor("eve") as eve, office.visitor() as program:
        refused = await eve.post("/api/v1/tokens", json={"label": "ci", "roles": ["operator"], "kind": "service"})
        token = await made(root, roles=["operator@mine"], kind="service")
        program.headers.update(bearer(token["token"]))
        me = (await program.get("/api/v1/me")).json()
        stopped = await program.post("/api/v1/runs/veiled-run/stop")
        more = await program.post("/api/v1/tokens", json={"label": "x"})
        others = await eve.delete(f"/api/v1/tokens/{token['id']}")
        record = (await deeds(office, action="runs.stop"))[0]

    assert refused.status_code == more.status_code == 403
    assert others.status_code == 404  # whose it is not hears nothing of it
    assert (me["name"], me["kind"], me["approves"]) == ("service:for a test", "service", False)
    assert stopped.status_code == 200
    assert (record.actor, record.subject, token["id"] in record.origin) == ("service:for a test", "veiled-run", True)


async def test_tokens_of_others_are_an_admins_to_see_and_to_end(office: House) -> None:
    async with office.visitor("eve") as eve, office.visitor("vic") as vic, office.visitor("root") as root:
        token = await made(eve)
        nosy = await vic.get("/api/v1/tokens?all=true")
        tries = await vic.delete(f"/api/v1/tokens/{token['id']}")
        everybodys = await root.get("/api/v1/tokens?all=true")
        ended = await root.delete(f"/api/v1/tokens/{token['id']}")

    assert (nosy.status_code, tries.status_code, ended.status_code) == (403, 404, 200)
    assert [one["owner"] for one in everybodys.json()["items"]] == ["eve"]


async def test_where_nothing_is_asked_for_there_is_no_token_to_make(tmp_path: Path) -> None:
    async with house(tmp_path) as found, found.visitor() as person:
        answer = await person.post("/api/v1/tokens", json={"label": "x"})
        page = await person.get("/ui/tokens")

    assert answer.status_code == 409
    assert "asks nobody" in Seen(page.text).text


# --- the page --------------------------------------------------------------------------------------------------------


async def test_a_token_is_made_at_the_page_seen_once_and_revoked_there(office: House) -> None:
    async with office.visitor() as person:
        await log_in(person, token_of("eve"))
        word = await word_of(person)
        answer = await person.post("/ui/tokens/create", content=f"word={word}&label=ci&roles=operator", headers=FORM)
        token = re.search(r"rtn_[0-9A-Za-z]{49}", answer.text)
        assert token is not None
        later = await person.get("/ui/tokens")
        row = re.search(r"t-[0-9a-f]{12}", later.text)
        assert row is not None
        gone = await person.post("/ui/tokens/revoke", content=f"word={word}&id={row[0]}", headers=FORM)
        async with office.visitor() as program:
            status = (await program.get("/api/v1/runs", headers=bearer(token[0]))).status_code

    assert (answer.status_code, gone.status_code, status) == (200, 303, 401)
    assert answer.headers["cache-control"] == "no-store"
    assert token[0] not in later.text


async def test_a_session_of_a_token_ends_with_it(office: House) -> None:
    async with office.visitor("eve") as eve, office.visitor() as person:
        token = await made(eve, roles=["viewer"])
        await log_in(person, token["token"])
        before = (await person.get("/api/v1/me")).json()
        await eve.delete(f"/api/v1/tokens/{token['id']}")
        after = await person.get("/ui/runs")

    assert (before["name"], before["roles"]) == ("eve", ["viewer"])
    assert after.status_code == 303


async def test_a_person_sees_their_sessions_and_ends_one_or_all(office: House) -> None:
    async with office.visitor() as one, office.visitor() as two, office.visitor() as stranger:
        for visitor, name in ((one, "eve"), (two, "eve"), (stranger, "vic")):
            await log_in(visitor, token_of(name))
        rows = (await one.get("/api/v1/sessions")).json()["items"]
        other = next(row["id"] for row in rows if not row["this"])
        word = await word_of(one)
        theirs = (await stranger.get("/api/v1/sessions")).json()["items"][0]["id"]
        foreign = await one.post("/ui/sessions/end", content=f"word={word}&id={theirs}", headers=FORM)
        ended = await one.post("/ui/sessions/end", content=f"word={word}&id={other}", headers=FORM)
        after = [(await visitor.get("/ui/runs")).status_code for visitor in (one, two, stranger)]
        await one.post("/ui/sessions/end", content=f"word={word}", headers=FORM)
        last = [(await visitor.get("/ui/runs")).status_code for visitor in (one, stranger)]

    assert (len(rows), foreign.status_code, ended.status_code) == (2, 404, 303)
    assert (after, last) == ([200, 303, 200], [303, 200])
    assert [one.action for one in await deeds(office, action="sessions")] == ["sessions.end"] * 2


async def test_a_login_takes_over_no_cookie_and_ends_the_one_before(office: House) -> None:
    async with office.visitor() as person:
        person.cookies.set(COOKIE, "planted-by-somebody-else")
        first = (await log_in(person, token_of("vic"))).cookies[COOKIE]
        second = (await log_in(person, token_of("vic"))).cookies[COOKIE]
        async with office.visitor() as thief:
            stolen = []
            for value in ("planted-by-somebody-else", first):
                thief.cookies.set(COOKIE, value)
                stolen.append((await thief.get("/ui/runs")).status_code)

    assert len({first, second, "planted-by-somebody-else"}) == 3
    assert stolen == [303, 303]


async def test_over_tls_the_cookie_is_of_this_host_alone(office: House) -> None:
    sessions = Sessions(office.store, office.services.clock.now, secure=True)
    await sessions.open()
    value = await sessions.begin(Visit("vic", "user x"))

    assert await sessions.of([(b"cookie", f"{COOKIE}={value}".encode())]) is None
    assert await sessions.of([(b"cookie", f"{SECURE_COOKIE}={value}".encode())]) is not None


async def test_another_process_hears_of_an_end_within_seconds(office: House) -> None:
    clock = [office.services.clock.now()]
    here, there = (Sessions(office.store, lambda: clock[0]) for _ in range(2))
    value = await here.begin(Visit("vic", "user x"))
    headers = [(b"cookie", f"{COOKIE}={value}".encode())]
    assert await there.of(headers) is not None

    await here.end("vic")

    assert await here.of(headers) is None
    clock[0] += BELIEVED
    assert await there.of(headers) is None


async def test_no_form_of_the_page_is_taken_without_its_word(office: House) -> None:
    async with office.visitor() as person:
        await log_in(person, token_of("root"))
        for path in ("tokens/create", "tokens/revoke", "sessions/end", "runs/stop", "targets/hold", "logout"):
            answer = await person.post(f"/ui/{path}", content="id=x&label=x&roles=viewer", headers=FORM)
            assert answer.status_code == 403, path
        assert (await office.store.read(lambda c: c.execute(select(tokens)))).all() == []
        assert len((await office.store.read(lambda c: c.execute(select(sessions)))).all()) == 1


# --- on record -------------------------------------------------------------------------------------------------------


async def test_what_people_do_to_runs_is_on_record_with_who_and_from_where(office: House) -> None:
    async with office.visitor("eve") as eve:
        await eve.post("/api/v1/runs/veiled-run/stop", json={"message": "enough"})
        await eve.post("/api/v1/runs/nothing/stop")
        found = await deeds(office, action="runs", actor="eve")
        filtered = (await eve.get("/api/v1/audit?actor=eve&action=runs.stop&since=1h")).json()["items"]
        nothing = (await eve.get("/api/v1/audit?actor=eve&until=1h")).json()["items"]
        page = Seen((await eve.get("/ui/audit?actor=eve")).text).text

    (one,) = found
    assert (one.action, one.subject, one.verified, one.origin) == ("runs.stop", "veiled-run", True, "127.0.0.1")
    assert one.before == {"phase": "Pending", "asked of it": None}
    assert isinstance(one.after, dict)
    assert one.after["asked"]["message"] == "enough"
    assert ([d["subject"] for d in filtered], nothing) == (["veiled-run"], [])
    assert "enough" in page


async def test_a_deed_is_in_the_transaction_that_does_it(office: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the record cannot be written nothing is done."""

    def broken(*_: Any) -> None:
        raise RuntimeError("no room for the record")

    monkeypatch.setattr(audit, "record", broken)
    row = await office.store.read(lambda c: c.execute(text("SELECT control FROM runs WHERE id='veiled-run'")))
    before = row.scalar()
    run = await office.services.ask(queries.find_run, "veiled-run")
    token = SPEAKING.set(Principal("eve", frozenset({"operator"}), verified=True))
    try:
        with pytest.raises(RuntimeError, match="no room"):
            await office.services.actions["runs.stop"](run, Suspend())
    finally:
        SPEAKING.reset(token)

    after = await office.store.read(lambda c: c.execute(text("SELECT control FROM runs WHERE id='veiled-run'")))
    assert after.scalar() == before


async def test_logins_and_what_was_refused_are_on_record(office: House) -> None:
    async with office.visitor() as person:
        await log_in(person, "guess-guess-guess-guess")
        await log_in(person, token_of("vic"))
        await person.post("/ui/logout", content=f"word={await word_of(person)}", headers=FORM)
    found = await deeds(office, action="login")

    assert [(one.action, one.actor) for one in found] == [
        ("login.out", "vic"),
        ("login.in", "vic"),
        ("login.refused", ""),
    ]
    assert "guess" not in str(found)
