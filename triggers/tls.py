"""TLS as sensors write it (`tls: {caCertSecret, clientCertSecret, clientKeySecret, insecureSkipVerify}`).

The other side's certificate and name are always checked, unless `insecureSkipVerify` says not to. Contexts are kept by
what they are made of: connections with the same context can be shared.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from retrain.errors import Permanent
from retrain.events import JsonValue
from triggers.action_fields import Fields, as_object

FIELDS = frozenset({"caCertSecret", "clientCertSecret", "clientKeySecret", "insecureSkipVerify", "enabled"})
KEPT = 64
"""Contexts in memory. One more forgets the one that was not used for the longest time."""

log = structlog.get_logger()

_Parts = tuple[str, str, str, bool]


class TlsContexts:
    """Makes contexts, and gives the same one for the same certificates."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Parts, ssl.SSLContext] = OrderedDict()

    def get(self, fields: Fields, written: JsonValue, where: str = "tls") -> ssl.SSLContext | None:
        """The context for what is written under `tls`; None where nothing is, or only `enabled: false`.

        Raises:
            Permanent: a certificate or key is none, or one of the pair is missing.
            NotFound: a secret is missing.
        """
        if written is None:
            return None
        place = f"{fields.kind}.{where}"
        given = as_object(written, place)
        if unknown := sorted(set(given) - FIELDS):
            raise Permanent(f"{place}.{unknown[0]} is not supported by this trigger; take it out of the sensor")
        if given.get("enabled") is False and set(given) == {"enabled"}:
            return None
        ca = fields.secret(given.get("caCertSecret"), f"{where}.caCertSecret")
        cert = fields.secret(given.get("clientCertSecret"), f"{where}.clientCertSecret")
        key = fields.secret(given.get("clientKeySecret"), f"{where}.clientKeySecret")
        if bool(cert) != bool(key):
            raise Permanent(f"{place}: clientCertSecret and clientKeySecret go together")
        return self._known_or_made((ca, cert, key, given.get("insecureSkipVerify") is True), place)

    def plain(self) -> ssl.SSLContext:
        """The context of a server that says TLS by its address alone: what the machine trusts is trusted."""
        return self._known_or_made(("", "", "", False), "tls")

    def _known_or_made(self, parts: _Parts, place: str) -> ssl.SSLContext:
        context = self._known.get(parts)
        if context is None:
            context = self._known[parts] = _make(parts, place)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(parts)
        return context


def _make(parts: _Parts, place: str) -> ssl.SSLContext:
    ca, cert, key, unverified = parts
    try:
        context = ssl.create_default_context(cadata=ca or None)
    except (ssl.SSLError, ValueError) as error:
        raise Permanent(f"{place}.caCertSecret holds no certificate in PEM") from error
    if unverified:
        log.warning("trigger.tls_unverified", where=place)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        _load_pair(context, cert, key, place)
    return context


def _load_pair(context: ssl.SSLContext, cert: str, key: str, place: str) -> None:
    # The ssl module takes a certificate and its key from files only. The folder is its owner's alone, and gone at once.
    with TemporaryDirectory(prefix="retrain-tls-") as folder:
        cert_file, key_file = Path(folder, "cert.pem"), Path(folder, "key.pem")
        cert_file.write_text(cert)
        key_file.touch(mode=0o600)
        key_file.write_text(key)
        try:
            # A password would be asked for on the terminal otherwise.
            context.load_cert_chain(cert_file, key_file, password=lambda: b"")
        except (ssl.SSLError, ValueError) as error:
            message = f"{place}: clientCertSecret and clientKeySecret are no certificate with its key in PEM"
            raise Permanent(message) from error
