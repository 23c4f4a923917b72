"""From a rendered `email` action to a mail and the server that takes it. Pure, but for asking for the password."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from typing import cast

from retrain.errors import ConfigError, NotFound, Permanent
from retrain.events import JsonValue
from triggers.action_fields import Fields, Redaction, as_text, check_line, fields_of, shown
from triggers.port import Firing, Secrets
from triggers.tls import TlsContexts

FIELDS = frozenset({"host", "port", "username", "smtpPassword", "from", "to", "subject", "body"})
SUBMISSION = 587
TLS_AT_ONCE = 465
"""The port on which TLS begins with the connection. On any other it begins with STARTTLS, where that is offered."""
MAX_SUBJECT = 900
"""Bytes of a subject: with what coding it costs it stays one header that every server takes."""
MAX_BODY = 8 * 1024 * 1024
MAX_RECIPIENTS = 100

POLICY = SMTP.clone(cte_type="7bit")
"""Any text in characters that every mail server takes."""

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}")
_NAMED = re.compile(r"(?P<name>[^<>@]*?)\s*<(?P<address>[^<>]*)>")
_HOST = re.compile(r"[A-Za-z0-9_.-]+|[0-9A-Fa-f:.]+")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed in, and as whom. Its own key among the idle connections, so it is never shown."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: ssl.SSLContext = field(repr=False)

    @property
    def where(self) -> str:
        """As messages show it."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. `sender` and `recipients` are bare addresses; `text` is the whole message with its headers."""

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MailRequest:
    """Both."""

    server: MailServer
    mail: Mail
    redact: Redaction


def build_request(firing: Firing, secrets: Secrets, contexts: TlsContexts, now: datetime) -> MailRequest:
    """The mail of an `email` firing, with the password looked up now.

    Raises:
        Permanent: the action is no mail, a line break stands where a line is wanted, or the secret is missing.
    """
    fields = fields_of(firing, "email", secrets)
    fields.only(FIELDS)
    mail = _mail(fields, firing.id, now)
    try:
        server = _server(fields, contexts)
    except (ConfigError, NotFound) as error:
        raise Permanent(str(error)) from error
    return MailRequest(server, mail, fields.redaction())


def message_id(firing_id: str, sender: str) -> str:
    """The same for every attempt, so that a mail server or reader can drop the second of two."""
    domain = sender.rpartition("@")[2]
    return f"<{firing_id}.{sha256(sender.encode()).hexdigest()[:12]}@{domain}>"


def _mail(fields: Fields, firing_id: str, now: datetime) -> Mail:
    name, sender = _address(fields.text("from") or fields.text("username") or fields.required("from"), "email.from")
    recipients = tuple(dict.fromkeys(_address(text, "email.to")[1] for text in _to(fields)))
    subject = check_line(fields.required("subject"), "email.subject")
    if len(subject.encode(errors="replace")) > MAX_SUBJECT:
        raise Permanent(f"email.subject is longer than {MAX_SUBJECT} bytes")
    body = fields.required("body")
    if len(body) > MAX_BODY:
        raise Permanent(f"email.body has {len(body)} characters; {MAX_BODY} are the most")
    ours = message_id(firing_id, sender)
    message = EmailMessage(policy=POLICY)
    try:
        message["From"] = f"{_quoted(name)} <{sender}>" if name else sender
        message["To"] = ", ".join(recipients)
        message["Subject"] = subject
        message["Date"] = format_datetime(now)
        message["Message-ID"] = ours
        message["Auto-Submitted"] = "auto-generated"  # so that nobody's absence note answers it
        message.set_content(body.encode(errors="replace").decode())
        return Mail(sender, recipients, ours, message.as_bytes())
    except (ValueError, UnicodeError) as error:
        raise Permanent(f"email: the parts make no mail: {error}") from error


def _to(fields: Fields) -> list[str]:
    given = fields.action.get("to")
    # Upstream's `to` is a list; a parameter may have made a text of it.
    texts = [given] if isinstance(given, str) else cast("list[JsonValue]", given if isinstance(given, list) else [])
    found = [as_text(text) for text in texts if text]
    if not found:
        raise Permanent("email.to is missing")
    if len(found) > MAX_RECIPIENTS:
        raise Permanent(f"email.to has {len(found)} addresses; {MAX_RECIPIENTS} are the most")
    return found


def _address(text: str, where: str) -> tuple[str, str]:
    """A name (or "") and the bare address."""
    check_line(text, where)
    named = _NAMED.fullmatch(text.strip())
    name, address = (named["name"].strip('" '), named["address"]) if named else ("", text.strip())
    if not _ADDRESS.fullmatch(address) or len(address) > 254:
        raise Permanent(f"{where}: {shown(text)!r} is no address: write one like ann@example.com")
    if not address.isascii():
        raise Permanent(f"{where}: {shown(text)!r} has letters that not every mail server takes in an address")
    return name, address


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "").replace('"', "") + '"'


def _server(fields: Fields, contexts: TlsContexts) -> MailServer:
    host = fields.required("host")
    if not _HOST.fullmatch(host):
        raise Permanent(f"email.host {shown(host)!r} is the name of no server")
    user = check_line(fields.text("username"), "email.username")
    password = fields.secret(fields.action.get("smtpPassword"), "smtpPassword")
    if password and not user:
        raise Permanent("email.smtpPassword needs a username")
    port = fields.number("port", 0, 65535) or SUBMISSION
    return MailServer(host, port, user if password else "", password, contexts.plain())
