"""What a user writes for each kind of source. Names are Argo Events'; what only retrain.dev/v1 has is said."""

from __future__ import annotations

from retrain.manifests.argo import KeySelector, Shape


class Filter(Shape):
    """`expression` is in expr-lang."""

    expression: str = ""


class Webhook(Shape):
    """An HTTP endpoint. `port` empty: the platform's own. `max_payload_size` in bytes, 0 for the default of 1 MiB."""

    endpoint: str = ""
    method: str = ""
    port: str = ""
    url: str = ""
    server_cert_secret: KeySelector | None = None
    server_key_secret: KeySelector | None = None
    metadata: dict[str, str] = {}
    auth_secret: KeySelector | None = None
    max_payload_size: int = 0
    filter: Filter | None = None


class Reconcile(Shape):
    """How often to look at everything, whatever was reported. `every` is a duration."""

    every: str = "5m"


class WatchPath(Shape):
    """A directory and which files in it: one name, or a regular expression (RE2) found in the name.

    In retrain.dev/v1 it may be relative to the project's folder, and without a choice all files are meant.
    """

    directory: str = ""
    path: str = ""
    path_regexp: str = ""


class File(Shape):
    """Files in a directory. `settle`, `existing` and `reconcile` are of retrain.dev/v1.

    `event_type`: CREATE, WRITE, REMOVE, RENAME, CHMOD, several with `|` between. `settle`: a file that nobody has
    closed counts as complete when it has not changed for so long. `existing`: emit or skip what is there at the
    first start.
    """

    watch_path_config: WatchPath = WatchPath()
    event_type: str = ""
    polling: bool = False
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    settle: str | None = None
    existing: str | None = None
    reconcile: Reconcile | None = None


class Bucket(Shape):
    """`key` means nothing to this source; Argo Events shares the shape with artifacts."""

    name: str = ""
    key: str = ""


class ObjectFilter(Shape):
    prefix: str = ""
    suffix: str = ""


class Minio(Shape):
    """Objects in a bucket. `existing` and `reconcile` are of retrain.dev/v1."""

    endpoint: str = ""
    bucket: Bucket | None = None
    region: str = ""
    insecure: bool = False
    access_key: KeySelector | None = None
    secret_key: KeySelector | None = None
    ca_certificate: KeySelector | None = None
    events: tuple[str, ...] = ()
    filter: ObjectFilter | None = None
    metadata: dict[str, str] = {}
    existing: str | None = None
    reconcile: Reconcile | None = None
