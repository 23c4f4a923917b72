"""What it takes to reach an API server, and who asks."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from retrain.errors import ConfigError

Authorization = Callable[[], str | None]
"""The header that says who asks; None where a certificate does. It may wait for a file or a program."""


def nobody() -> None:
    """Who asks by certificate, or not at all."""


@dataclass(frozen=True, slots=True)
class Access:
    """`host` has no slash at its end. Certificates and keys are PEM texts; `authority` empty: the system's own.

    `waits`: the authorization is to be asked for in a thread.
    """

    host: str
    namespace: str = "default"
    authority: str = ""
    certificate: str = ""
    key: str = ""
    verified: bool = True
    server_name: str | None = None
    proxy: str | None = None
    authorization: Authorization = nobody
    waits: bool = False

    def tls(self) -> ssl.SSLContext:
        """What connections are made with. Blocking.

        Raises:
            ConfigError: a certificate or key cannot be read.
        """
        try:
            context = ssl.create_default_context(cadata=self.authority or None)
            if not self.verified:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.certificate:
                _load(context, self.certificate, self.key)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigError("the kubeconfig's certificates and key cannot be read") from error
        return context


def _load(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """OpenSSL takes a chain from files alone; nobody else can read them, and they are gone at once."""
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder) / "pair.pem"
        pair.touch(mode=0o600)
        pair.write_text(f"{certificate.rstrip()}\n{key}")
        context.load_cert_chain(pair)
