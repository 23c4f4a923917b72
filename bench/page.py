"""How soon the page answers on a full store: a million events, a hundred thousand runs, one of them of 10,000 nodes.

    python -m bench.page [--events N] [--times N] [--only TEXT] [--feeds N] [--rows all|slow] [--json]

A real `retrain up` on a store made by `bench.filling`, kept in the temporary directory for the day. Each view and each
GET of the API is asked for again and again over one kept connection; the rows are the slowest of each kind, and with
`--rows all` every one. Peer: `/ui/trace` without an id, which asks the store nothing. Then listeners: what they cost in
memory, that each hears of the last change while one of them reads nothing, and how intake fares while people look.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import anyio

from bench import filling
from bench.feeds import feeds
from bench.filling import ENVIRONMENTS, MODELS, Names
from bench.load import Load, post
from bench.report import Row, finish, percentile
from bench.views import paths
from bench.world import World, cpu_s, started
from retrain.bus import embedded, open_nats
from retrain.bus.settings import BusSettings
from retrain.events import Event
from retrain.store.schema import HEAD

GOAL_MS = 150.0
WARM = 3
EMPTY = "/ui/trace, empty"
READERS = 5
PACE, PACED = 200, 4000
"""Webhooks a second, and how many, while people look."""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a path answered: milliseconds, bytes of one answer. `cpu`: milliseconds of processor that one answer took the
    platform, by its own account: of a busy machine the neighbours are no part of it."""

    what: str
    status: int
    p50: float
    p95: float
    most: float
    size: int
    cpu: float


# --- the store and the platform on it ---------------------------------------------------------------------------------


def filled(events: int) -> tuple[Path, Names]:
    """A store of today, made once by this source."""
    told = Path(filling.__file__).read_bytes() + f"{HEAD} {events} {datetime.now(UTC):%Y-%m-%d}".encode()
    place = Path(tempfile.gettempdir()) / "retrain-bench-page"
    place.mkdir(exist_ok=True)
    path = place / f"{hashlib.sha256(told).hexdigest()[:16]}.db"
    names = path.with_suffix(".json")
    if not names.exists():
        for old in place.iterdir():
            old.unlink()
        made = filling.fill(path, events, events // 10, decisions=events)
        names.write_text(json.dumps(asdict(made)))
    return path, Names(**json.loads(names.read_text()))


async def _log_of(data: Path, last: int) -> None:
    """An empty log whose next event is the one after `last`: what a log is whose events have all grown too old."""
    async with (
        embedded(data / "bus", BusSettings()) as server,
        open_nats(server.url, server.settings) as bus,
    ):
        await bus.publish(Event(id="first", source="bench", type="bench"))
        await _purge(server.url, str(server.token.get_secret_value()), last + 1)


async def _purge(url: str, token: str, following: int) -> None:
    import nats

    client = await nats.connect(url, token=token)
    answer = await client.request("$JS.API.STREAM.PURGE.RETRAIN", json.dumps({"seq": following}).encode(), timeout=10)
    assert json.loads(answer.data).get("success"), answer.data
    await client.close()


def _documents(deployment: Path) -> list[Mapping[str, object]]:
    """The sensors of the store, a webhook, and the models on their way through the environments."""
    gate = {"name": "accurate", "kind": "threshold", "metric": "accuracy", "min": 0.9}
    hook = {"webhook": {"in": {"endpoint": "/in", "method": "POST"}}}
    wanted: list[Mapping[str, object]] = [_document("EventSource", "bench", hook)]
    for n in range(filling.SENSORS):
        filters = {"data": [{"path": "body.n", "type": "number", "comparator": "<", "value": ["0"]}]}
        new = {
            "name": "new",
            "eventSourceName": "bench",
            "eventName": "in" if n < 3 else f"none-{n}",
            "filters": filters,
        }
        trigger = {"template": {"name": "train", "log": {}}}
        wanted.append(_document("Sensor", f"train-{n}", {"dependencies": [new], "triggers": [trigger]}))
    for n in range(MODELS):
        edit = {"path": "spec.predictor.model.storageUri", "value": "{{candidate.uri}}"}
        steps = [
            {"name": one, "edits": [{"file": f"overlays/{one}/model.yaml", **edit}], "gates": [gate]}
            for one in ENVIRONMENTS
        ]
        repo = {"url": deployment.as_uri(), "branch": "main"}
        wanted.append(_document("Promotion", f"model-{n}", {"repo": repo, "environments": steps}))
    return wanted


def _document(kind: str, name: str, spec: Mapping[str, object]) -> Mapping[str, object]:
    return {"apiVersion": "retrain.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@contextmanager
def full(events: int) -> Generator[tuple[World, Names]]:
    """A platform on a full store."""
    store, names = filled(events)
    with tempfile.TemporaryDirectory(prefix="retrain-bench-") as folder:
        place = Path(folder)
        project, data = place / "project", place / "data"
        project.mkdir()
        data.mkdir()
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", place / "deployment"], check=True)
        (project / "all.yaml").write_text("\n---\n".join(map(json.dumps, _documents(place / "deployment"))))
        shutil.copyfile(store, data / "store.db")
        anyio.run(_log_of, data, events)
        with started(project, data, place / "log") as world:
            yield world, names


# --- views ------------------------------------------------------------------------------------------------------------


def ask(world: World, what: str, path: str, times: int) -> Asked:
    """Ask for a path again and again over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=60)
    took: list[float] = []
    status = size = 0
    before = 0.0
    for number in range(WARM + times):
        if number == WARM:
            before = cpu_s(world.pid)
        begin = time.perf_counter()
        connection.request("GET", path, headers={"accept-encoding": "identity"})
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - begin) * 1000)
        status, size = answer.status, len(body)
    connection.close()
    cpu = (cpu_s(world.pid) - before) / times * 1000
    kept = took[WARM:]
    return Asked(what, status, percentile(kept, 0.5), percentile(kept, 0.95), max(kept), size, cpu)


def views(world: World, names: Names, times: int, only: str) -> list[Asked]:
    """Every view; one that does not answer as it should ends the measurement."""
    found: list[Asked] = []
    for what, path in paths(names).items():
        if only not in what:
            continue
        one = ask(world, what, path, times)
        said = (
            f"{one.p50:8.1f} {one.p95:8.1f} {one.most:8.1f} ms {one.cpu:7.1f} cpu {one.size:>9} B {one.status}  {what}"
        )
        print(said, file=sys.stderr, flush=True)
        if one.status not in {200, 303}:
            raise RuntimeError(f"{path} answered {one.status}")
        found.append(one)
    return found


def rows_of(found: Sequence[Asked], *, every: bool) -> list[Row]:
    """The slowest of each kind of view, or all."""
    empty = next((one.p50 for one in found if one.what == EMPTY), None)
    chosen: dict[str, Asked] = {}
    for one in sorted(found, key=lambda one: -one.p95):
        chosen.setdefault(one.what if every else " ".join(one.what.split()[:1]), one)
    bare = Row("", 0, "ms", peer=empty, peer_name="empty view", goal=GOAL_MS, at_least=False)
    late = [one for one in found if one.p95 > GOAL_MS]
    inside = (len(found) - len(late)) / max(1, len(found)) * 100
    return [
        *(
            replace(bare, what=f"p95 {one.what} ({one.size:,} B)", ours=one.p95, median=one.p50)
            for one in chosen.values()
        ),
        *_dearest(found),
        Row(f"of {len(found)} views and answers at p95 under {GOAL_MS:.0f} ms", inside, "%", goal=100),
    ]


def _dearest(found: Sequence[Asked]) -> list[Row]:
    """What answers take of a processor: neighbours on the machine are no part of it."""
    empty = next((one.cpu for one in found if one.what == EMPTY), None)
    most = max(found, key=lambda one: one.cpu, default=None)
    if most is None:
        return []
    bare = Row("", 0, "ms", peer=empty, peer_name="empty view", goal=GOAL_MS, at_least=False)
    middle = percentile([one.cpu for one in found], 0.5)
    return [
        replace(bare, what=f"processor of the dearest answer: {most.what}", ours=most.cpu),
        replace(bare, what="processor of an answer, the median of all", ours=middle),
    ]


# --- people looking while events come ---------------------------------------------------------------------------------


@contextmanager
def looked_at(world: World, names: Names, readers: int) -> Generator[None]:
    """People who ask for one list after the other, in processes of their own, as fast as they are answered."""
    chosen = [
        path for what, path in paths(names).items() if what in {"/ui/overview", "/ui/events", "/ui/runs", "/ui/firings"}
    ]
    code = "import sys; from bench.page import look; look(int(sys.argv[1]), sys.argv[2:])"
    people = [
        subprocess.Popen([sys.executable, "-c", code, str(world.port), *chosen], cwd=Path(__file__).parent.parent)
        for _ in range(readers)
    ]
    try:
        yield
    finally:
        for one in people:
            one.terminate()
            one.wait()


def look(port: int, chosen: Sequence[str]) -> None:
    """One of them, until it is ended."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while True:
        for path in chosen:
            connection.request("GET", path)
            connection.getresponse().read()
            time.sleep(0.05)


def intake(world: World, names: Names) -> list[Row]:
    """Webhooks at a steady pace, alone and while people look."""
    load = Load(world.port, "/in", PACED, connections=8, pace=PACE)
    post(replace(load, count=PACED // 4))
    alone = post(load)
    with looked_at(world, names, READERS):
        time.sleep(1)
        busy = post(load)
    return [
        Row(
            f"webhook -> 202 at {PACE}/s while {READERS} people look, p99",
            busy.p99,
            "ms",
            alone.p99,
            "nobody looks",
            40,
            at_least=False,
        ),
        Row("the same, p50", busy.p50, "ms", alone.p50, "nobody looks", at_least=False),
    ]


def measure(args: argparse.Namespace) -> list[Row]:
    with full(args.events) as (world, names):
        size, used = (world.data / "store.db").stat().st_size >> 20, cpu_s(world.pid)
        told = f"store of {size} MB; ready after {world.ready_s:.1f} s, {used:.1f} of processor"
        print(told, file=sys.stderr, flush=True)
        rows = [Row("start on the full store to /readyz 200", world.ready_s, "s", at_least=False)]
        if args.times:
            rows += rows_of(views(world, names, args.times, args.only), every=args.rows == "all")
        if args.feeds:
            rows += feeds(world, args.feeds)
            rows += intake(world, names)
        return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10**6)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--feeds", type=int, default=200)
    parser.add_argument("--only", default="")
    parser.add_argument("--rows", choices=("slow", "all"), default="slow")
    parser.add_argument("--json", action="store_true")
    finish("page", measure(parser.parse_args()))


if __name__ == "__main__":
    main()
