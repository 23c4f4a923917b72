"""TLS of a port that we serve: our certificate, and whose certificates clients must show."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from eventsources.fields import WebhookContext
from eventsources.port import SourceContext
from retrain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Identity:
    """PEM texts: the server's certificate and chain, its key, and the authorities of clients (empty: any client)."""

    cert: str
    key: str = field(repr=False)
    clients: str = ""

    def context(self) -> ssl.SSLContext:
        """A server's context of it.

        Raises:
            ConfigError: a text is no certificate or key; says which, never what it holds.
        """
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_into(made)
        if self.clients:
            made.verify_mode = ssl.CERT_REQUIRED
            try:
                made.load_verify_locations(cadata=self.clients)
            except (ssl.SSLError, ValueError) as error:
                raise ConfigError("clientCaSecret holds no certificates in PEM") from error
        return made

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let a context that is in use show this certificate from now on.

        Raises:
            ConfigError: it is no certificate with its key.
        """
        with tempfile.TemporaryDirectory(prefix="retrain-tls-") as folder:  # made with mode 0700
            cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
            cert.write_text(f"{self.cert}\n")
            key.touch(mode=0o600)
            key.write_text(f"{self.key}\n")
            try:
                # A key with a passphrase would make OpenSSL ask at the terminal.
                context.load_cert_chain(cert, key, password=lambda: b"")
            except (ssl.SSLError, OSError, ValueError) as error:
                message = "serverCertSecret and serverKeySecret are no PEM certificate with its key"
                raise ConfigError(message) from error


def identity_of(hook: WebhookContext, context: SourceContext) -> Identity | None:
    """What the manifest says about TLS, read from its secrets; None: plain HTTP.

    Raises:
        NotFound: a secret is not there yet.
    """
    if hook.server_cert_secret is None:
        return None
    return Identity(
        cert=context.read(hook.server_cert_secret),
        key=context.read(hook.server_key_secret),
        clients=context.read(hook.client_ca_secret),
    )
