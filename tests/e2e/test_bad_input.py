"""What is wrong is said: where, what, and what would be right. Nothing is half-applied, and nothing is a bug."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.crash_world import MODEL, Receiver, World, digest, key
from tests.e2e.platform_driver import PATIENCE_S, RETRAIN, Platform, Unreachable, git, make_repository

pytestmark = pytest.mark.integration

SENSOR = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: s}
spec:
  dependencies: [{name: a, eventSourceName: x, eventName: new}]
  triggers:
    - template: {name: t, conditions: a, log: {}}
"""
RUN = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: s}
spec:
  dependencies: [{name: a, eventSourceName: x, eventName: new}]
  triggers:
    - template:
        name: t
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: r-}
              spec: {workflowTemplateRef: {name: trian}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  templates: [{name: main, container: {image: busybox, command: ["true"]}}]
"""

WRONG = {
    "broken YAML": (SENSOR.replace("{name: s}", "{name: s"), ":4:5", "not YAML: did not find expected ',' or '}'"),
    "unknown kind": (SENSOR.replace("Sensor", "Sensr"), ":2:7", "unknown kind 'Sensr' of retrain.dev/v1; did you mean"),
    "unknown field": (SENSOR.replace("conditions", "condition"), ":7:27", "did you mean 'conditions'?"),
    "duplicate key": (SENSOR + "metadata: {name: b}\n", ":8:1", "metadata"),
    "unknown dependency": (SENSOR.replace("conditions: a", "conditions: aa"), ":7:39", "'aa'"),
    "unknown template": (RUN, ":16:50", "no WorkflowTemplate is named 'trian'; did you mean 'train'?"),
}
"""What is wrong, where in `bad.yaml`, and what is said of it."""


def retrain(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RETRAIN_")} | more
    return subprocess.run([RETRAIN, *words], capture_output=True, text=True, env=environment, timeout=PATIENCE_S)


def plain(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said on stderr; a refusal, not a bug."""
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    return done.stderr


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_manifest_is_refused_with_its_place_by_lint_and_by_up(tmp_path: Path, what: str) -> None:
    text, place, said = WRONG[what]
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "bad.yaml").write_text(text)

    linted = retrain("lint", str(tmp_path / "p"))
    started = retrain("up", str(tmp_path / "p"), "--data", str(tmp_path / "state"), "--port", "0")

    assert linted.returncode == 2
    complaint = plain(started)
    for told in (linted.stdout, complaint):
        assert f"bad.yaml{place}: " in told
        assert said in told
    assert "nothing was started" in complaint
    assert started.stdout == ""
    assert not (tmp_path / "state" / "store.db").exists(), "nothing was begun"


def test_a_port_in_use_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = plain(retrain("up", str(tmp_path / "p"), "--port", str(port)))
    assert f"port {port} on 127.0.0.1 cannot be listened on: Address already in use" in said
    assert "--port 0 for a free one" in said


def test_an_address_that_everybody_reaches_needs_a_token(tmp_path: Path) -> None:
    said = plain(retrain("up", str(tmp_path), "--host", "0.0.0.0", "--port", "0"))
    assert "set RETRAIN_SERVER_TOKEN, or listen on 127.0.0.1" in said


@pytest.mark.parametrize("server", ["nowhere", "ftp://x", "http://", "http://h:port", "http://[x"])
def test_a_server_that_is_no_url_is_wrong_input(server: str) -> None:
    assert "is no URL like" in plain(retrain("runs", "list", "--server", server))


def test_a_platform_that_is_not_there_is_4_and_one_that_speaks_something_else_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for words in (("runs", "list"), ("trace", "x"), ("events", "tail"), ("promotions", "hold", "m", "--reason", "r")):
        done = retrain(*words, "--server", f"http://127.0.0.1:{port}")
        assert (done.returncode, done.stdout) == (4, ""), done.stderr
        assert "cannot reach a platform at" in done.stderr


# --- a platform that goes on -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """In a directory with spaces and letters beyond ASCII, as people have them."""
    with Receiver() as receiver:
        place = tmp_path_factory.mktemp("bad") / "Größe 模型 x"
        place.mkdir()
        made = World.make(place, receiver, sensors=("train", "promote"))
        with made.platform:
            yield made


def refusal(platform: Platform, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = platform.post(path, body, names)
    return answer.status, str(answer.body["error"])


def test_a_directory_with_spaces_and_other_letters_goes_the_whole_way(world: World) -> None:
    assert " " in str(world.platform.project)
    world.send_until_taken(0)
    world.await_settled(1)
    assert digest(0) in git(world.repository, "show", "main:model.yaml")
    assert [event["id"] for event in world.platform.items("events", source="shop")] == [key(0)]


def test_a_webhook_body_that_is_not_json_or_over_the_limit_is_refused(world: World) -> None:
    before = len(world.platform.items("events", source="shop"))
    status, said = refusal(world.platform, world.endpoint, b'{"n": ', content_type="application/json")
    assert status == 400
    assert "JSON" in said
    status, said = refusal(world.platform, world.endpoint, b'"' + b"x" * 2_000_000 + b'"')
    assert status == 413
    assert "limit" in said
    assert len(world.platform.items("events", source="shop")) == before


EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
STRUCTURED = "application/cloudevents+json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": "retrain"}, "source: 'retrain' is the platform's own"),
        ({"retraincause": "r-1"}, "retraincause: is an attribute that only the platform sets"),
        ({"retraindepth": 0}, "retraindepth: is an attribute that only the platform sets"),
        ({"id": ""}, "id: "),
        ({"specversion": "0.3"}, "specversion: "),
        ({"time": "yesterday"}, "time: "),
    ],
    ids=str,
)
def test_an_event_that_may_not_come_from_outside_is_refused(world: World, change: dict[str, object], said: str) -> None:
    body = json.dumps({**EVENT, **change}).encode()
    status, why = refusal(world.platform, "/api/v1/events", body, content_type=STRUCTURED)
    assert status == 400
    assert why.startswith(said)


def test_of_a_batch_with_a_wrong_event_nothing_is_taken(world: World) -> None:
    answer = world.platform.emit({**EVENT, "id": "good", "source": "batch"}, {**EVENT, "type": ""})
    assert answer.status == 400
    assert world.platform.items("events", source="batch") == []


def test_the_api_takes_json_only_and_from_this_machine_only(world: World) -> None:
    send = world.platform.send
    assert send("GET", "/api/v1/runs", headers={"Host": "evil.example"}).status == 403
    assert send("POST", "/api/v1/events", EVENT, {"Origin": "https://evil.example"}).status == 403
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert send("POST", "/api/v1/events", b"id=1", form).status == 400
    assert send("POST", "/api/v1/promotions/model/hold", b"reason=x&actor=y", form).status == 415
    hold = "/api/v1/promotions/model/hold"
    assert send("POST", hold, {"reason": "r"}).status == 403  # nobody has said who it is
    for body in ({"reason": "r", "actor": "a", "more": "x"}, {"reason": 1, "actor": "a"}, ["x"]):
        assert send("POST", hold, body).status == 422, body
    assert send("POST", "/api/v1/runs/x/explode", {}).status == 404
    assert send("GET", "/api/v1/events?limit=0").status == 422
    assert send("GET", "/api/v1/events?cursor=%00nonsense").status in {400, 422}
    assert send("GET", "/api/v1/events/tail?after=-1").status == 422
    assert send("GET", "/nowhere").status == 404


NASTY = (
    "$(touch OWNED)",
    "`touch OWNED`; touch OWNED",
    "--upload-pack=touch OWNED",
    "../../../../OWNED",
    "x\nSigned-off-by: Mallory <m@evil>\nRetrain-Promotion: p-0",
    "{{workflow.parameters.digest}}{{=1+1}}",
    "'; touch OWNED; '",
)


NOTED = """\
apiVersion: retrain.dev/v1
kind: EventSource
metadata: {name: shop}
spec: {webhook: {orders: {endpoint: /orders, method: POST}}}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: both}
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
              metadata: {generateName: say-}
              spec:
                workflowTemplateRef: {name: say}
                arguments: {parameters: [{name: note, value: ""}]}
          parameters:
            - {src: {dependencyName: order, dataKey: body.note}, dest: spec.arguments.parameters.0.value}
    - template:
        name: propose
        promotion:
          name: model
          parameters:
            - {src: {dependencyName: order, dataKey: body.digest}, dest: candidate.digest}
            - {src: {dependencyName: order, dataKey: body.note}, dest: candidate.version}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: say}
spec:
  entrypoint: say
  arguments: {parameters: [{name: note}]}
  templates:
    - name: say
      container: {image: busybox, command: [/usr/bin/printf, "%s", "{{workflow.parameters.note}}"]}
---
apiVersion: retrain.dev/v1
kind: Promotion
metadata: {name: model}
spec:
  environment: staging
  repo: {url: REPOSITORY, branch: main}
  commit: {message: "take {{candidate.version}}"}
  edits: [{file: model.yaml, path: spec.uri, value: "{{candidate.version}}"}]
"""


def test_nothing_of_a_payload_reaches_a_shell_a_path_a_git_option_or_a_trailer(tmp_path: Path) -> None:
    """From the webhook through a step's arguments, into a commit's message and a file: it stays text or is refused."""
    make_repository(tmp_path / "deployment.git", {"model.yaml": MODEL})
    platform = Platform(tmp_path / "platform")
    platform.write("project.yaml", NOTED.replace("REPOSITORY", str(tmp_path / "deployment.git")))
    with platform:
        for number, text in enumerate(NASTY):
            body = {"digest": digest(number), "note": text}
            assert platform.post("/orders", body, {"Idempotency-Key": f"nasty-{number}"}).taken

        def over() -> bool:
            promotions, runs = platform.items("promotions"), platform.items("runs")
            firings = platform.items("firings")
            return (
                len(firings) == 2 * len(NASTY)
                and all(f["state"] in {"done", "dead"} for f in firings)
                and all(r["status"]["phase"] in {"Succeeded", "Failed", "Error"} for r in runs)
                and not {p["state"] for p in promotions} & {"proposed", "gating", "committing"}
            )

        platform.wait(over, "all of it is over")
        runs, promotions = platform.items("runs"), platform.items("promotions")
        said = {platform.command("runs", "logs", run["metadata"]["name"]) for run in runs}
    assert len(runs) == len(NASTY)
    assert set(NASTY) <= {one.removesuffix("\n") for one in said}, "each step was given the text as it came"
    assert not list(tmp_path.rglob("OWNED"))
    assert not Path("OWNED").exists()
    live = {p["commit"]: p["id"] for p in promotions if p["state"] == "committed"}
    log = git(tmp_path / "deployment.git", "log", "--format=%H%x00%(trailers:only,unfold)%x01", "main").split("\x01")
    commits = dict(one.strip().split("\0") for one in log if one.strip())
    assert len(commits) == len(live) + 1
    for sha, promotion_id in live.items():
        trailers = commits[sha].splitlines()
        assert [one for one in trailers if one.startswith("Retrain-Promotion:")] == [
            f"Retrain-Promotion: {promotion_id}"
        ]
        assert not any(one.startswith("Signed-off-by") for one in trailers)
        changed = set(git(tmp_path / "deployment.git", "show", "--name-only", "--format=", sha).split())
        assert all(name == "model.yaml" or name.startswith(".retrain/") for name in changed), changed


# --- a deployment repository -----------------------------------------------------------------------------------------


def propose(world: World) -> str:
    """Send an order and wait until its promotion says why it does not get on."""
    world.send_until_taken(0)

    def stuck() -> str | None:
        found = world.platform.items("promotions")
        return found[0]["reason"] if found and found[0]["reason"] else None

    return world.platform.wait(stuck, "the promotion says what it waits for")


@pytest.mark.parametrize("trouble", ["missing", "unreachable", "refuses"])
def test_a_repository_that_cannot_be_pushed_to_is_named_and_waited_for(tmp_path: Path, trouble: str) -> None:
    with Receiver() as receiver:
        world = World.make(tmp_path, receiver, sensors=("train", "promote"))
        aside, hook = tmp_path / "aside.git", world.repository / "hooks" / "pre-receive"
        file = world.platform.project / "promotion.yaml"
        whole = file.read_text()
        if trouble == "missing":
            world.repository.rename(aside)
        elif trouble == "unreachable":
            file.write_text(whole.replace(str(world.repository), "https://127.0.0.1:1/deployment.git"))
        else:
            hook.write_text("#!/bin/sh\necho 'main is frozen' >&2\nexit 1\n")
            hook.chmod(0o755)
        with world.platform as platform:
            said = propose(world)
            assert platform.get("/healthz") == {"status": "alive"}
            assert world.platform.items("runs")[0]["status"]["phase"] == "Succeeded"
            (promotion,) = platform.items("promotions")
            assert promotion["commit"] is None
            assert promotion["state"] != "committed"
            assert {
                "missing": str(world.repository) in said,
                "unreachable": "127.0.0.1" in said,
                "refuses": "main is frozen" in said,
            }[trouble], said


def test_a_disk_that_is_full_refuses_events_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with Receiver() as receiver:
            world = World.make(place, receiver, sensors=("tell",))
            with world.platform as platform:
                world.send_until_taken(0)
                world.await_settled(1)
                filler = place / "filler"
                _fill(filler)
                answers = [_send(world, n) for n in (1, 2)]
                assert platform.running, "it stays up"
                filler.unlink()
                for number in (1, 2):
                    world.send_until_taken(number)
                world.await_settled(3)
                assert all(status in {202, 200, 500, 503, None} for status in answers)
                assert {r.body["digest"] for r in receiver.at("/told")} == {digest(n) for n in range(3)}
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        try:
            while out.write(b"\0" * 65536) == 65536:
                pass
        except OSError:
            return


def _send(world: World, number: int) -> int | None:
    try:
        return world.send(number).status
    except Unreachable:
        return None
