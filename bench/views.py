"""What may be asked of a filled store: every view of the page and every GET of the API, with filters that find
something and filters that find nothing, first pages and deep ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from bench.filling import Names
from retrain.store.tables import to_microseconds
from retrain.web.cursors import seal

TRACED = ("object", "event", "fanned_object", "firing", "run", "wide_run", "promotion", "fanned_promotion", "commit")
FOUND = ("event", "object", "firing", "run", "promotion", "commit", "deadletter")


def paths(names: Names) -> dict[str, str]:
    """What is measured -> its path."""
    lists: dict[str, str] = {}
    for name, words in _lists(names).items():
        view = name.partition(" ")[0]
        lists[f"/ui/{name}"] = f"/ui/{view}{_query(words)}"
        given = {**words, "cursor": seal(str(words["cursor"]))} if "cursor" in words else words
        lists[f"/api/v1/{name}"] = f"/api/v1/{view}{_query(given)}"
    return {**lists, **_single(names), **_walks(names)}


def _query(words: Mapping[str, object]) -> str:
    return f"?{urlencode(words)}" if words else ""


def _lists(names: Names) -> dict[str, dict[str, object]]:
    deep = f"{to_microseconds(datetime.now(UTC) - timedelta(days=45))}.x"
    events = names.counts["events"]
    day, week = (f"{datetime.now(UTC) - timedelta(days=n):%Y-%m-%dT%H:%M:%SZ}" for n in (1, 7))
    return {
        "events": {},
        "events deep": {"cursor": events // 2},
        "events of a source": {"source": "lake-3"},
        "events of no source": {"source": "nowhere"},
        "events of a subject": {"subject": "orders-0"},
        "events of no subject": {"subject": "nothing"},
        "events of a type": {"type": "dev.retrain.webhook.1"},
        "events of no type": {"type": "nothing"},
        "events of a source and no type": {"source": "lake-0", "type": "nothing"},
        "events with a text": {"text": "orders-0/"},
        "events with a rare text": {"text": f"part-{events // 2 + 1:07d}"},
        "events with no text": {"text": "nothing has this"},
        "events with no text, deep": {"text": "nothing has this", "cursor": events // 2},
        "events of a source with no text": {"source": "lake-0", "text": "nothing has this"},
        "events decided on so": {"outcome": "error"},
        "events never decided on so": {"outcome": "forgotten"},
        "events that nobody heard": {"outcome": "unmatched"},
        "events of a time": {"since": week, "until": day},
        "firings": {},
        "firings deep": {"cursor": deep},
        "firings of a sensor": {"sensor": "train-7"},
        "firings of no sensor": {"sensor": "nobody"},
        "firings dead": {"state": "dead"},
        "firings done": {"state": "done"},
        "firings in no state": {"state": "running"},
        "firings of a sensor, dead": {"sensor": "train-7", "state": "dead"},
        "firings of a trigger": {"trigger": "train"},
        "firings of no trigger": {"trigger": "nothing"},
        "firings of a key": {"key": "2026-07"},
        "firings of no key": {"key": "nothing"},
        "runs": {},
        "runs deep": {"cursor": deep},
        "runs failed": {"phase": "Failed"},
        "runs running": {"phase": "Running"},
        "runs pending": {"phase": "Pending"},
        "runs of a workflow": {"workflow": "template-3"},
        "runs of no workflow": {"workflow": "nothing"},
        "runs with a prefix": {"prefix": "orders-1"},
        "runs with no prefix": {"prefix": "nothing"},
        "runs with a label": {"labels": "model=model-3"},
        "runs with no label": {"labels": "model=nothing"},
        "runs of a week": {"since": "7d"},
        "runs with columns": {"columns": "param:date,metric:accuracy"},
        "runs by duration": {"sort": "-duration"},
        "runs by a metric": {"columns": "metric:accuracy", "sort": "-metric:accuracy"},
        "promotions": {},
        "promotions of a model": {"name": "model-3"},
        "promotions of no model": {"name": "nothing"},
        "promotions of an environment": {"environment": "production"},
        "promotions awaiting": {"state": "awaiting"},
        "promotions deep": {"environment": "production", "cursor": deep},
        "deadletters": {},
        "deadletters deep": {"cursor": deep},
        "deadletters with no text": {"text": "nothing has this"},
        "deadletters of an origin": {"origin": "train-7"},
        "audit": {},
        "audit of one": {"subject": "p-00000010"},
        "audit of nothing": {"subject": "nothing"},
        "audit of somebody": {"actor": "ada"},
        "audit of an action": {"action": "runs"},
        "audit of nobody": {"actor": "nobody", "action": "runs"},
    }


def _single(names: Names) -> dict[str, str]:
    """Views of one thing, and those that have no filters."""
    other = f"r-{names.counts['runs'] // 2:08x}"
    run, wide, letter = quote(names.run), quote(names.wide_run), quote(names.deadletter)
    api = {
        "overview": "overview",
        "approvals": "approvals",
        "models": "models",
        "a model": "models/model-3",
        "a model's history": "models/model-3/history.svg",
        "health": "health",
        "graph": "graph",
        "held": "held",
        "tokens": "tokens",
        "two runs compared": f"compare?name={run}&name={other}",
        "a source": "sources/bench",
        "sensors": "sensors",
        "a sensor": "sensors/train-1",
        "a sensor's decisions of one outcome": "sensors/train-1?outcome=error",
        "a sensor's decisions of no key": "sensors/train-1?key=nothing",
        "sources": "sources",
        "removed": "removed",
        "holds": "holds",
        "crons": "crons",
        "an event": f"event?id={names.event}",
        "a firing": f"firings/{names.firing}",
        "a firing's events": f"firings/{names.firing}/events",
        "a run": f"runs/{run}",
        "a run of 10,000 nodes": f"runs/{wide}",
        "a promotion": f"promotions/{names.promotion}",
        "a dead letter": f"deadletters/{letter}",
        "a dead letter's body": f"deadletters/{letter}/body",
    }
    page = {
        "overview": "",
        "approvals": "approvals",
        "models": "models",
        "a model": "model?name=model-3",
        "health": "health",
        "graph": "graph",
        "tokens": "tokens",
        "two runs compared": f"runs/compare?name={run}&name={other}",
        "a source": "source?name=bench",
        "what a run has made": f"propose?run={run}",
        "a run again": f"run/again?name={run}&verb=resubmit",
        "sensors": "sensors",
        "a sensor": "sensor?name=train-1",
        "a sensor's decisions of one outcome": "sensor?name=train-1&outcome=error",
        "a sensor's decisions of no key": "sensor?name=train-1&key=nothing",
        "an event": f"event?id={names.event}",
        "an old event": f"event?id={names.old_event}",
        "a firing": f"firing?id={names.firing}",
        "a run": f"run?name={run}",
        "a run of 10,000 nodes": f"run?name={wide}",
        "a node of 10,000": f"run?name={wide}&node=r-wide-777",
        "a log": f"run/log?name={run}",
        "a log of 10,000 nodes": f"run/log?name={wide}",
        "a promotion": f"promotion?id={names.promotion}",
        "a promotion that waits": f"promotion?id={names.awaiting}",
        "a dead letter": f"deadletter?id={letter}",
        "trace, empty": "trace",
    }
    found = {f"/ui/{name}": f"/ui/{path}" for name, path in page.items()}
    found |= {f"/api/v1/{name}": f"/api/v1/{path}" for name, path in api.items()}
    return {**found, "/metrics": "/metrics", "/readyz": "/readyz"}


def _walks(names: Names) -> dict[str, str]:
    """Traces and searches."""
    found: dict[str, str] = {}
    for name in TRACED:
        words = urlencode({"id": getattr(names, name)})
        found |= {f"/ui/trace of {name}": f"/ui/trace?{words}", f"/api/v1/trace of {name}": f"/api/v1/trace?{words}"}
    wanted = {name: getattr(names, name) for name in FOUND}
    tails = {"an object's end": names.object.rpartition("/")[2], "a prefix": "orders-1", "a model": "model-3"}
    for name, text in {**wanted, **tails, "nothing": "nothing has this"}.items():
        words = urlencode({"q": text})
        found |= {f"/ui/find {name}": f"/ui/find?{words}", f"/api/v1/find {name}": f"/api/v1/find?{words}"}
    return found
