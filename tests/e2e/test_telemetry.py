"""What the platform tells others of itself: traces to a real collector, figures and alerts to a real Prometheus, ids in
the log."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.e2e.crash_world import Receiver, World, key
from tests.e2e.platform_driver import Platform, git
from tests.servers.otel_collector import Collector, Taken, collector
from tests.servers.program import Program, running

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CHAIN = [
    "receive shop/orders",
    "decide train",
    "firing run",
    "act argoWorkflow",
    "run train",
    "publish run.succeeded",
    "decide promote",
    "firing propose",
    "act promotion",
    "promote model",
    "git push",
]
LEARN = 'echo "$TRACEPARENT" > "{}/$RETRAIN_RUN_ID.trace"'
ALERTS = Path(__file__).parents[2] / "deploy/monitoring/alerts.yaml"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with collector(tmp_path_factory.mktemp("otelcol") / "data") as found:
        yield found


@contextmanager
def chain(place: Path, endpoint: str) -> Iterator[World]:
    """The whole chain, traced; its first step notes what trace it is told."""
    with Receiver() as told:
        world = World.make(place, told, learn=("/bin/sh", "-c", LEARN.format(place / "marks")))
        world.platform.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "RETRAIN_LOG_LEVEL": "debug"}
        yield world


def trace_of(world: World, number: int) -> str:
    """The trace of an order, as the API tells it."""
    answer: dict[str, Any] = world.platform.get("/api/v1/trace", id=key(number))
    return answer["trace"]


def of_trace(receiver: Collector, trace: str) -> dict[str, Taken]:
    """The spans of a trace by their ids."""
    return {one.id: one for one in receiver.spans() if one.trace == trace}


def complete(receiver: Collector, trace: str) -> dict[str, Taken]:
    """The spans of a trace once the end of the chain is among them; empty before."""
    spans = of_trace(receiver, trace)
    names = [one.name for one in spans.values()]
    return spans if "act http" in names and names.count("firing post") == 2 and "git push" in names else {}


def lineage(spans: dict[str, Taken], last: str) -> list[str]:
    """Names from the root to the span of this name."""
    one: Taken | None = next(span for span in spans.values() if span.name == last)
    names: list[str] = []
    while one is not None:
        names.insert(0, one.name)
        one = spans.get(one.parent)
    return names


@pytest.mark.parametrize(
    ("number", "fault"), [(10, "host.after_commit"), (11, "runner.before_finish"), (12, "promotion.after_push")]
)
def test_a_chain_is_one_trace_through_a_kill_in_its_middle(
    tmp_path: Path, receiver: Collector, number: int, fault: str
) -> None:
    """The number makes the order another one: the same order is the same trace in every platform."""
    with chain(tmp_path, receiver.url) as world:
        world.platform.start(fault=fault)
        world.sent_in_vain(number)
        world.platform.await_death()
        with world.platform:
            world.send_until_taken(number)
            world.await_settled(1)
            trace = trace_of(world, number)
            spans = world.platform.wait(lambda: complete(receiver, trace), "the whole trace is sent")
            (run,) = world.platform.items("runs")
            told = (world.marks / f"{run['metadata']['uid']}.trace").read_text().strip()
            assert world.platform.stop() == 0

    assert lineage(spans, "git push") == CHAIN
    roots = [one.name for one in spans.values() if one.parent not in spans]
    assert roots == ["receive shop/orders"], "one root, and nobody's parent is missing"
    push = next(one for one in spans.values() if one.name == "git push")
    assert push.attributes["vcs.ref.head.revision"] == git(world.repository, "rev-parse", "main").strip()
    version, told_trace, told_span, _ = told.split("-")
    assert (version, told_trace) == ("00", trace)
    assert spans[told_span].name == "step learn", "what the step starts joins in under it"
    assert all(one.start <= one.end for one in spans.values())
    sent = [one for one in receiver.spans() if one.trace == trace]
    assert len({(one.id, one.name, one.start, one.end) for one in sent}) == len(spans), "sent again is the same again"


def test_a_trace_from_outside_goes_on_here(tmp_path: Path, receiver: Collector) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    unwanted = "1bf7651916cd43dd8448eb211c80319c"
    with chain(tmp_path, receiver.url) as world, world.platform:
        for number, parent in enumerate((f"00-{trace}-{span}-01", f"00-{unwanted}-{span}-00")):
            headers = {"Idempotency-Key": key(number), "traceparent": parent, "tracestate": "shop=1"}
            body = {"digest": f"sha256:{number:064}"}
            assert world.platform.post(world.endpoint, body, headers).taken
        world.await_settled(2)
        spans = world.platform.wait(lambda: complete(receiver, trace), "the whole trace is sent")
        assert trace_of(world, 0) == trace
        (event,) = [one for one in world.platform.items("events") if one["id"] == key(0)]

    assert [one.parent for one in spans.values() if one.name == "receive shop/orders"] == [span]
    assert (event["traceparent"], event["tracestate"]) == (f"00-{trace}-{span}-01", "shop=1")
    assert of_trace(receiver, unwanted) == {}, "who began it wanted no spans"


def test_a_receiver_that_never_answers_slows_nothing(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        chain(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}") as world,
    ):
        world.platform.environment["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"] = "1"
        with world.platform:
            world.send_until_taken(0)
            world.await_settled(1)
            waits = world.platform.wait(lambda: _part(world.platform, "traces")["waitingFor"], "it is said")
            ready = world.platform.get("/readyz")
            figures = world.platform.get("/metrics")
            assert world.platform.stop() == 0

    assert waits == "the receiver of traces takes none"
    assert ready["status"] == "ready"
    assert float(_figure(figures, 'retrain_queue_depth{queue="spans"}')) > 0


def test_one_trace_id_leads_through_the_log_from_the_event_to_the_commit(tmp_path: Path) -> None:
    with chain(tmp_path, "") as world:
        del world.platform.environment["OTEL_EXPORTER_OTLP_ENDPOINT"]  # ids need no receiver
        with world.platform:
            world.send_until_taken(0)
            world.await_settled(1)
            trace = trace_of(world, 0)
            assert world.platform.stop() == 0
        lines = [json.loads(one) for one in world.platform.log.read_text().splitlines() if one.startswith("{")]

    mine = [one for one in lines if one.get("trace_id") == trace]
    said = [one["event"] for one in mine]
    order = ["event.read", "firing.made", "run.taken", "run.ended", "promotion.ended"]
    assert [said.index(one) for one in order] == sorted(said.index(one) for one in order)
    ended = next(one for one in mine if one["event"] == "promotion.ended")
    assert ended["commit"] == git(world.repository, "rev-parse", "main").strip()
    assert all(len(one["span_id"]) == 16 and one["level"] and one["timestamp"] for one in mine)
    assert world.platform.rows("SELECT count(*) FROM span_feed") == [(0,)], "nobody wants spans: nothing is noted"
    assert world.platform.rows("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == [(0,)]


SOURCES = """\
apiVersion: retrain.dev/v1
kind: EventSource
metadata: {name: shop}
spec:
  webhook:
    orders: {endpoint: /orders, method: POST, filter: {expression: body.rows > 10}}
"""


def test_a_real_prometheus_reads_a_real_platform_and_an_alert_fires(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "place")
    platform.write("sources.yaml", SOURCES)
    there = subprocess.run(["which", "prometheus"], capture_output=True, check=False).returncode == 0
    with platform:
        assert platform.post("/orders", {"rows": 20}).taken
        words = [platform.url.removeprefix("http://"), "", str(ALERTS)]
        program = Program("prometheus", tmp_path / "prometheus", words=words)
        with running(program, there=there, how="run tests/servers/prometheus.sh install"):

            def query(name: str) -> list[Any]:
                return _ask(program, f"/api/v1/query?query={name}")["result"]

            platform.wait(lambda: _is_up(program), "Prometheus answers")
            platform.wait(lambda: query("retrain_events_received_total"), "Prometheus has read the platform")
            assert [one for one in _ask(program, "/api/v1/alerts")["alerts"] if one["state"] == "firing"] == []
            assert platform.post("/orders", {"rows": "many"}).taken
            firing = platform.wait(lambda: _firing(program), "an alert fires")
        page = platform.get("/metrics")

    assert firing == ["RetrainDeadLetters"]
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    there = set(re.findall(r"^# TYPE (\w+)", page, re.MULTILINE))
    files = [ALERTS, ALERTS.with_name("grafana-dashboard.json")]
    named = {name for file in files for name in re.findall(r"\b(?:retrain|process)_[a-z_]+\b", file.read_text())}
    assert {name.removesuffix("_bucket") for name in named} <= there, "what is drawn and judged by is there"


def _firing(program: Program) -> Sequence[str]:
    alerts = _ask(program, "/api/v1/alerts")["alerts"]
    return [one["labels"]["alertname"] for one in alerts if one["state"] == "firing"]


def _ask(program: Program, path: str) -> Any:
    with urllib.request.urlopen(f"http://{program.address}{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def _is_up(program: Program) -> bool:
    """It listens a moment before it answers."""
    try:
        _ask(program, "/api/v1/alerts")
    except HTTPError:
        return False
    return True


def _part(platform: Platform, name: str) -> Any:
    return next(one for one in platform.get("/readyz")["parts"] if one["name"] == name)


def _figure(page: str, name: str) -> str:
    return next(line.rpartition(" ")[2] for line in page.splitlines() if line.startswith(name))
