"""Where a model comes from, as an in-toto statement (SLSA provenance v1) in a DSSE envelope beside the record. Pure.

The statement says what the record says, by digests, in the form that other tools read (cosign, slsa-verifier, policy
engines). It is made of the record alone, so that the same commit has the same statement.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from hashlib import sha256
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from deploy.git.signing import PrivateKey
from deploy.record import Record
from retrain.errors import ConfigError, Refused
from retrain.events import JsonValue

PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUILD_TYPE = "https://retrain.dev/promotion/v1"
PublicKey = Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)


def file_of(record_file: str, digest: str) -> str:
    """Where the envelope lies: beside the record, one file for each model that was promoted."""
    return f"{record_file.removesuffix('.json')}.{digest.partition(':')[2][:16]}.intoto.json"


def statement(record: Record, builder: str, report: str | None) -> bytes:
    """The statement about the live model of a record, as canonical JSON. `report`: the gate report's digest."""
    live, promotion = record.live, record.promotion
    assert live is not None
    body: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": str(promotion.get("name")), "uri": live.uri, "digest": _digest(live.digest)}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    name: promotion.get(name) for name in ("name", "environment", "run", "firing", "events")
                },
                "internalParameters": {"promotion": promotion.get("id"), "intent": promotion.get("intent")},
                "resolvedDependencies": _dependencies(live.dataset),
            },
            "runDetails": {
                "builder": {"id": builder},
                "metadata": {"invocationId": str(promotion.get("run") or promotion.get("id"))},
                "byproducts": [{"name": "gate-report", "digest": _digest(report)}] if report else [],
            },
        },
    }
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def _dependencies(dataset: str | None) -> list[dict[str, JsonValue]]:
    if not dataset:
        return []
    return [{"name": "dataset", "digest": _digest(dataset)} if ":" in dataset else {"name": "dataset", "uri": dataset}]


def _digest(text: str) -> dict[str, JsonValue]:
    algorithm, _, value = text.partition(":")
    return {algorithm: value}


def subject_of(payload: bytes) -> str | None:
    """The digest of the model that a statement is about; None if it says none."""
    try:
        ((algorithm, value),) = orjson.loads(payload)["subject"][0]["digest"].items()
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    return f"{algorithm}:{value}"


def digest(payload: bytes) -> str:
    """What the trailer `Provenance-Digest` holds."""
    return f"sha256:{sha256(payload).hexdigest()}"


def seal(payload: bytes, key: PrivateKey) -> bytes:
    """The envelope: payload and signature, as JSON for people."""
    public = key.public_key()
    signature = {"keyid": key_id(public), "sig": b64encode(_sign(key, _pae(payload))).decode()}
    body = {"payloadType": PAYLOAD_TYPE, "payload": b64encode(payload).decode(), "signatures": [signature]}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def payload_of(envelope: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """An envelope's payload and its signatures (key id, bytes), none of them checked.

    Raises:
        Refused: it is no envelope of an in-toto statement.
    """
    try:
        body = orjson.loads(envelope)
        if body["payloadType"] != PAYLOAD_TYPE:
            raise Refused(f"is an envelope of {str(body['payloadType'])[:80]!r}, not of {PAYLOAD_TYPE}")
        signatures = [(str(one.get("keyid", "")), b64decode(one["sig"], validate=True)) for one in body["signatures"]]
        return b64decode(body["payload"], validate=True), signatures
    except (orjson.JSONDecodeError, NotBase64, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"is no DSSE envelope: {type(error).__name__}") from error


def is_signed(payload: bytes, signatures: list[tuple[str, bytes]], key: PublicKey) -> bool:
    """Whether one of the signatures is that key's."""
    return any(_holds(key, signature, _pae(payload)) for _, signature in signatures)


def load_public(text: str) -> PublicKey:
    """A public key from PEM or from a line of OpenSSH.

    Raises:
        ConfigError: it is none.
    """
    data = text.strip().encode()
    try:
        key = pem.load_pem_public_key(data) if data.startswith(b"-----") else pem.load_ssh_public_key(data)
    except ValueError:
        raise ConfigError("is no public key (PEM or OpenSSH)") from None
    if not isinstance(key, Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey):
        raise ConfigError("must be an Ed25519, ECDSA or RSA key")
    return key


def key_id(key: PublicKey) -> str:
    """SHA-256 of the public key, in hex."""
    return sha256(key.public_bytes(pem.Encoding.DER, pem.PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _pae(payload: bytes) -> bytes:
    """What DSSE signs. Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md"""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def _sign(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, RSAPrivateKey):
        return key.sign(data, _PSS, hashes.SHA256())
    return key.sign(data, ECDSA(hashes.SHA256()))


def _holds(key: PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, RSAPublicKey):
            key.verify(signature, data, _PSS, hashes.SHA256())
        else:
            key.verify(signature, data, ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
