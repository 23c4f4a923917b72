"""Reading one object from a bucket, by MinIO's client. Blocking; run in a thread."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from retrain.errors import ConfigError, Permanent, Transient
from sensors.objects.settings import RemoteSettings
from sensors.trigger_spec import S3

REFUSALS = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})


@dataclass(frozen=True, slots=True, repr=False)
class S3Access:
    """How to get in. `ca`: certificates in PEM that are trusted; "" means those of the system."""

    key: str = ""
    secret: str = ""
    ca: str = ""


def read_s3(written: S3, access: S3Access, settings: RemoteSettings) -> bytes:
    """The beginning of the object: one byte more than is allowed at most.

    Raises:
        ConfigError: the endpoint or the certificate cannot be used.
        Permanent: the server says no. Transient: it is away, or has no such object yet.
    """
    # They are slow to import, and most platforms never need them here.
    import urllib3
    from minio import Minio
    from minio.error import MinioException, S3Error

    assert written.bucket is not None
    timeout = urllib3.Timeout(connect=min(10.0, settings.timeout_s), read=settings.timeout_s)
    pool = urllib3.PoolManager(timeout=timeout, retries=False, ssl_context=_context(access.ca))
    try:
        client = Minio(
            endpoint=written.endpoint,
            access_key=access.key or None,
            secret_key=access.secret or None,
            secure=not written.insecure,
            region=written.region or "us-east-1",
            http_client=pool,
        )
        response = client.get_object(
            bucket_name=written.bucket.name, object_name=written.bucket.key, length=settings.max_bytes + 1
        )
        try:
            return response.read(settings.max_bytes + 1)
        finally:
            response.close()
    except S3Error as error:
        kind = Permanent if error.code in REFUSALS else Transient
        raise kind(f"{error.code}: {error.message}") from error
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        raise Transient(f"no answer: {error}") from error
    finally:
        pool.clear()


def _context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=ca or None)
    except ssl.SSLError as error:
        raise ConfigError(f"caCertificate holds no certificate: {error}") from error
