"""Trying a sensor that was changed: over the recorded log, side by side with the one that runs. Nothing is applied.

A form that changes nothing, so whoever may look may try; it bears the session's word all the same, as it costs work.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.responses import Response

from retrain.app.sensing.case_files import sensor_item
from retrain.app.sensing.replaying import read_request, replay_aside
from retrain.app.sensing.sensor_text import lines_of, lint_text, written
from retrain.errors import ConfigError, RetrainError
from retrain.web.errors import status_of
from retrain.web.page.events import as_file
from retrain.web.page.forms import Fields, read_form
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, given

Json = dict[str, Any]

LONGEST = 512 * 1024
"""Bytes of a form with a manifest in it."""
EVENTS, MOST_EVENTS = 20_000, 200_000
"""Events of the log that a trial takes where nobody says how many, and that it takes at most."""
LONGEST_S = 60.0
"""Seconds that somebody waits for a trial."""
SHOWN = 100
"""Firings of each kind that are listed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What somebody tries, and how it went."""

    name: str
    manifest: str
    words: Mapping[str, str]
    lines: Sequence[Json] = ()
    trouble: str = ""
    result: Json = field(default_factory=dict[str, Any])
    status: int = 200


def add_trial_views(page: FastAPI, frame: Frame) -> None:
    """Add their routes."""

    @page.get("/ui/sensor/try")
    async def begin(request: Request, name: str) -> Response:
        item = sensor_item(frame.services.sensing.items(), name)
        text = await anyio.to_thread.run_sync(written, item)
        return _show(frame, request, Trial(name, text.text, {"limit": str(EVENTS)}))

    @page.post("/ui/sensor/try")
    async def attempt(request: Request) -> Response:
        form = await read_form(frame.sessions, request, LONGEST)
        return _show(frame, request, await _try(frame, form))

    @page.post("/ui/sensor/try/file")
    async def save(request: Request) -> Response:
        form = await read_form(frame.sessions, request, LONGEST)
        return as_file(_manifest(form), f"{form.need('name')}.yaml")


def _manifest(form: Fields) -> str:
    """Browsers send lines as forms have had them for ever; files have others."""
    return form.get("manifest", "").replace("\r\n", "\n")


async def _try(frame: Frame, form: Fields) -> Trial:
    name, manifest = form.need("name"), _manifest(form)
    words = {one: form.get(one, "").strip() for one in ("from", "to", "limit")}
    sensor_item(frame.services.sensing.items(), name)
    try:
        findings = await anyio.to_thread.run_sync(lint_text, manifest, frame.services.manifests())
        lines = lines_of(manifest, findings) if findings else []
        if wrong := sum(one.severity == "error" for one in findings):
            trouble = f"The linter has found {wrong} error{'s' if wrong > 1 else ''}; nothing was replayed."
            return Trial(name, manifest, words, lines, trouble, status=422)
        return Trial(name, manifest, words, lines, result=await _replay(frame, name, manifest, words))
    except RetrainError as error:
        return Trial(name, manifest, words, trouble=str(error), status=status_of(error))


async def _replay(frame: Frame, name: str, manifest: str, words: Mapping[str, str]) -> Json:
    services = frame.services
    asked = {"manifest": manifest, "diff": name, **{one: said for one, said in words.items() if said}}
    request = read_request({"limit": str(EVENTS), **asked})
    if (request.limit or 0) > MOST_EVENTS:
        raise ConfigError(f"limit: {MOST_EVENTS} events at most are replayed here; {_command(name, words)} takes more")
    items, now = services.sensing.items(), services.clock.now()
    return await replay_aside(services.store.path, request, items, now, LONGEST_S)


def _command(name: str, words: Mapping[str, str]) -> str:
    said = given(diff=name, **{one: words.get(one) for one in ("from", "to", "limit")})
    return command("sensors", "replay", f"{name}.yaml", *said)


def _show(frame: Frame, request: Request, trial: Trial) -> Response:
    view = View("trial.html", f"Try a change of {trial.name}", _command(trial.name, trial.words), status=trial.status)
    more = {"trial": trial, "limit": MOST_EVENTS, "shown": SHOWN, "quoted": shlex.quote(f"{trial.name}.yaml")}
    return frame.show(request, view, both=_both(trial.result), **more)


def _both(result: Json) -> list[tuple[str, int, int]]:
    """How often the one that runs decided each thing, and how often the changed one; firings last."""
    if not result:
        return []
    before: Json = result["diff"]["before"]
    words = sorted({*before["outcomes"], *result["outcomes"]})
    rows = [(word, before["outcomes"].get(word, 0), result["outcomes"].get(word, 0)) for word in words]
    return [
        ("events it asks for", before["events"], result["events"]),
        *rows,
        ("firings", before["count"], result["count"]),
    ]
