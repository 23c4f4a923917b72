"""The support bundle: what somebody needs who helps from afar, in one file, without secrets.

Texts that may quote payloads (reasons, errors, messages, keys) are part of it only with payloads. Everything else is
masked twice: by its place when it is gathered, and by the value of each secret that is known here when it is written.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Table, select, text

from retrain import __version__
from retrain.app.keeping import masking
from retrain.app.keeping.masking import Masker
from retrain.app.keeping.settings_shown import changed
from retrain.app.projects.project import Project
from retrain.app.settings import Settings
from retrain.bus.embedded import config_file
from retrain.errors import Refused
from retrain.manifests import to_yaml
from retrain.store.tables import deadletters, decisions, events, firings, promotions, runs

Json = dict[str, Any]

NEWEST = 200
"""Rows of each kind."""
PAYLOADS = 50
"""Events that come with their payloads, where these are wanted."""
LOG_BYTES = 256 * 1024
MOST_FILE = 64 * 1024
"""Bytes of a secret's file that is looked at."""

README = """\
A support bundle of Retrain. about.json says of what. Secrets are masked as ***: those that this machine knows by their
value, others by their name or look. Look it through before you hand it out all the same.
"""

_PLAIN: Mapping[str, tuple[Table, tuple[str, ...], tuple[str, ...]]] = {
    "decisions": (decisions, ("id", "sensor", "dependency", "trigger", "outcome", "time"), ("reason", "detail", "key")),
    "deadletters": (deadletters, ("id", "kind", "origin", "created", "redriven"), ("reason", "body")),
    "firings": (
        firings,
        ("id", "sensor", "trigger", "state", "attempts", "depth", "created", "next_attempt", "finished", "tracked"),
        ("key", "error", "result", "action"),
    ),
    "runs": (
        runs,
        ("id", "name", "workflow", "phase", "created", "started", "finished", "attempts", "pods", "parked", "wake"),
        ("message", "outputs", "manifest"),
    ),
    "promotions": (
        promotions,
        (
            "id",
            "name",
            "environment",
            "state",
            "action",
            "created",
            "updated",
            "next_attempt",
            "attempts",
            "commit_sha",
        ),
        ("reason", "candidate", "gates"),
    ),
}
"""Of each table: columns that quote nothing, and those that come with payloads only."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a bundle is made of. `told`: files by name that whoever asks has at hand, such as metrics and checks."""

    settings: Settings
    project: Project
    data: Path
    environment: Mapping[str, str]
    told: Mapping[str, bytes]
    payloads: bool = False


def gather(connection: Connection, sources: Sources) -> dict[str, bytes]:
    """The files of a bundle, masked.

    Raises:
        Refused: a secret is left in one of them, which is a bug: better no bundle.
    """
    masker = Masker(known_secrets(sources))
    found = {
        "README": README.encode(),
        "about.json": _json(_about(sources)),
        "settings.json": _json(_settings(sources.settings)),
        "environment.json": _json(sorted(name for name in sources.environment if name.startswith("RETRAIN_"))),
        "schema.sql": "\n".join(_schema(connection)).encode(),
        **{f"{name}.json": _json(rows) for name, rows in _rows(connection, payloads=sources.payloads)},
        **{name: content.encode() for name, content in _manifests(sources.project)},
        **_logs(sources.data),
        **sources.told,
    }
    return {masker.text(name): _clean(masker, name, content) for name, content in found.items()}


def _clean(masker: Masker, name: str, content: bytes) -> bytes:
    clean = masker.text(content.decode(errors="replace"))
    if left := masker.left(clean):
        raise Refused(f"{left} secrets are left in {name} of the bundle: nothing was written; please report this")
    return clean.encode()


def packed(files: Mapping[str, bytes]) -> bytes:
    """The bundle as tar.gz; everything in it lies in one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(f"retrain-support/{name}")
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def known_secrets(sources: Sources) -> set[str]:
    """Every secret that can be known here: of settings, documents, variables, files and the bus."""
    settings = sources.settings
    found = set(masking.of_settings(settings))
    for name, value in sources.environment.items():
        # A secret of the project under any name; of other variables what they call one.
        found.update([value] if name.startswith("RETRAIN_SECRET_") else masking.of_named(name, value))
    for item in documents(sources.project):
        found.update(masking.of_document(item.document.body))
    files = [*_secret_files(settings.secrets.folder), settings.bus.credentials_file, settings.bus.key_file]
    found.update(_content(path) for path in files if path is not None)
    found.update(_bus_token(sources.data))
    return found - {""}


def documents(project: Project) -> Iterator[Any]:
    """All documents of a project."""
    for name in type(project).__dataclass_fields__:
        for one in getattr(project, name) if isinstance(getattr(project, name), tuple) else ():
            if hasattr(one, "document"):
                yield one


def _secret_files(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield from (path for path in (folder / "secrets").glob("*/*") if path.is_file())


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_FILE).decode(errors="replace")
    except OSError:
        return ""


def _bus_token(data: Path) -> Iterator[str]:
    for line in _content(config_file(data / "bus")).splitlines():
        if line.startswith("authorization"):
            yield from line.split('"')[1::2]


# --- what is in it ---------------------------------------------------------------------------------------------------


def _about(sources: Sources) -> Json:
    return {
        "retrain": __version__,
        "made": datetime.now(UTC).isoformat(),
        "data": str(sources.data),
        "payloads": sources.payloads,
        "newest": NEWEST,
    }


def _settings(settings: Settings) -> Json:
    shown = masking.masked(settings.model_dump(mode="json"))
    users = {name: {"roles": list(user.roles)} for name, user in settings.access.users.items()}
    shown["access"] = {**shown.get("access", {}), "users": users}
    return {"changed": changed(settings), "all": shown}


def _schema(connection: Connection) -> Iterator[str]:
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    yield f"-- revision {revision}"
    for row in connection.execute(text("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")):
        yield f"{row.sql};"


def _rows(connection: Connection, *, payloads: bool) -> Iterator[tuple[str, list[Json]]]:
    for name, (table, plain, quoting) in _PLAIN.items():
        columns = [table.c[one] for one in (*plain, *(quoting if payloads else ()))]
        order = table.c.id if name == "decisions" else table.c.created
        rows = connection.execute(select(*columns).order_by(order.desc()).limit(NEWEST)).mappings()
        yield name, [{str(key): _value(one) for key, one in row.items()} for row in rows]
    seen = select(events.c.source, events.c.subject, events.c.type, events.c.position, events.c.received, events.c.body)
    newest = connection.execute(seen.order_by(events.c.position.desc()).limit(NEWEST)).all()
    yield "events", [_event(row, at < PAYLOADS and payloads) for at, row in enumerate(newest)]


def _event(row: Any, whole: bool) -> Json:
    """An event: where it came from and when; its body's length and digest, or all of it."""
    body = row.body.encode()
    found = {"source": row.source, "subject": row.subject, "type": row.type, "position": row.position}
    found |= {"received": _value(row.received), "bytes": len(body), "digest": sha256(body).hexdigest()[:12]}
    return {**found, "body": row.body} if whole else found


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value[:MOST_FILE].decode(errors="replace")
    return masking.masked(value)


def _manifests(project: Project) -> Iterator[tuple[str, str]]:
    """Each file's documents, without secrets. Comments are left out: nobody knows what is in them."""
    files: dict[str, list[Json]] = {}
    for item in documents(project):
        files.setdefault(item.document.file, []).append(masking.document(item.document.body))
    for number, (file, bodies) in enumerate(sorted(files.items())):
        name = f"manifests/{number:03}-{Path(file).name}"
        yield name, f"# {file}\n" + "---\n".join(to_yaml(one) for one in bodies)


def _logs(data: Path) -> dict[str, bytes]:
    """The end of the bus's log. The platform's own goes to whoever has started it."""
    path = data / "bus" / "nats.log"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return {"logs/nats.log": file.read()}
    except OSError:
        return {}


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str)
