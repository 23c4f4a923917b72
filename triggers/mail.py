"""The `email` trigger: one mail for each firing, done when the mail server has taken it.

Where it is not upstream's: one mail goes to all recipients, so that a retry sends none of them a second one; its own
`parameters` work; certificates are checked, and a password goes over TLS only.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Lock
from time import monotonic
from typing import TypeVar

import anyio
import anyio.to_thread
import structlog

from retrain.errors import Permanent, RetrainError, Transient
from retrain.events import JsonValue
from triggers.addresses import check_server
from triggers.mail_message import TLS_AT_ONCE, Mail, MailServer, build_request
from triggers.port import Firing, Tools, Trigger
from triggers.tls import TlsContexts

T = TypeVar("T")
IDLE_S = 20.0
"""An unused connection is not tried again after that: mail servers close theirs after a minute or so."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class _Idle:
    server: MailServer
    client: smtplib.SMTP
    since: float


class MailTrigger:
    """Sends mails over connections that are used one after the other. Get one from `open_mail`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._contexts = TlsContexts()
        self._threads = anyio.CapacityLimiter(tools.network.mails)
        self._idle: list[_Idle] = []
        self._lock = Lock()

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        """Send. The result: `{"messageId", "accepted": n, "refused": [addresses, if there are any]}`.

        Raises:
            Transient: the server is away, or says "later".
            Permanent: the action is no mail, or the server refuses it.
        """
        del attempt  # a retry is the same mail
        request = build_request(firing, self._tools.secrets, self._contexts, self._tools.clock.now())
        server, mail = request.server, request.mail
        await check_server(server.host, server.port, self._tools.http.deny, self._tools.http.allow)
        try:
            refused = await self._in_thread(lambda: self._send(server, mail))
        except RetrainError as error:
            error.args = (request.redact(str(error)),)
            raise
        except (smtplib.SMTPException, OSError) as error:
            raise _translated(error, server, request.redact) from None
        result: dict[str, JsonValue] = {"messageId": mail.message_id, "accepted": len(mail.recipients) - len(refused)}
        if not refused:
            return result
        # The others have it. Another attempt would send it to them again, so this firing is done all the same.
        log.warning("trigger.mail_refused", firing_id=firing.id, refused=refused)
        return result | {"refused": [*refused]}

    async def aclose(self) -> None:
        """Leave every server."""
        with self._lock:
            clients, self._idle = [one.client for one in self._idle], []
        with anyio.move_on_after(2.0, shield=True):
            await anyio.to_thread.run_sync(lambda: [client.close() for client in clients], abandon_on_cancel=True)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True)

    def _send(self, server: MailServer, mail: Mail) -> list[str]:
        """Hand the mail in; the addresses that were refused while others were taken. Runs in a worker thread."""
        client = self._take(server) or self._connect(server)
        try:
            refused = client.sendmail(mail.sender, mail.recipients, mail.text)
        except BaseException:
            client.close()
            raise
        with self._lock:
            self._idle.append(_Idle(server, client, monotonic()))
        return sorted(refused)

    def _take(self, server: MailServer) -> smtplib.SMTP | None:
        """A connection that is still fresh and answers. Older ones are closed, whosever they are."""
        fresh = monotonic() - IDLE_S
        with self._lock:
            stale = [one for one in self._idle if one.since < fresh]
            mine = [one for one in self._idle if one.since >= fresh and one.server == server]
            taken = mine[-1:]
            self._idle = [one for one in self._idle if one not in stale and one not in taken]
        for one in stale:
            one.client.close()
        for one in taken:
            # Asked first: were it cut off in the middle of a mail, nobody would know whether the server has it.
            if _answers(one.client):
                return one.client
            one.client.close()
        return None

    def _connect(self, server: MailServer) -> smtplib.SMTP:
        network = self._tools.network
        if server.port == TLS_AT_ONCE:
            client = smtplib.SMTP_SSL(server.host, server.port, timeout=network.dial_s, context=server.tls)
        else:
            client = smtplib.SMTP(server.host, server.port, timeout=network.dial_s)
        try:
            client.ehlo_or_helo_if_needed()
            if server.port != TLS_AT_ONCE and client.has_extn("starttls"):
                client.starttls(context=server.tls)
                client.ehlo()
            if server.user:
                _log_in(client, server)
        except BaseException:
            client.close()
            raise
        if client.sock is not None:
            client.sock.settimeout(network.answer_s)
        return client


def _log_in(client: smtplib.SMTP, server: MailServer) -> None:
    if not isinstance(client.sock, ssl.SSLSocket) and not _is_loopback(server.host):
        raise Permanent(f"email {server.where}: the server offers no TLS, and the password goes over TLS only")
    if not client.has_extn("auth"):
        raise Permanent(f"email {server.where}: the server offers no login; take username and smtpPassword out")
    client.login(server.user, server.password)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _answers(client: smtplib.SMTP) -> bool:
    with suppress(smtplib.SMTPException, OSError):
        return client.noop()[0] == 250
    return False


def _translated(
    error: smtplib.SMTPException | OSError, server: MailServer, redact: Callable[[str], str]
) -> Permanent | Transient:
    """The server's word, told apart by its code: 4xx says later, 5xx says no."""
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=recipients):
            codes = {code for code, _ in recipients.values()}
            answers = "; ".join(f"{address}: {_said(*answer)}" for address, answer in sorted(recipients.items())[:5])
            final = all(code >= 500 for code in codes)
            return _as(final, redact(f"email {server.where} took no recipient: {answers}"))
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=text):
            return _as(code >= 500, redact(f"email {server.where} answered {_said(code, text)}"))
        case smtplib.SMTPNotSupportedError():
            return Permanent(f"email {server.where}: {error}")
        case ssl.SSLCertVerificationError():
            return Permanent(f"email {server.where}: the server's certificate is not trusted: {error.verify_message}")
        case _:
            return Transient(redact(f"email {server.where}: {error or type(error).__name__}"))


def _as(final: bool, said: str) -> Permanent | Transient:
    return Permanent(said) if final else Transient(said)


def _said(code: int, text: bytes | str) -> str:
    plain = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    return f"{code} {' '.join(plain.split())[:200]}"


@asynccontextmanager
async def open_mail(tools: Tools) -> AsyncGenerator[Trigger]:
    """Hold the connections of all `email` triggers while the platform runs."""
    trigger = MailTrigger(tools)
    try:
        yield trigger
    finally:
        await trigger.aclose()
