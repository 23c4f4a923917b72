"""The world of the crash tests: a project with the whole chain, a receiver that counts, and the questions of the end.

order (webhook) -> sensor `train` -> run of three steps -> run.succeeded -> sensor `promote` -> a commit
      `-> sensor `tell` -> HTTP                                  promotion.committed -> sensor `live` -> HTTP
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from retrain.bus import Record, embedded, open_nats
from retrain.bus.embedded import free_port
from tests.e2e.platform_driver import Answer, Platform, Unreachable, git, make_repository

SOURCES = """\
apiVersion: retrain.dev/v1
kind: EventSource
metadata: {name: shop}
spec:
  webhook:
    orders: {endpoint: ENDPOINT, method: POST}
"""

SENSORS = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: train}
spec:
  dependencies: [{name: order, eventSourceName: shop, eventName: orders}]
  triggers:
    - template:
        name: run
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: train-}
              spec:
                workflowTemplateRef: {name: train}
                arguments: {parameters: [{name: digest, value: ""}]}
          parameters:
            - {src: {dependencyName: order, dataKey: body.digest}, dest: spec.arguments.parameters.0.value}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: tell}
spec:
  dependencies: [{name: order, eventSourceName: shop, eventName: orders}]
  triggers:
    - template:
        name: post
        http:
          url: RECEIVER/told
          method: POST
          payload: [{src: {dependencyName: order, dataKey: body.digest}, dest: digest}]
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: promote}
spec:
  dependencies: [{name: trained, eventSourceName: retrain, eventName: run.succeeded}]
  triggers:
    - template:
        name: propose
        promotion:
          name: model
          parameters:
            - {src: {dependencyName: trained, dataKey: outputs.parameters.digest}, dest: candidate.digest}
            - {src: {dependencyName: trained, dataKey: outputs.parameters.uri}, dest: candidate.uri}
            - {src: {dependencyName: trained, dataKey: run.id}, dest: candidate.run}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: live}
spec:
  dependencies: [{name: committed, eventSourceName: retrain, eventName: promotion.committed}]
  triggers:
    - template:
        name: post
        http:
          url: RECEIVER/live
          method: POST
          payload: [{src: {dependencyName: committed, dataKey: candidate.digest}, dest: digest}]
"""

# `learn` is what gets killed and may run again; `mark` fails if it ever runs twice, and is no one's victim: who kills
# the platform leaves it alone, and a platform that stops gives it time to end.
WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: all
  arguments: {parameters: [{name: digest}]}
  templates:
    - name: all
      steps:
        - [{name: learn, template: learn}]
        - [{name: name, template: name}]
        - [{name: mark, template: mark}]
      outputs:
        parameters:
          - {name: digest, valueFrom: {parameter: "{{workflow.parameters.digest}}"}}
          - {name: uri, valueFrom: {parameter: "{{steps.name.outputs.result}}"}}
    - name: learn
      retryStrategy: {limit: 10, retryPolicy: Always}
      container: {image: busybox, command: LEARN}
    - name: name
      retryStrategy: {limit: 10, retryPolicy: Always}
      container: {image: busybox, command: [/bin/echo, "s3://models/{{workflow.parameters.digest}}"]}
    - name: mark
      container: {image: busybox, command: [/bin/mkdir, "MARKS/{{workflow.parameters.digest}}"]}
"""

PROMOTION = """\
apiVersion: retrain.dev/v1
kind: Promotion
metadata: {name: model}
spec:
  environment: staging
  repo: {url: REPOSITORY, branch: main}
  edits:
    - {file: model.yaml, path: spec.uri, value: "{{candidate.uri}}"}
"""
SENSORS_OF_THE_CHAIN = ("train", "tell", "promote", "live")
MODEL = "kind: Model\nspec:\n  uri: none\n"


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the receiver got. `key` is its Idempotency-Key."""

    path: str
    key: str
    body: dict[str, Any]


class Receiver(AbstractContextManager["Receiver"]):
    """An HTTP server that takes everything and remembers it. It outlives the platform."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _taking(self.requests))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def at(self, path: str) -> list[Request]:
        """The requests to a path."""
        return [one for one in tuple(self.requests) if one.path == path]


def _taking(requests: list[Request]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30.0

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(Request(self.path, self.headers["Idempotency-Key"], body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def handle(self) -> None:
            with suppress(ConnectionError):  # the platform was killed while it spoke
                super().handle()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@dataclass
class World:
    """A platform on the whole chain, or on its first `sensors`. `acknowledged`: how many 2xx each order got."""

    platform: Platform
    receiver: Receiver
    repository: Path
    marks: Path
    sensors: tuple[str, ...] = SENSORS_OF_THE_CHAIN
    port: int = field(default_factory=free_port)
    endpoint: str = field(default_factory=lambda: f"/orders-{uuid4().hex}")
    acknowledged: Counter[int] = field(default_factory=Counter)
    begin: str = ""

    @classmethod
    def make(
        cls,
        place: Path,
        receiver: Receiver,
        *,
        learn: Sequence[str] = ("/bin/true",),
        sensors: tuple[str, ...] = SENSORS_OF_THE_CHAIN,
    ) -> World:
        """Write the project, and make the deployment repository. `learn` is what the first step runs."""
        world = cls(Platform(place / "platform"), receiver, place / "deployment.git", place / "marks", sensors)
        world.marks.mkdir()
        world.begin = make_repository(world.repository, {"model.yaml": MODEL})
        words = {
            "ENDPOINT": world.endpoint,
            "RECEIVER": receiver.url,
            "REPOSITORY": str(world.repository),
            "MARKS": str(world.marks),
            "LEARN": json.dumps(learn),
        }
        of = [part for part in SENSORS.split("---\n") if any(f"{{name: {name}}}\nspec" in part for name in sensors)]
        manifests = {"sources": SOURCES, "sensors": "---\n".join(of), "workflow": WORKFLOW, "promotion": PROMOTION}
        for name, text in manifests.items():
            for word, value in words.items():
                text = text.replace(word, value)
            world.platform.write(f"{name}.yaml", text)
        return world

    # --- what goes in --------------------------------------------------------------------------------------------

    def send(self, number: int) -> Answer:
        """Send an order once, as its sender does every time: the same key, the same body.

        Raises:
            Unreachable: there was no answer.
        """
        answer = self.platform.post(
            self.endpoint, {"number": number, "digest": digest(number)}, {"Idempotency-Key": key(number)}
        )
        if answer.taken:
            self.acknowledged[number] += 1
        return answer

    def send_until_taken(self, number: int) -> None:
        """Send an order again and again until it is acknowledged, as a careful sender does."""

        def taken() -> bool:
            return self.send(number).taken

        self.platform.wait(taken, f"order {number} is acknowledged")

    def sent_in_vain(self, number: int) -> bool:
        """Send an order to a platform that dies of it: whether there was no acknowledgement."""
        try:
            return not self.send(number).taken
        except Unreachable:
            return True

    # --- what comes out ------------------------------------------------------------------------------------------

    def settled(self, count: int) -> bool:
        """Whether `count` orders have gone the whole way. Looks at the store, so the platform need not be up."""
        ask = self.platform.rows
        done = dict(ask("SELECT sensor, count(*) FROM firings WHERE state = 'done' GROUP BY sensor"))
        (open_runs,) = ask("SELECT count(*) FROM runs WHERE phase NOT IN ('Succeeded', 'Failed', 'Error')")[0]
        (open_promotions,) = ask("SELECT count(*) FROM promotions WHERE state != 'committed'")[0]
        (untold,) = ask("SELECT count(*) FROM outbox")[0]
        return not (open_runs or open_promotions or untold) and all(done.get(s, 0) >= count for s in self.sensors)

    def await_settled(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until `count` orders have gone the whole way, or one has ended elsewhere."""

        def over() -> bool:
            return self.settled(count) or bool(self.lost())

        self.platform.wait(over, f"{count} orders have gone the whole way ({self.progress()})", timeout_s)
        # Assertion rewriting does not reach this module: say it.
        assert not (lost := self.lost()), f"ended where it should not: {lost}"

    def lost(self) -> list[tuple[Any, ...]]:
        """What ended where it should not have."""
        ask = self.platform.rows
        return [
            *ask("SELECT 'firing', id, state, error FROM firings WHERE state NOT IN ('pending', 'running', 'done')"),
            *ask("SELECT 'run', id, phase, message FROM runs WHERE phase IN ('Failed', 'Error')"),
            *ask("SELECT 'promotion', id, state, reason FROM promotions WHERE state IN ('refused', 'failed', 'noop')"),
            *ask("SELECT 'dead letter', id, kind, reason FROM deadletters"),
        ]

    def progress(self) -> dict[str, int]:
        """How far everything is, for messages."""
        found = {"events": "events", "firings": "firings", "runs": "runs", "promotions": "promotions"}
        return {name: self.platform.rows(f"SELECT count(*) FROM {table}")[0][0] for name, table in found.items()}


def key(number: int) -> str:
    """The sender's own id of an order, the same on every retry."""
    return f"order-{number:04}"


def digest(number: int) -> str:
    """The digest of the model that comes of an order."""
    return f"sha256:{sha256(key(number).encode()).hexdigest()}"


# --- the questions of the end ----------------------------------------------------------------------------------------


def check_everything_once(world: World, count: int) -> None:
    """Every event, firing, act, run, end and commit of `count` orders is there, and once. The platform answers."""
    assert world.lost() == []
    assert set(world.acknowledged) == set(range(count)), "every order was acknowledged"
    _check_events(world, count)
    _check_firings(world, count)
    if "train" in world.sensors:
        _check_runs(world, count)
    if "promote" in world.sensors:
        _check_commits(world, count)
    for path, sensor in (("/told", "tell"), ("/live", "live")):
        if sensor in world.sensors:
            _check_requests(world, path, sensor, count)
    # What was done leaves no work behind.
    assert world.platform.rows("SELECT count(*) FROM outbox") == [(0,)]
    assert world.platform.items("deadletters") == []


def _check_events(world: World, count: int) -> None:
    orders = world.platform.items("events", source="shop")
    assert once(event["id"] for event in orders) == {key(n) for n in range(count)}
    assert {event["data"]["body"]["digest"] for event in orders} == {digest(n) for n in range(count)}
    own = world.platform.items("events", source="retrain")
    once(event["id"] for event in own)
    subjects = {"train": ("run.started", "run.succeeded"), "promote": ("promotion.committed",)}
    wanted = [subject for sensor in world.sensors for subject in subjects.get(sensor, ())]
    assert Counter(event["subject"] for event in own) == dict.fromkeys(wanted, count)


def _check_firings(world: World, count: int) -> None:
    firings = world.platform.items("firings")
    once(one["id"] for one in firings)
    assert Counter(one["sensor"] for one in firings) == dict.fromkeys(world.sensors, count)
    assert {one["state"] for one in firings} == {"done"}
    # Each of them for events of its own: no event has fired a sensor twice.
    once((one["sensor"], event) for one in firings for event in one["events"])
    of_orders = world.platform.rows(
        "SELECT f.sensor, e.id FROM firings f JOIN firing_events fe ON fe.firing_id = f.id"
        " JOIN events e ON e.key = fe.event_key WHERE e.source = 'shop'"
    )
    first = [sensor for sensor in ("train", "tell") if sensor in world.sensors]
    assert once(of_orders) == {(sensor, key(n)) for sensor in first for n in range(count)}


def _check_runs(world: World, count: int) -> None:
    runs = world.platform.items("runs")
    assert len(runs) == count
    assert {run["status"]["phase"] for run in runs} == {"Succeeded"}
    once(run["metadata"]["uid"] for run in runs)
    once(run["metadata"]["labels"]["retrain.dev/firing"] for run in runs)
    wanted = {digest(n) for n in range(count)}
    outputs = [{p["name"]: p["value"] for p in run["status"]["outputs"]["parameters"]} for run in runs]
    assert once(one["digest"] for one in outputs) == wanted
    assert once(one["uri"] for one in outputs) == {f"s3://models/{one}" for one in wanted}
    ends = world.platform.rows(
        "SELECT cause, count(*) FROM events WHERE subject IN ('run.succeeded', 'run.failed') GROUP BY cause"
    )
    assert dict(ends) == {run["metadata"]["uid"]: 1 for run in runs}, "every run has one end"
    assert {path.name for path in world.marks.iterdir()} == wanted, "the step that must not run twice ran"
    open_nodes = "SELECT run_id, body FROM nodes WHERE json_extract(body, '$.phase') IN ('Pending', 'Running')"
    assert world.platform.rows(open_nodes) == []


def _check_commits(world: World, count: int) -> None:
    trailer = "%(trailers:key=Retrain-Promotion,valueonly,separator=%x2C)"
    model = "%(trailers:key=Model-Digest,valueonly,separator=%x2C)"
    lines = git(world.repository, "log", f"--format=%H|%P|{trailer}|{model}", "main").splitlines()
    *commits, first = [line.split("|") for line in lines]
    assert first == [world.begin, "", "", ""]
    # Linear: each stands on the next older one, and on nothing else.
    assert [parents for _, parents, _, _ in commits] == [sha for sha, *_ in [*commits[1:], first]]
    assert once(found for *_, found in commits) == {digest(n) for n in range(count)}
    made = {(one["id"], one["commit"]) for one in world.platform.items("promotions", state="committed")}
    assert once((promotion, sha) for sha, _, promotion, _ in commits) == made
    assert len(world.platform.items("promotions")) == count
    git(world.repository, "fsck", "--strict", "--no-dangling")


def _check_requests(world: World, path: str, sensor: str, count: int) -> None:
    """At least one request for each firing, all of one firing with one key and one body, and no other."""
    requests = world.receiver.at(path)
    by_key: dict[str, set[str]] = {}
    for one in requests:
        by_key.setdefault(one.key, set()).add(one.body["digest"])
    assert set(by_key) == {one["id"] for one in world.platform.items("firings", sensor=sensor)}
    assert once(body for bodies in by_key.values() for body in bodies) == {digest(n) for n in range(count)}
    assert all(len(bodies) == 1 for bodies in by_key.values())


def once(things: Iterable[Any]) -> set[Any]:
    """All of them, if each is there once."""
    counts = Counter(things)
    assert not (more := {thing: n for thing, n in counts.items() if n > 1}), f"there more than once: {more}"
    return set(counts)


async def read_log(data: Path) -> list[Record]:
    """Everything on the embedded bus of a platform that is down."""
    found: list[Record] = []
    async with embedded(data / "bus") as server, open_nats(server.url, server.settings) as bus:
        while records := await bus.read(found[-1].position if found else 0):
            found += records
    return found
