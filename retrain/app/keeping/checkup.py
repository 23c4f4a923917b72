"""A running platform looks itself over: figures from everywhere, judged by `retrain.app.keeping.checks`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import structlog

from retrain.app.keeping import checks, checkup_store
from retrain.app.keeping.checks import Checked
from retrain.app.keeping.health import health
from retrain.app.keeping.risks import Risky, risks
from retrain.app.services import Services
from retrain.app.settings import Settings
from retrain.errors import Transient
from retrain.store.schema import HEAD

Json = dict[str, Any]

log = structlog.get_logger()


async def checkup(services: Services) -> list[Checked]:
    """Everything that was looked at. A store that does not answer is a finding as well."""
    now = services.clock.now()
    told = await health(services)
    found = [*checks.parts(told, now), *checks.schema(told, HEAD), *checks.lag(told), *checks.bus(told)]
    try:
        facts = await services.ask(checkup_store.facts, now)
        rows = await services.ask(checkup_store.pauses, _names(services))
        ending = await services.ask(checkup_store.ending_tokens, now + checks.SOON)
    except Transient as error:
        do = "see part store; is the disk full or gone?"
        return [*found, Checked("store", "fail", str(error), "nothing that the store knows was looked at", do)]
    facts |= {"integrity": await _integrity(services.store.path), "integrityS": checkup_store.QUICK_S}
    ending += await anyio.to_thread.run_sync(_certificates, services)
    return [
        *found,
        *checks.store(told, facts),
        *checks.room(told, facts),
        *checks.work(facts),
        *checks.sources(rows, now),
        *checks.ends(ending, now),
        *risks(risky(services.settings, os.environ)),
    ]


async def _integrity(path: Path) -> str | None:
    return await anyio.to_thread.run_sync(checkup_store.integrity, path)


def _names(services: Services) -> list[tuple[str, str]]:
    return [(str(one["source"]), str(one["event"])) for one in services.sources()]


def risky(settings: Settings, environment: Mapping[str, str]) -> Risky:
    """What of the settings is looked at. Pure."""
    server, users = settings.server, settings.access.users
    return Risky(
        host=server.host,
        shared_token=None if server.token is None else len(server.token.get_secret_value()),
        plain_tokens=tuple(sorted(name for name, user in users.items() if user.token is not None)),
        users=len(users),
        fault="RETRAIN_FAULT" in environment,
        http_private=settings.pipelines.http_private,
        any_image=settings.pipelines.any_image,
        remote_sources=settings.sensors.allow_remote_sources,
        debug=environment.get("RETRAIN_LOG_LEVEL") == "debug",
    )


# --- certificates ----------------------------------------------------------------------------------------------------


def _certificates(services: Services) -> list[tuple[str, datetime]]:
    """The certificates in the project's secrets: which key of which, and when each ends."""
    found: list[tuple[str, datetime]] = []
    for item in services.manifests().secrets:
        found += certificates(item.document.body)
    return found


def certificates(document: Mapping[str, Any]) -> Iterator[tuple[str, datetime]]:
    """The end of each certificate (the first of a chain) in a Secret. Pure."""
    from base64 import b64decode
    from binascii import Error

    from cryptography.x509 import load_pem_x509_certificate

    name = (document.get("metadata") or {}).get("name", "")
    plain: Mapping[str, Any] = document.get("stringData") or {}
    coded: Mapping[str, Any] = document.get("data") or {}
    values: Sequence[tuple[str, bytes]] = [(key, str(value).encode()) for key, value in plain.items()]
    for key, value in coded.items():
        try:
            values = [*values, (key, b64decode(str(value)))]
        except (Error, ValueError):
            continue  # lint says it
    for key, value in values:
        if b"-----BEGIN CERTIFICATE-----" in value:
            try:
                yield f"certificate {name}/{key}", load_pem_x509_certificate(value).not_valid_after_utc
            except ValueError:
                log.debug("checkup.no_certificate", secret=name, key=key)
