"""Whether a message is from Amazon SNS: its signature (versions 1 and 2), by a certificate that only AWS can host.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from eventsources.http.answers import Refusal, unauthorized
from retrain.errors import Transient
from retrain.events import JsonValue

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_HOST = re.compile(r"sns\.[a-z0-9-]{3,30}\.amazonaws\.com(?:\.cn)?")
_PATH = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]+\.pem")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")

MAX_CERTIFICATE = 64 * 1024
KEPT = 8
"""Certificates that are remembered. AWS has one for each region, and changes it now and then."""
TIMEOUT_S = 5.0


def text_to_sign(message: Mapping[str, JsonValue]) -> bytes:
    """What SNS has signed: some members by name, each with its value, one a line."""
    names = _NOTIFICATION if message.get("Type") == "Notification" else _CONFIRMATION
    there = [name for name in names if isinstance(message.get(name), str)]
    return "".join(f"{name}\n{message[name]}\n" for name in there).encode()


def check_signature(message: Mapping[str, JsonValue], certificate: Certificate, now: datetime) -> None:
    """That the certificate's key has signed this message.

    Raises:
        Refusal: 401: it has not, or the certificate is not good now.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    version = message.get("SignatureVersion")
    algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}.get(str(version))  # noqa: S303 - SNS' version 1 is this
    if algorithm is None:
        raise unauthorized(f"signature version {str(version)[:20]!r} is none of 1, 2")
    key = certificate.public_key()
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise unauthorized("the signing certificate is not valid now")
    if not isinstance(key, rsa.RSAPublicKey):
        raise unauthorized("the signing certificate has no RSA key")
    try:
        signature = base64.b64decode(str(message.get("Signature", "")), validate=True)
        key.verify(signature, text_to_sign(message), padding.PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError):
        raise unauthorized("the signature is missing, or not that of this message") from None


def check_url(url: JsonValue, endpoint: str = "") -> str:
    """That a certificate's URL is one of AWS itself: https, no port, no user, `sns.REGION.amazonaws.com`.

    `endpoint`: an SNS endpoint that the user has named; what lies on the same scheme, host and port is as good.

    Raises:
        Refusal: 401: it is not. Nothing is fetched from there.
    """
    text = url if isinstance(url, str) else ""
    try:
        parts, own = urlsplit(text), urlsplit(endpoint)
        named = (parts.scheme, parts.hostname, parts.port) == (own.scheme, own.hostname, own.port) and bool(endpoint)
        aws = parts.scheme == "https" and _HOST.fullmatch(parts.netloc) and _PATH.fullmatch(parts.path)
    except ValueError:
        named, aws = False, None
        parts = urlsplit("")
    if "@" in parts.netloc or not (named or aws):
        raise unauthorized(f"SigningCertURL {text[:100]!r} is none of Amazon SNS")
    return text


class Certificates:
    """Signing certificates by URL, fetched once."""

    def __init__(self, endpoint: str = "") -> None:
        self._endpoint = endpoint
        self._kept: dict[str, Certificate] = {}

    async def get(self, url: JsonValue) -> Certificate:
        """The certificate at a URL that is checked first.

        Raises:
            Refusal: 401: the URL is none of SNS, or there is no certificate.
            Transient: it cannot be fetched now.
        """
        from cryptography import x509

        where = check_url(url, self._endpoint)
        if where not in self._kept:
            try:
                found = x509.load_pem_x509_certificate(await _fetch(where))
            except ValueError:
                raise unauthorized("there is no certificate at SigningCertURL") from None
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[where] = found
        return self._kept[where]


async def _fetch(url: str) -> bytes:
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            content = await answer.content.read(MAX_CERTIFICATE)
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Transient(f"the signing certificate cannot be fetched: {error or type(error).__name__}") from error
    if status >= 500:
        raise Transient(f"the signing certificate cannot be fetched: {status}")
    if status != 200:
        raise Refusal(401, f"there is no certificate at SigningCertURL: {status}")
    return content
