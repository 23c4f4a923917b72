"""The `email` trigger against a real SMTP server: what arrives, and what its answers mean."""

from __future__ import annotations

import email
import email.policy
import smtplib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from retrain.errors import Permanent, Transient
from tests.servers.acting import FAST, a_firing, a_row, act, all_ended, dispatching, ended, hand_over, opened, tools
from tests.servers.certificates import Authority
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration

USER, PASSWORD = "ann", "hunter22"
LOGIN = {"username": USER, "smtpPassword": {"name": "mail", "key": "password"}}


@dataclass
class Box:
    """A mail server's letter box. `answers`: what it says to the next mails, and "250 OK" after that."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    to: list[list[str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)
    logins: int = 0
    tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        self.sessions.add(id(session))
        self.tls.append(session.ssl is not None)
        self.to.append(envelope.rcpt_tos)
        self.raw.append(envelope.content)
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.SMTP))  # type: ignore[arg-type]
        return "250 OK"

    def check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins += 1
        good = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[Box]:
    """A mail server on loopback."""
    box = Box(free_port())
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=box.port,
        tls_context=tls,
        authenticator=box.check,
        auth_require_tls=tls is not None,
        **options,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def mail(box: Box, **more: Any) -> dict[str, Any]:
    return {
        "kind": "email",
        "host": "127.0.0.1",
        "port": box.port,
        "from": "retrain@example.com",
        "to": ["ann@example.com"],
        "subject": "A new model",
        "body": "It is better.",
    } | more


async def test_a_mail_arrives_whole_at_everyone_in_any_script() -> None:
    with receiving() as box:
        to = ["ann@example.com", "Bob <bob@example.org>", "ann@example.com"]
        result = await act(mail(box, to=to, subject="Modell übertrifft das alte 🎉", body="größer\n.\nals\r\nzuvor"))

    (arrived,) = box.mails
    assert box.to == [["ann@example.com", "bob@example.org"]]
    assert arrived["From"] == "retrain@example.com"
    assert arrived["To"] == "ann@example.com, bob@example.org"
    assert arrived["Subject"] == "Modell übertrifft das alte 🎉"
    assert arrived.get_content().splitlines() == ["größer", ".", "als", "zuvor"]
    assert arrived.get_content_type() == "text/plain"
    assert box.raw[0].isascii()
    assert result == {"messageId": arrived["Message-ID"], "accepted": 2}


async def test_every_attempt_has_the_same_message_id() -> None:
    with receiving() as box:
        first = await act(mail(box))
        again = await act(mail(box))
        other = await act(mail(box), n=2)

    assert first["messageId"] == again["messageId"] != other["messageId"]
    assert a_firing({}).id in first["messageId"]
    assert box.mails[0]["Message-ID"] == box.mails[1]["Message-ID"]


async def test_later_is_tried_again_and_no_is_final(tmp_path: Path) -> None:
    with receiving() as box:
        box.answers = ["451 4.3.0 come back later", "250 OK"]
        async with dispatching(tmp_path) as (store, dispatcher):
            await hand_over(store, dispatcher, [a_row(1, mail(box, retryStrategy=FAST))])
            good = await ended(store, 1)
            box.answers = ["554 5.7.1 we take no models"]
            await hand_over(store, dispatcher, [a_row(2, mail(box, retryStrategy=FAST))])
            bad = await ended(store, 2)

    assert (good.state, good.attempts) == ("done", 2)
    assert (bad.state, bad.attempts) == ("dead", 1)
    assert "answered 554 5.7.1 we take no models" in (bad.error or "")


async def test_a_recipient_that_is_refused_costs_the_others_nothing() -> None:
    with receiving() as box:
        box.refused = {"gone@example.com": "550 no such user", "full@example.com": "452 mailbox full"}

        result = await act(mail(box, to=["ann@example.com", "gone@example.com"]))
        with pytest.raises(Permanent, match=r"took no recipient: gone@example\.com: 550 no such user"):
            await act(mail(box, to=["gone@example.com"]))
        with pytest.raises(Transient, match="452 mailbox full"):
            await act(mail(box, to=["gone@example.com", "full@example.com"]))

    assert result["refused"] == ["gone@example.com"]
    assert result["accepted"] == 1
    assert box.to == [["ann@example.com"]]


def server_tls(folder: Path, authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign().write(folder, "server"))
    return context


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this machine trusts."""
    authority = Authority()
    (tmp_path / "ca.pem").write_text(authority.cert)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


async def test_a_password_goes_over_tls_after_starttls(tmp_path: Path, trusted: Authority) -> None:
    given = tools({"mail": {"password": f"{PASSWORD}\n"}})
    with receiving(server_tls(tmp_path, trusted)) as box:
        await act(mail(box, **LOGIN), given)

    assert box.tls == [True]
    assert box.logins == 1


async def test_a_wrong_password_is_final_and_not_shown(tmp_path: Path, trusted: Authority) -> None:
    with receiving(server_tls(tmp_path, trusted)) as box, pytest.raises(Permanent, match="answered 535") as caught:
        await act(mail(box, **LOGIN), tools({"mail": {"password": "wrong-one"}}))

    assert "wrong-one" not in str(caught.value)


async def test_a_server_whose_certificate_nobody_signed_gets_nothing(tmp_path: Path) -> None:
    given = tools({"mail": {"password": PASSWORD}})
    with (
        receiving(server_tls(tmp_path, Authority())) as box,
        pytest.raises(Permanent, match="certificate is not trusted"),
    ):
        await act(mail(box, **LOGIN), given)

    assert box.mails == []
    assert box.logins == 0


async def test_a_password_is_not_sent_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is excepted, so the server must look like another machine."""
    monkeypatch.setattr("triggers.mail._is_loopback", lambda _host: False)
    with receiving() as box, pytest.raises(Permanent, match="the server offers no TLS"):
        await act(mail(box, **LOGIN), tools({"mail": {"password": PASSWORD}}))

    assert box.logins == 0


async def test_mails_go_over_connections_that_stay_open(tmp_path: Path) -> None:
    with receiving() as box, smtplib.SMTP("127.0.0.1", box.port) as probe:
        probe.noop()
        async with dispatching(tmp_path) as (store, dispatcher):
            await hand_over(store, dispatcher, [a_row(n, mail(box)) for n in range(200)])
            counts = await all_ended(store, 200)

    assert counts == {"done": 200}
    assert len({one["Message-ID"] for one in box.mails}) == 200
    assert len(box.sessions) <= 8


async def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    with receiving(timeout=0.2) as box:
        async with opened("email") as trigger:
            await trigger.fire(a_firing(mail(box)), 1)
            closed = threading.Event()
            closed.wait(0.5)  # the server's own time: it closes what says nothing for 0.2 s
            await trigger.fire(a_firing(mail(box), 2), 1)

    assert len(box.mails) == 2


async def test_a_server_that_is_away_is_tried_again(tmp_path: Path) -> None:
    with receiving() as box:
        pass

    with pytest.raises(Transient, match="Connection refused"):
        await act(mail(box))
