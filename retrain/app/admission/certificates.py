"""Keys of the webhook: an authority of our own, and what it signs for the server. Made and judged here, kept elsewhere.

Both are made anew when two thirds of their time are over. Whoever trusts is told of a new authority before anything is
signed by it, and trusts the old one until its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from retrain.errors import ConfigError

WRONG_CLOCKS = timedelta(minutes=5)
"""How far another machine's clock may be behind ours."""
DUE = 2 / 3
"""The part of a certificate's time after which the next is made."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM texts."""

    cert: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keys:
    """What is kept. `trusted`: authorities that are still trusted beside `authority`, as PEM texts."""

    authority: Pair
    server: Pair
    trusted: str = ""

    @property
    def bundle(self) -> str:
        """All authorities to trust."""
        return self.authority.cert + self.trusted


@dataclass(frozen=True, slots=True)
class Lives:
    """How long what is made is good for."""

    authority: timedelta = timedelta(days=730)
    server: timedelta = timedelta(days=90)


def fresh(keys: Keys | None, names: Sequence[str], now: datetime, lives: Lives) -> Keys:
    """The keys to use from now on: these, or with what is due made anew. `names`: DNS names and addresses.

    What cannot be read counts as not there.
    """
    if keys is None or _unreadable(keys):
        authority = new_authority(now, lives.authority)
        return Keys(authority, sign(authority, names, now, lives.server))
    if due_at(keys.authority.cert) <= now:
        authority = new_authority(now, lives.authority)
        trusted = "".join(one for one in _split(keys.bundle) if _ends(one) > now)
        return Keys(authority, sign(authority, names, now, lives.server), trusted)
    trusted = "".join(one for one in _split(keys.trusted) if _ends(one) > now)
    keys = replace(keys, trusted=trusted)
    if due_at(keys.server.cert) <= now or _names(keys.server.cert) != set(names):
        return replace(keys, server=sign(keys.authority, names, now, lives.server))
    return keys


def next_due(keys: Keys) -> datetime:
    """When something must be made anew."""
    return min(due_at(keys.authority.cert), due_at(keys.server.cert))


def due_at(cert: str) -> datetime:
    """When a certificate's successor is made."""
    read = _read(cert)
    begins, ends = read.not_valid_before_utc + WRONG_CLOCKS, read.not_valid_after_utc
    return begins + (ends - begins) * DUE


def new_authority(now: datetime, life: timedelta) -> Pair:
    """An authority that signs servers' certificates and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"retrain-admission {now:%Y-%m-%dT%H:%M:%SZ}")
    made = _begun(name, name, key, now, life)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = made.add_extension(_usage(signs=True), critical=True)
    return _pair(made.sign(key, hashes.SHA256()), key)


def sign(authority: Pair, names: Sequence[str], now: datetime, life: timedelta) -> Pair:
    """A server's certificate, no longer than its authority."""
    issuer, key = _read(authority.cert), ec.generate_private_key(ec.SECP256R1())
    life = min(life, issuer.not_valid_after_utc - now)
    made = _begun(_name(names[0]), issuer.subject, key, now, life)
    made = made.add_extension(x509.SubjectAlternativeName([_alternative(one) for one in names]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    made = made.add_extension(_usage(signs=False), critical=True)
    made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    signer = _key(authority.key)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    return _pair(made.sign(signer, hashes.SHA256()), key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - WRONG_CLOCKS)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _unreadable(keys: Keys) -> bool:
    try:
        same = _key(keys.server.key).public_key() == _read(keys.server.cert).public_key()
        return not same or _key(keys.authority.key).public_key() != _read(keys.authority.cert).public_key()
    except (ValueError, TypeError, ConfigError):
        return True


def _key(text: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(text.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError("the kept key is none of ours: it is no key of an elliptic curve")
    return key


def _read(cert: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(cert.encode())


def _split(bundle: str) -> list[str]:
    return [_text(one) for one in x509.load_pem_x509_certificates(bundle.encode())] if bundle.strip() else []


def _ends(cert: str) -> datetime:
    return _read(cert).not_valid_after_utc


def _names(cert: str) -> set[str]:
    found = _read(cert).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(one.value) for one in found}


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _pair(cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(_text(cert), text.decode())


def _text(cert: x509.Certificate) -> str:
    return cert.public_bytes(serialization.Encoding.PEM).decode()
