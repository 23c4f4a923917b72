"""A realistic store, fast: what a platform has after 90 busy days, a fifth of it from the last one.

    python -m bench.filling FILE [events]

Rows are made here and put in with SQLite's own client, the indices after them: a million events take about a minute.
Nothing in it is due, so that a platform that is started on it has nothing to do. `Names` are what a view may ask for.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import anyio
import orjson

from retrain.store import open_store
from retrain.store.tables import metadata, to_microseconds

DAYS, LAST_DAY, DECIDED_DAYS = 90, 0.2, 29
FAR = to_microseconds(datetime(9000, 1, 1, tzinfo=UTC))
HOUR = 3_600_000_000
SOURCES, SENSORS, TEMPLATES, MODELS = 20, 50, 40, 20
ENVIRONMENTS = ("staging", "canary", "production")
FANNED = 10_000
"""Firings, each with its run, that one event of a promotion has led to; and as many that one object has."""
OUTCOMES = (
    *(("filtered", 60), ("passed", 20), ("unmatched", 6), ("fired", 6), ("duplicate", 3), ("waiting", 2)),
    *(("error", 1), ("expired", 1), ("held", 1), ("throttled", 1), ("over-budget", 1), ("skipped", 1)),
    *(("coalesced", 1), ("replaced", 1), ("released", 1)),
)
STATES = (("done", 960), ("dead", 10), ("cancelled", 10), ("shadow", 20))
PHASES = (("Succeeded", 880), ("Failed", 90), ("Error", 30))
ENDS = (("superseded", 60), ("refused", 15), ("rejected", 5), ("failed", 5), ("rolled-back", 10), ("noop", 5))
WORDS = (
    *("orders", "invoices", "sensors", "clicks", "images", "prices", "weather"),
    *("routes", "parts", "claims", "visits", "returns", "stocks"),
)
"""What the things of this store are called after."""


@dataclass(slots=True)
class Names:
    """Things that are there: an id of each kind, the common ones and the far ones."""

    event: str = ""
    old_event: str = ""
    object: str = ""
    fanned_object: str = ""
    firing: str = ""
    run: str = ""
    wide_run: str = ""
    promotion: str = ""
    fanned_promotion: str = ""
    awaiting: str = ""
    deadletter: str = ""
    commit: str = ""
    counts: dict[str, int] = field(default_factory=dict[str, int])


def fill(  # noqa: PLR0913 - how many of each
    path: Path,
    events: int = 10**6,
    runs: int = 10**5,
    nodes: int = 10_000,
    promotions: int = 2_000,
    decisions: int = 10**6,
    now: datetime | None = None,
    seed: int = 1,
) -> Names:
    """Make a store in a file that is not there yet, with one run of `nodes` nodes among the others."""
    anyio.run(_made, path)
    filler = _Filler(path, now or datetime.now(UTC), seed)
    try:
        with filler.db, filler.without_indices():
            filler.events(events, runs)
            filler.decisions(decisions)
            filler.firings_and_runs(runs)
            filler.wide_run(nodes)
            filler.promotions(promotions)
            filler.letters(5 * promotions // 2)
            filler.deeds(5 * promotions // 2)
            filler.sensors()
        filler.count()
    finally:
        filler.db.close()
    return filler.names


async def _made(path: Path) -> None:
    async with open_store(path):
        pass


class _Filler:
    """One store while it is filled. Times are microseconds, as the store has them."""

    def __init__(self, path: Path, now: datetime, seed: int) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        for pragma in ("synchronous=OFF", "cache_size=-1000000", "temp_store=MEMORY"):
            self.db.execute(f"PRAGMA {pragma}")
        self.dice = random.Random(seed)
        self.now = to_microseconds(now)
        self.names = Names()
        self._keys: list[str] = []
        self._at: list[int] = []
        self._subjects = [f"{WORDS[n % len(WORDS)]}-{n}" for n in range(100)]

    def without_indices(self) -> _Bare:
        return _Bare(self.db)

    def put(self, table: str, rows: Iterable[Sequence[object]], names: str) -> None:
        places = ",".join("?" * (names.count(",") + 1))
        self.db.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", rows)

    def one_of(self, weighted: Sequence[tuple[str, int]], count: int) -> list[str]:
        return self.dice.choices([word for word, _ in weighted], [weight for _, weight in weighted], k=count)

    # --- events and what was decided on them ----------------------------------------------------------------------

    def times(self, count: int) -> list[int]:
        """Times of things in their order: evenly over the days, and densely over the last one."""
        last, day = int(count * LAST_DAY), 24 * HOUR
        before = [self.now - DAYS * day + (DAYS - 1) * day * n // max(1, count - last) for n in range(count - last)]
        return before + [self.now - day + day * n // max(1, last) for n in range(last)]

    def events(self, count: int, runs: int) -> None:
        """Three quarters objects that arrived, a tenth what runs tell, the rest webhooks and messages."""
        self._at = self.times(count)
        self._told = max(1, count // max(1, runs))  # one in so many tells of a run
        columns = "key,id,source,subject,type,time,position,received,cause,body"
        refs: list[tuple[str, str, str]] = []
        self.put("events", (self._event(n, refs) for n in range(count)), columns)
        self.put("event_refs", refs, "ref,event_key,base")
        self.names.event, self.names.old_event = self._keys[-3], self._keys[count // 10]
        self.names.object = refs[len(refs) // 2][0]
        self.names.fanned_object, self._object = refs[2 * len(refs) // 3][:2]
        self.db.execute("INSERT INTO cursors (name, position, now) VALUES ('sensors', ?, ?)", (count, self.now))

    def _event(self, n: int, refs: list[tuple[str, str, str]]) -> tuple[object, ...]:
        at, number = self._at[n], self.dice.random()
        cause, more = None, {}
        stamp = datetime.fromtimestamp(at // 1_000_000, UTC).isoformat()[:19] + "Z"
        source, subject = f"lake-{int(SOURCES * number**3)}", self._subjects[int(100 * number * number)]
        if n % self._told == self._told - 1:
            cause = f"r-{n // self._told:08x}"
            name, source, subject = f"run.succeeded/{cause}", "retrain", f"run.succeeded.{WORDS[n % len(WORDS)]}"
            kind, data = "dev.retrain.run.succeeded", {"run": cause, "outputs": {"parameters": {"accuracy": "0.9"}}}
            more = {"retraincause": cause, "retraindepth": 2}
        elif n % 4:
            name = f"{subject}/{stamp[:10]}/part-{n:07d}.parquet"
            kind = "com.amazonaws.s3.objectcreated.put" if n % 8 else "com.amazonaws.s3.objectcreated.copy"
            object_ = {"key": name, "size": 1000 + n % 90_000, "eTag": f"{n * 2654435761 % 2**64:016x}"}
            data = {"bucket": {"name": source}, "object": object_, "rows": n % 5000, "region": "eu-central-1"}
            more = {"retrainobject": f"s3://{source}/{name}"}
        else:
            name, kind = f"{n:x}-{n * 40503 % 65536:04x}", f"dev.retrain.webhook.{n % 5}"
            body = {"n": n, "who": WORDS[n % len(WORDS)], "labels": [f"l{n % 7}", f"l{n % 11}"], "score": n % 100}
            data = {"body": body, "headers": {"user-agent": "bench/1", "x-delivery": f"{n:032x}"}}
        key = sha256(f"{len(source)}:{source}:{name}".encode()).hexdigest()[:32]
        self._keys.append(key)
        if "retrainobject" in more:
            refs.append((str(more["retrainobject"]), key, name.rpartition("/")[2]))
        body = {"specversion": "1.0", "id": name, "source": source, "type": kind, "subject": subject, "time": stamp}
        text = orjson.dumps({**body, "datacontenttype": "application/json", **more, "data": data}).decode()
        return key, name, source, subject, kind, at, n + 1, at + 20_000, cause, text

    def decisions(self, count: int) -> None:
        """What sensors made of the events of the last days: each is heard by up to three."""
        first = next((n for n, at in enumerate(self._at) if at > self.now - DECIDED_DAYS * 24 * HOUR), 0)
        outcomes = self.one_of(OUTCOMES, count)
        there = len(self._at) - first
        columns = "event_key,sensor,dependency,outcome,reason,detail,time,trigger,key"
        self.put(
            "decisions", (self._decision(i, first + i * there // count, outcomes[i]) for i in range(count)), columns
        )

    def _decision(self, i: int, n: int, outcome: str) -> tuple[object, ...]:
        sensor = f"train-{int(SENSORS * self.dice.random() ** 2)}"
        late = outcome in {"fired", "held", "throttled", "expired", "waiting"}
        detail = None
        if outcome == "filtered":
            found = {"kind": "data", "path": "rows", "passed": False, "reason": f"{i % 5000} is not >= 5000"}
            detail = orjson.dumps({"filters": [found]}).decode()
        reason = f"{outcome}: of the window of {i % 31} it is number {i % 7}"
        trigger, key = ("train", f"2026-{i % 12 + 1:02d}-{i % 28 + 1:02d}") if late else (None, "")
        return self._keys[n], sensor, "new", outcome, reason, detail, self._at[n] + 25_000, trigger, key

    # --- firings and runs -----------------------------------------------------------------------------------------

    def firings_and_runs(self, runs: int) -> None:
        """A firing for each run and a fifth more; ten thousand of one event, and as many of one object."""
        count = runs * 6 // 5
        fan = min(FANNED, runs // 10)
        states, phases, times = self.one_of(STATES, count), self.one_of(PHASES, runs), self.times(count)
        columns = "id,sensor,trigger,key,state,attempts,depth,action,created,next_attempt,result,error,finished"
        self.put("firings", (self._firing(n, states[n], times[n]) for n in range(count)), columns)
        self.put("firing_events", self._links(count, runs, fan), "firing_id,event_key,ordinal")
        columns = (
            "id,firing_id,name,namespace,workflow,manifest,labels,phase,message,created,started,finished,outputs,"
            "parked,pods"
        )
        open_ = set(self.dice.sample(range(runs), min(300, runs // 10)))
        rows = (self._run(n, "Running" if n in open_ else phases[n], times[n]) for n in range(runs))
        self.put("runs", rows, columns)
        self.put(
            "nodes", (row for n in range(runs) for row in self._nodes(n, phases[n], times[n])), "run_id,node_id,body"
        )
        edges = (_edge(n, m) for n in range(runs) for m in range(2))
        self.put("run_edges", edges, "run_id,position,parent,child")
        last = runs - 5
        self.names.firing, self.names.run = "f-" + f"{runs // 2:032x}", f"{WORDS[last % len(WORDS)]}-{last:x}"

    def _firing(self, n: int, state: str, at: int) -> tuple[object, ...]:
        sensor = f"train-{int(SENSORS * self.dice.random() ** 2)}"
        resource = _manifest(n)
        action = orjson.dumps({"kind": "argoWorkflow", "operation": "submit", "resource": resource}).decode()
        error = "HTTP 503 from http://trainer.svc/start: the queue is full" if state == "dead" else None
        result = orjson.dumps({"run": f"r-{n:08x}"}).decode() if state == "done" else None
        ended = at + 400_000
        return (
            *("f-" + f"{n:032x}", sensor, "train", f"2026-{n % 12 + 1:02d}", state, 1, 1, action, at, FAR),
            *(result, error, ended),
        )

    def _links(self, count: int, runs: int, fan: int) -> Iterator[tuple[str, str, int]]:
        """The newest runs but the fanned ones come of two events each. The fans lie a third and two thirds back."""
        one, other = self._keys[len(self._keys) // 3], self._object
        self._fanned = one
        for n in range(count):
            firing = "f-" + f"{n:032x}"
            if runs // 3 <= n < runs // 3 + fan:
                yield firing, one, 0
            elif 2 * runs // 3 <= n < 2 * runs // 3 + fan:
                yield firing, other, 0
            else:
                yield firing, self._keys[n * len(self._keys) // count], 0
                if n % 3 == 0 and n > 9:
                    yield firing, self._keys[max(0, n * len(self._keys) // count - 3)], 1

    def _run(self, n: int, phase: str, at: int) -> tuple[object, ...]:
        parked = phase == "Running"
        body = _manifest(n)
        labels = {"team": WORDS[n % 5], "model": f"model-{n % MODELS}", "retrain.dev/sensor": f"train-{n % SENSORS}"}
        ended = None if parked else at + 1_000_000 * (30 + n * 7919 % 3000)
        outputs = {
            "parameters": [
                {"name": "accuracy", "value": f"{0.8 + n % 1000 / 5000:.4f}"},
                {"name": "loss", "value": "0.2"},
            ]
        }
        message = "child 'train' failed: exit code 1" if phase in {"Failed", "Error"} else ""
        return (
            *(f"r-{n:08x}", "f-" + f"{n:032x}", f"{WORDS[n % len(WORDS)]}-{n:x}"),
            *(
                "default",
                f"template-{n % TEMPLATES}",
                orjson.dumps(body).decode(),
                orjson.dumps(labels).decode(),
                phase,
            ),
            *(message, at, at + 50_000, ended, None if parked else orjson.dumps(outputs).decode(), int(parked)),
            "0/1/1" if parked else "0/0/2",
        )

    def _nodes(self, n: int, phase: str, at: int) -> Iterator[tuple[str, str, str]]:
        run = f"r-{n:08x}"
        for m, kind in enumerate(("DAG", "Pod", "Pod")):
            yield (
                run,
                f"{run}-{m}",
                orjson.dumps(_node(f"{run}-{m}", f"step-{m}", kind, phase, at, f"{run}-0")).decode(),
            )

    def wide_run(self, count: int) -> None:
        """One run of so many nodes: a hundred groups, each with its pods."""
        run, at = "r-wide", self.now - HOUR
        labels, body = orjson.dumps({"team": "wide"}).decode(), orjson.dumps(_manifest(0)).decode()
        columns = "id,name,namespace,workflow,manifest,labels,phase,message,created,started,finished,pods"
        row = (
            run,
            "wide-run",
            "default",
            "template-0",
            body,
            labels,
            "Succeeded",
            "",
            at,
            at,
            at + HOUR // 2,
            f"0/0/{count}",
        )
        self.put("runs", [row], columns)
        groups = max(1, min(100, count // 10))
        bodies: list[tuple[str, str, str]] = []
        edges: list[tuple[str, int, str, str]] = []
        for n in range(count):
            node = f"{run}-{n}"
            above = f"{run}-0" if n <= groups else f"{run}-{1 + n % groups}"
            kind = "DAG" if not n else "TaskGroup" if n <= groups else "Pod"
            made = _node(node, f"part({n})", kind, "Succeeded", at + n * 10_000, above if n else "")
            bodies.append((run, node, orjson.dumps(made).decode()))
            if n:
                edges.append((run, n - 1, above, node))
        self.put("nodes", bodies, "run_id,node_id,body")
        self.put("run_edges", edges, "run_id,position,parent,child")
        self.names.wide_run = "wide-run"

    # --- promotions, dead letters, what people did ----------------------------------------------------------------

    def promotions(self, count: int) -> None:
        """Models in environments; the newest of each target is live, few wait for people."""
        ends, times = self.one_of(ENDS, count), self.times(count)
        targets = MODELS * len(ENVIRONMENTS)
        words: list[tuple[object, ...]] = []
        rows = [self._promotion(n, self._state(n, count, targets, ends[n]), times[n]) for n in range(count)]
        columns = (
            "id,intent_key,name,environment,state,action,candidate,gates,changes,diff,base_sha,commit_sha,reason,"
            "firing_id,run_id,created,updated,next_attempt,route,subject,waiting,ended,verification"
        )
        self.put("promotions", rows, columns)
        for row, at in list(zip(rows, times, strict=True))[:: max(1, count // 800)]:
            for who in ("ada", "cyd"):
                said = (row[0], row[19], "approve", who, 1, '["approver"]', "looks right")
                words.append((*said, at + HOUR, at + 24 * HOUR))
        columns = "promotion,subject,decision,actor,verified,roles,reason,at,expires_at"
        self.put("approvals", words, columns)
        holds = [(f"model-{n}", "production", "audit of the quarter", "ada", self.now - n * HOUR) for n in range(3)]
        self.put("holds", holds, "name,environment,reason,actor,created")
        waiting = [row for row in rows if row[4] == "awaiting"]
        told = [row for row in rows if row[11]]
        self.names.promotion, self.names.commit = str(told[-1][0]), str(told[-1][11])
        self.names.awaiting = str((waiting or rows)[-1][0])
        self.names.fanned_promotion = str(told[len(told) // 2][0])
        # What followed from that one: an event that ten thousand firings came of.
        cause = "UPDATE events SET cause = ?, body = json_set(body, '$.retraincause', ?) WHERE key = ?"
        self.db.execute(cause, (self.names.fanned_promotion, self.names.fanned_promotion, self._fanned))

    def _state(self, n: int, count: int, targets: int, end: str) -> str:
        if count - n <= targets:
            return "live"
        return "awaiting" if count - n <= targets + 20 else end

    def _promotion(self, n: int, state: str, at: int) -> tuple[object, ...]:
        name, environment = f"model-{n % MODELS}", ENVIRONMENTS[n // MODELS % len(ENVIRONMENTS)]
        digest = "sha256:" + sha256(str(n).encode()).hexdigest()
        slices = {f"region-{r}": {"n": 500, "metrics": {"accuracy": 0.9}} for r in range(8)}
        evaluation = {"metrics": {"accuracy": 0.93, "f1": 0.9}, "samples": 4000, "slices": slices}
        candidate = {"digest": digest, "uri": f"s3://models/{name}/{n}", "run": f"r-{n:08x}", "evaluation": evaluation}
        gates = [
            {
                "name": f"gate-{g}",
                "kind": "threshold",
                "verdict": "pass",
                "reason": "0.93 >= 0.9",
                "figures": evaluation["metrics"],
            }
            for g in range(4)
        ]
        file = f"overlays/{environment}/model.yaml"
        change = {
            "file": file,
            "path": "spec.predictor.model.storageUri",
            "old": f"s3://models/{name}/{n - 1}",
            "new": candidate["uri"],
        }
        diff = f"--- a/{file}\n+++ b/{file}\n@@ -1,9 +1,9 @@\n" + "".join(f" line {k}\n" for k in range(25))
        commit = sha256(b"c" + str(n).encode()).hexdigest()[:40] if state in {"live", "rolled-back"} else None
        waiting = orjson.dumps({"for": "approvals", "have": 1, "need": 2, "roles": ["approver"]}).decode()
        return (
            *(f"p-{n:08x}", sha256(f"i{n}".encode()).hexdigest()[:32], name, environment, state, "promote"),
            *(orjson.dumps(candidate).decode(), orjson.dumps(gates).decode(), orjson.dumps([change]).decode(), diff),
            *("0" * 40, commit, "" if commit else "a newer one came", None, f"r-{n * 7:08x}", at, at + HOUR, FAR),
            *(orjson.dumps(list(ENVIRONMENTS)).decode(), digest, waiting if state == "awaiting" else None),
            *(None if state == "awaiting" else at + HOUR, None),
        )

    def letters(self, count: int) -> None:
        """Dead letters of which half were redriven."""
        body = orjson.dumps({"action": _manifest(1), "why": "x" * 600})
        rows = [
            (
                f"d-{n:032x}-{n:x}",
                "firing",
                f"train-{n % SENSORS}/train",
                "HTTP 503",
                body,
                at,
                at + HOUR if n % 2 else None,
            )
            for n, at in enumerate(self.times(count))
        ]
        self.put("deadletters", rows, "id,kind,origin,reason,body,created,redriven")
        self.names.deadletter = str(rows[-1][0])

    def deeds(self, count: int) -> None:
        """What people did."""
        rows = [
            (at, ("ada", "ben", "cyd", "eve")[n % 4], 1, ("promotions.approve", "runs.stop", "firings.redrive")[n % 3],
             f"p-{n:08x}", '{"state":"awaiting"}', '{"state":"committing"}', "looks right", "10.0.0.7")
            for n, at in enumerate(self.times(count))
        ]  # fmt: skip
        self.put("audit", rows, "at,actor,verified,action,subject,before,after,reason,origin")

    def sensors(self) -> None:
        """How far each has read: with the log."""
        rows = [(f"train-{n}", f"{n:064x}", len(self._at), self.now) for n in range(SENSORS)]
        self.put("sensors", rows, "name,digest,position,updated")

    def count(self) -> None:
        for table in metadata.tables:
            self.names.counts[table] = self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


class _Bare:
    """The tables without their indices meanwhile: to make one of rows that are there is much cheaper."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        self._indices: list[tuple[str, str]] = db.execute(query).fetchall()

    def __enter__(self) -> None:
        self._db.execute("BEGIN")
        for name, _ in self._indices:
            self._db.execute(f'DROP INDEX "{name}"')

    def __exit__(self, *problem: object) -> None:
        if problem[0] is not None:
            self._db.execute("ROLLBACK")
            return
        for _, sql in self._indices:
            self._db.execute(sql)
        self._db.execute("COMMIT")


def _manifest(n: int) -> dict[str, Any]:
    container = {
        "image": "registry.example/train:3",
        "command": ["python", "-m", "train"],
        "args": ["--rows", str(n % 5000)],
    }
    parameters = [
        {"name": "date", "value": f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d}"},
        {"name": "rate", "value": f"0.{n % 97}"},
    ]
    tasks = [{"name": f"step-{m}", "template": "train"} for m in (1, 2)]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{WORDS[n % len(WORDS)]}-"},
        "spec": {
            "entrypoint": "main",
            "arguments": {"parameters": parameters},
            "templates": [{"name": "main", "dag": {"tasks": tasks}}, {"name": "train", "container": container}],
        },
    }


def _node(node: str, name: str, kind: str, phase: str, at: int, boundary: str) -> dict[str, Any]:
    start, end = (datetime.fromtimestamp((at + s * 1_000_000) / 1e6, UTC).isoformat()[:26] for s in (0, 25))
    outputs = {"exitCode": "0", "parameters": [{"name": "accuracy", "value": "0.91"}]}
    body = {
        "id": node,
        "name": f"run.{name}",
        "displayName": name,
        "type": kind,
        "phase": phase,
        "templateName": "train",
    }
    times = {"startedAt": f"{start}Z", "finishedAt": f"{end}Z", "resourcesDuration": {"cpu": 20, "memory": 11}}
    given = {"parameters": [{"name": "date", "value": "2026-11-20"}]}
    around = {"boundaryID": boundary} if boundary else {}
    return {**body, **times, **around, "inputs": given, **({"outputs": outputs} if kind == "Pod" else {})}


def _edge(n: int, m: int) -> tuple[str, int, str, str]:
    return f"r-{n:08x}", m, f"r-{n:08x}-{m}", f"r-{n:08x}-{m + 1}"


if __name__ == "__main__":
    given = list(islice(sys.argv, 1, 3))
    share = int(given[1]) / 10**6 if len(given) > 1 else 1
    made = partial(fill, Path(given[0]), int(10**6 * share), int(10**5 * share))
    print(orjson.dumps(made(decisions=int(10**6 * share)), option=orjson.OPT_INDENT_2).decode())
