"""TLS as a source's manifest asks for it, in the two forms that client libraries take: a context, or PEM files."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventsources.fields import TLS
from eventsources.port import SourceContext
from retrain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of private PEM files; None where the manifest names none. They are gone when their block ends."""

    ca: Path | None
    cert: Path | None
    key: Path | None


class NamedContext(ssl.SSLContext):
    """A context that asks for a certificate of a name of its own, whatever address a library connects to."""

    server_name: str = ""

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **{**more, "server_hostname": self.server_name})

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        rest = args[:3]  # incoming, outgoing, server_side; the fourth is the name
        return super().wrap_bio(*rest, **{**more, "server_hostname": self.server_name})


def client_context(tls: TLS | None, context: SourceContext) -> ssl.SSLContext | None:
    """The TLS context of a client; None where the manifest asks for none.

    Without a CA of its own it trusts what this machine trusts.

    Raises:
        NotFound: a secret is not there yet.
        ConfigError: what a secret holds is no certificate or key; says which, never what it holds.
    """
    if tls is None:
        return None
    made = NamedContext(ssl.PROTOCOL_TLS_CLIENT) if tls.server_name else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if isinstance(made, NamedContext):
        made.server_name = tls.server_name
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.insecure_skip_verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    with files(tls, context) as paths:
        _trust(made, paths)
        _identify(made, paths)
    return made


@contextmanager
def files(tls: TLS | None, context: SourceContext) -> Generator[Files]:
    """PEM files of what the manifest names, readable by this user alone, as long as the block runs.

    Raises:
        NotFound: a secret is not there yet.
    """
    tls = tls or TLS()
    with tempfile.TemporaryDirectory(prefix="retrain-tls-") as folder:  # made with mode 0700
        yield Files(
            ca=_written(Path(folder, "ca.pem"), context.read(tls.ca_cert_secret)),
            cert=_written(Path(folder, "cert.pem"), context.read(tls.client_cert_secret)),
            key=_written(Path(folder, "key.pem"), context.read(tls.client_key_secret)),
        )


def _written(path: Path, text: str) -> Path | None:
    if not text:
        return None
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")
    return path


def _trust(made: ssl.SSLContext, paths: Files) -> None:
    if paths.ca is None:
        made.load_default_certs()
        return
    try:
        made.load_verify_locations(paths.ca)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError("tls.caCertSecret holds no certificates in PEM") from error


def _identify(made: ssl.SSLContext, paths: Files) -> None:
    if paths.cert is None:
        return
    try:
        # A key with a passphrase would make OpenSSL ask at the terminal.
        made.load_cert_chain(paths.cert, paths.key, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError("tls.clientCertSecret and clientKeySecret are no PEM certificate with its key") from error
