"""Gates that ask: a model in a process of its own, a user's service, a workflow on the real runner."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from aiohttp import web

from deploy import asked
from deploy.candidate import read
from deploy.derive import Intent
from deploy.evaluation import Table
from deploy.gates import KINDS, Built, Evidence, Facts, Given, Measured, Tools, Verdict, gather_all
from deploy.gates.asking import ask_all
from pipelines.core.plan import Catalog
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.local.executor import Limits
from pipelines.local.leaf import Surroundings, passed_on
from retrain.app.promotions.gate_tools import GateGround, GateTools, open_gate_tools
from retrain.clock import SystemClock
from retrain.errors import Permanent
from retrain.store import Store, runs
from tests.integration.promotion_world import document
from triggers.port import StaticSecrets
from triggers.settings import HttpSettings

SECRETS = StaticSecrets({"judge": {"token": "s3cret"}})


@asynccontextmanager
async def tools_over(store: Store, folder: Path, http: HttpSettings | None = None) -> AsyncIterator[GateTools]:
    ground = GateGround(store, SystemClock(), SECRETS, folder / "project", folder / "data", http or HttpSettings())
    ground.project.mkdir(exist_ok=True)
    async with open_gate_tools(ground) as tools:
        yield tools


@pytest.fixture
async def tools(store: Store, tmp_path: Path) -> AsyncIterator[GateTools]:
    async with tools_over(store, tmp_path) as opened:
        yield opened


def about(uri: str = "s3://models/1", digest: str = "sha256:new", **parameters: Any) -> Evidence:
    live = Measured("sha256:live", {}, "d1")
    return Evidence(Measured(digest, {"accuracy": 0.9}, "d1"), live, facts=Facts(uri=uri, parameters=parameters))


async def verdict(kind: str, tools: Tools, evidence: Evidence, **fields: Any) -> Verdict:
    spec = KINDS[kind].Spec.model_validate({"name": "g", "kind": kind, **fields})
    built = Built("g", kind, KINDS[kind], spec)
    gathered = await gather_all([built], evidence, tools)
    return ask_all([built], replace(evidence, given=Given(gathered)))[0]


# --- infra -----------------------------------------------------------------------------------------------------------

LOADER = """
import json, pathlib, time
class Model:
    def __init__(self, factor): self.factor = factor
    def predict(self, rows):
        print("the library talks")
        return [row[0] * self.factor for row in rows]
def load(path):
    return Model(json.loads(pathlib.Path(path).read_text())["factor"])
def broken(path):
    raise RuntimeError("weights are missing")
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "m.json").write_text('{"factor": 2}')
    (folder / "model_code.py").write_text(LOADER)
    return folder


def python(models: Path) -> str:
    """An interpreter that finds the model's code, as a user's environment does."""
    wrapper = models / "python"
    wrapper.write_text(f'#!/bin/sh\nPYTHONPATH={models} exec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return str(wrapper)


def digest_of(file: Path) -> str:
    return f"sha256:{sha256(file.read_bytes()).hexdigest()}"


@pytest.mark.parametrize(
    ("loader", "expect", "outcome", "words"),
    [
        ("model_code:load", [2, 6.0000001], "pass", "2 golden answers"),
        ("model_code:load", [2, 7], "fail", "input 1: 7 was expected, it said 6"),
        ("model_code:load", None, "pass", "answered 2 inputs"),
        ("model_code:broken", None, "fail", "weights are missing"),
        ("no_such_code:load", None, "fail", "no_such_code"),
    ],
)
async def test_a_model_is_loaded_in_a_process_of_its_own_and_asked(
    tools: GateTools, models: Path, loader: str, expect: Any, outcome: str, words: str
) -> None:
    evidence = about(f"file://{models}/m.json", digest_of(models / "m.json"))
    fields = {"models": [str(models)], "loader": loader, "python": python(models), "inputs": [[1], [3]]}

    found = await verdict("infra", tools, evidence, **fields, expect=expect)

    assert (found.verdict, words in found.reason) == (outcome, True), found.reason
    assert found.figures["digestChecked"] is True
    assert list(tools.scratch.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("/etc/passwd", "does not lie under"),
        ("{models}/../secret", "does not lie under"),
        ("file://{models}/%2e%2e/secret", "does not lie under"),
        ("{models}/link", "does not lie under"),
        ("{models}/none", "there is no model"),
        ("{models}/model_code.py", "has the digest"),
        ("s3://other/m", "does not begin with"),
        ("s3://models/../other/m", "does not begin with"),
    ],
)
async def test_a_model_from_elsewhere_or_with_another_digest_is_never_loaded(
    tools: GateTools, models: Path, uri: str, words: str
) -> None:
    (models.parent / "secret").write_text("x")
    (models / "link").symlink_to(models.parent / "secret")
    evidence = about(uri.format(models=models), digest_of(models / "m.json"))
    fields = {"models": [str(models), "s3://models/"], "loader": "model_code:load", "python": python(models)}

    found = await verdict("infra", tools, evidence, **fields)

    assert (found.verdict, words in found.reason) == ("fail", True), found.reason


SH = ["/bin/sh", "-c"]


@pytest.mark.parametrize(
    ("script", "outcome", "words", "again"),
    [
        ('echo \'{"predictions": [1], "latencyMs": [3]}\'', "pass", "answered 1 inputs", False),
        ("echo '{}'", "fail", "1 predictions", False),
        ("echo nothing", "fail", "no JSON object", False),
        ("echo no space >&2; exit 3", "fail", "ended with 3: no space", False),
        ("kill -9 $$", "fail", "ended with 137", False),
        ("echo later >&2; exit 75", "error", "try again", True),
        ("sleep 30", "error", "not done within 1 s", True),
        ("sleep 30 & sleep 30", "error", "not done within 1 s", True),
        ("yes", "fail", "", False),
    ],
)
async def test_what_a_command_comes_to(tools: GateTools, script: str, outcome: str, words: str, again: bool) -> None:
    fields = {"models": ["s3://models/"], "command": [*SH, script], "inputs": [[1]], "timeout": "1s"}
    if script == "yes":  # ends by the limit of what it may write, long before its time
        fields["timeout"] = "60s"

    found = await verdict("infra", tools, about(), **fields)

    assert (found.verdict, words in found.reason, found.again) == (outcome, True, again), found.reason


async def test_a_command_sees_the_model_and_nothing_of_ours(tools: GateTools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    script = "import json, os, sys; print(json.dumps({'predictions': [[dict(os.environ), json.load(sys.stdin)]]}))"
    spec = KINDS["infra"].Spec.model_validate(
        {
            "name": "g",
            "kind": "infra",
            "models": ["s3://models/"],
            "command": [sys.executable, "-c", script],
            "inputs": [1],
        }
    )

    answer: Any = await KINDS["infra"].gather(spec, about(), tools)  # type: ignore[attr-defined]

    environment, stdin = answer["predictions"][0]
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert environment["RETRAIN_MODEL_URI"] == stdin["model"]["uri"] == "s3://models/1"
    assert stdin["inputs"] == [1]


@pytest.mark.parametrize(("command", "words"), [(["/no/such"], "/no/such"), (["/etc/passwd"], "Permission denied")])
async def test_a_command_that_is_none_is_an_error_for_good(tools: GateTools, command: list[str], words: str) -> None:
    found = await verdict("infra", tools, about(), models=["s3://models/"], command=command)

    assert (found.verdict, found.again, words in found.reason) == ("error", False, True), found.reason


async def test_memory_is_limited(tools: GateTools) -> None:
    command = [sys.executable, "-c", "x = bytearray(1 << 30)"]

    found = await verdict("infra", tools, about(), models=["s3://models/"], command=command, memory=256 << 20)

    assert (found.verdict, "MemoryError" in found.reason) == ("fail", True), found.reason


async def until(so: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not so():  # noqa: ASYNC110 - another process's doing
            await anyio.sleep(0.02)


async def test_who_is_cancelled_leaves_no_process(tools: GateTools, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = [*SH, f"sleep 60 & echo $! > {mark}; wait"]
    with anyio.move_on_after(30) as scope:
        async with anyio.create_task_group() as group:

            async def go() -> None:
                await verdict("infra", tools, about(), models=["s3://models/"], command=command)

            group.start_soon(go)
            await until(lambda: mark.exists() and mark.read_text().strip() != "")
            group.cancel_scope.cancel()

    assert not scope.cancelled_caught
    await until(lambda: not Path(f"/proc/{mark.read_text().strip()}").exists())


async def test_a_budget_may_be_of_what_the_infra_gate_measured(tools: GateTools) -> None:
    infra = KINDS["infra"].Spec.model_validate(
        {
            "name": "loads",
            "kind": "infra",
            "models": ["s3://models/"],
            "command": [*SH, 'echo \'{"predictions": [1, 2], "latencyMs": [3, 5]}\''],
            "inputs": [1, 2],
        }
    )
    budget = KINDS["budget"].Spec.model_validate({"name": "fast", "kind": "budget", "p99": 5, "of": "loads"})
    gates = [Built("loads", "infra", KINDS["infra"], infra), Built("fast", "budget", KINDS["budget"], budget)]
    evidence = about()

    before = ask_all(gates, evidence)
    after = ask_all(gates, replace(evidence, given=Given(await gather_all(gates, evidence, tools))))

    assert [one.verdict for one in before] == ["pending", "pending"]
    assert [one.verdict for one in after] == ["pass", "pass"]
    assert after[1].figures["p99"] == 5


# --- http ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def service(answer: Any) -> AsyncIterator[str]:
    """A service of a user's, on a port of its own."""
    app = web.Application()
    app.router.add_route("*", "/judge", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/judge"
    finally:
        await runner.cleanup()


async def test_a_service_judges_with_the_evidence_and_is_asked_once(tools: GateTools) -> None:
    seen: list[Any] = []

    async def judge(request: web.Request) -> web.Response:
        seen.append((dict(request.headers), await request.json()))
        return web.json_response({"verdict": "pass", "reason": "fine", "figures": {"risk": 0.1}})

    async with service(judge) as url:
        fields = {"url": url, "bearer": {"name": "judge", "key": "token"}}
        first = await verdict("http", tools, about(), **fields)
        second = await verdict("http", tools, about(), **fields)

    assert (first.verdict, first.figures, second) == ("pass", {"risk": 0.1}, first)
    ((headers, body),) = seen
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Idempotency-Key"].startswith("sha256:")
    assert body["evidence"]["candidate"]["digest"] == "sha256:new"


@pytest.mark.parametrize(
    ("status", "outcome", "again"),
    [(503, "error", True), (429, "error", True), (404, "error", False), (302, "error", False)],
)
async def test_a_service_that_does_not_answer_well_has_not_judged(
    tools: GateTools, status: int, outcome: str, again: bool
) -> None:
    async def judge(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "http://169.254.169.254/"}, text="no\nmore")

    async with service(judge) as url:
        found = await verdict("http", tools, about(), url=f"{url}?token=hidden")

    assert (found.verdict, found.again, str(status) in found.reason) == (outcome, again, True), found.reason
    assert "hidden" not in found.reason


async def test_a_service_that_is_slow_or_endless_is_given_up(tools: GateTools) -> None:
    async def judge(request: web.Request) -> web.StreamResponse:
        if request.query.get("slow"):
            await anyio.sleep(5)
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 65536)
        return response

    async with service(judge) as url:
        slow = await verdict("http", tools, about(), url=f"{url}?slow=1", timeout="0.3s")
        endless = await verdict("http", tools, about(), url=url)
    gone = await verdict("http", tools, about(), url=url)

    assert (slow.verdict, slow.again) == ("error", True)
    assert (endless.verdict, endless.again, "more than" in endless.reason) == ("error", False, True)
    assert (gone.verdict, gone.again) == ("error", True)


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/"])
async def test_addresses_where_credentials_lie_are_closed(tools: GateTools, url: str) -> None:
    found = await verdict("http", tools, about(), url=url)

    assert (found.verdict, found.again, "closed" in found.reason) == ("error", False, True), found.reason


async def test_a_secret_that_is_not_there_is_an_error(tools: GateTools) -> None:
    found = await verdict("http", tools, about(), url="http://127.0.0.1:9/", bearer={"name": "x", "key": "y"})

    assert (found.verdict, found.again) == ("error", False)


# --- workflow --------------------------------------------------------------------------------------------------------


def template(script: str) -> dict[str, Any]:
    """A WorkflowTemplate whose outputs are what the script writes to files."""
    outputs = [
        {"name": name, "valueFrom": {"path": name, "default": ""}, "globalName": name}
        for name in ("verdict", "reason", "figures", "metrics", "dataset")
    ]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "judge"},
        "spec": {
            "entrypoint": "main",
            "arguments": {"parameters": [{"name": "uri"}]},
            "templates": [
                {
                    "name": "main",
                    "inputs": {"parameters": [{"name": "uri", "value": "{{workflow.parameters.uri}}"}]},
                    "outputs": {"parameters": outputs},
                    "script": {"image": "any", "command": ["sh"], "source": script},
                }
            ],
        },
    }


@asynccontextmanager
async def running(store: Store, root: Path, script: str) -> AsyncIterator[None]:
    around = Surroundings(root, root / "data", passed_on(os.environ), {})
    options = RunnerOptions(limits=Limits(grace_s=0.5))
    runner = Runner(store, SystemClock(), around, lambda: Catalog.of([template(script)]), options)
    async with anyio.create_task_group() as group:
        await group.start(runner.run)
        yield
        group.cancel_scope.cancel()


async def until_over(store: Store) -> None:
    with anyio.fail_after(60):
        while True:
            page = await store.read(lambda c: runs.listing(c, runs.RunFilter()))
            if page.items and all(row.phase not in runs.OPEN for row in page.items):
                return
            await anyio.sleep(0.02)


@pytest.mark.parametrize(
    ("script", "outcome", "words", "again"),
    [
        (
            "printf pass >verdict; printf '{{inputs.parameters.uri}}' >reason; printf '{\"n\": 3}' >figures",
            "pass",
            "m",
            False,
        ),
        ("printf fail >verdict; printf 'too slow' >reason", "fail", "too slow", False),
        ("printf pending >verdict", "error", "is over", False),
        ("true", "error", "must be pass", False),
        ("printf pass >verdict; printf x >figures", "error", "no JSON", False),
        ("exit 3", "error", "retrain runs retry", True),
    ],
)
async def test_a_workflow_is_pending_until_it_is_over_and_then_says_the_verdict(
    tools: GateTools, store: Store, tmp_path: Path, script: str, outcome: str, words: str, again: bool
) -> None:
    fields = {"template": "judge", "parameters": {"uri": "{{candidate.uri}}"}}
    evidence = about("s3://models/m")

    first = await verdict("workflow", tools, evidence, **fields)
    async with running(store, tmp_path, script):
        await until_over(store)
    last = await verdict("workflow", tools, evidence, **fields)

    assert (first.verdict, first.again) == ("pending", True)
    assert (last.verdict, words in last.reason, last.again) == (outcome, True, again), last.reason
    assert last.figures["run"] == first.figures["run"]
    page = await store.read(lambda c: runs.listing(c, runs.RunFilter()))
    assert len(page.items) == 1


async def test_a_parameter_that_the_candidate_has_not_is_an_error(tools: GateTools) -> None:
    found = await verdict("workflow", tools, about(), template="judge", parameters={"x": "{{candidate.colour}}"})

    assert (found.verdict, found.again, "candidate.colour" in found.reason) == ("error", False, True)


# --- the champion, scored again ---------------------------------------------------------------------------------------


def stale(live: str = "s3://models/live") -> Evidence:
    """The live model was measured on other data."""
    champion = Measured("sha256:live", {"accuracy": 0.99}, "d0", uri=live)
    return Evidence(Measured("sha256:new", {"accuracy": 0.9}, "d1"), champion, facts=Facts(uri="s3://models/1"))


@pytest.mark.parametrize(
    ("script", "outcome", "words"),
    [
        ("printf '{\"accuracy\": 0.85}' >metrics", "pass", "the champion's 0.85"),
        ("printf '{\"accuracy\": 0.95}' >metrics; printf d1 >dataset", "fail", "the champion's 0.95"),
        ("printf '{\"accuracy\": 0.85}' >metrics; printf d2 >dataset", "error", "another dataset: d2"),
        ("printf '{\"f1\": 0.85}' >metrics", "error", "of the champion"),
        ("test '{{inputs.parameters.uri}}' = s3://models/live && printf '{\"accuracy\": 0.8}' >metrics", "pass", "0.8"),
        ("true", "error", "no JSON object"),
    ],
)
async def test_a_champion_of_other_data_is_scored_again_by_a_workflow(
    tools: GateTools, store: Store, tmp_path: Path, script: str, outcome: str, words: str
) -> None:
    evaluate = {"template": "judge", "parameters": {"uri": "{{champion.uri}}"}}
    fields = {"metric": "accuracy", "evaluate": evaluate}

    first = await verdict("champion", tools, stale(), **fields)
    async with running(store, tmp_path, script):
        await until_over(store)
    last = await verdict("champion", tools, stale(), **fields)

    assert first.verdict == "pending"
    assert (last.verdict, words in last.reason) == (outcome, True), last.reason


async def test_a_champion_whose_figures_are_known_is_not_scored_again(tools: GateTools, store: Store) -> None:
    fields = {"metric": "accuracy", "evaluate": {"template": "judge"}}
    known = replace(stale(), rescored=Measured("sha256:live", {"accuracy": 0.8}, "d1"))
    first = replace(stale(), champion=None)

    assert (await verdict("champion", tools, known, **fields)).verdict == "pass"
    assert (await verdict("champion", tools, first, **fields)).verdict == "fail"
    assert (
        "no data set"
        in (
            await verdict("champion", tools, replace(stale(), candidate=Measured("n", {"accuracy": 1})), **fields)
        ).reason
    )
    assert not (await store.read(lambda c: runs.listing(c, runs.RunFilter()))).items


# --- the table of examples -------------------------------------------------------------------------------------------


def intent_of(table: Table | None) -> Intent:
    evaluation = {"dataset": "d", "examples": table.model_dump() if table else None}
    candidate = read({"digest": f"sha256:{'a' * 64}", "uri": "s3://models/1", "evaluation": evaluation})
    return Intent("p", "k", "promote", candidate.digest, SystemClock().now(), candidate)


async def loaded(tools: GateTools, tmp_path: Path, table: Table) -> Given:
    plain: Any = document(tmp_path / "none", gates=[{"name": "t", "kind": "threshold", "metric": "m", "min": 1}])
    nowhere: Any = None  # no gate asks, so the repository is not looked at
    return (await asked.ask(nowhere, plain, intent_of(table), tools)).given


async def test_a_table_is_read_from_where_the_candidate_says_if_its_digest_is_right(
    tools: GateTools, tmp_path: Path
) -> None:
    body = orjson.dumps({"id": [1, 2], "label": [1, 0]})
    file = tmp_path / "data" / "table.json"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(body)
    right = f"sha256:{sha256(body).hexdigest()}"

    good = await loaded(tools, tmp_path, Table(uri=str(file), digest=right))
    wrong = await loaded(tools, tmp_path, Table(uri=f"file://{file}", digest=f"sha256:{'0' * 64}"))
    outside = await loaded(tools, tmp_path, Table(uri="/etc/passwd", digest=right))

    assert good.examples is not None
    assert len(good.examples) == 2
    assert (wrong.examples, "does not have the digest" in wrong.examples_problem, right in wrong.examples_problem) == (
        None,
        True,
        False,
    )
    assert "lies neither" in outside.examples_problem


async def test_a_table_by_http_is_limited_and_its_absence_may_pass(tools: GateTools, tmp_path: Path) -> None:
    body = b'{"id": [1]}'

    async def give(request: web.Request) -> web.Response:
        return web.Response(body=body, status=int(request.query.get("status", 200)))

    async with service(give) as url:
        right = f"sha256:{sha256(body).hexdigest()}"
        good = await loaded(tools, tmp_path, Table(uri=url, digest=right))
        odd = await loaded(tools, tmp_path, Table(uri=f"{url}?X-Amz-Signature=hidden", digest=f"sha256:{'0' * 64}"))
        away = await loaded(tools, tmp_path, Table(uri=f"{url}?status=503", digest=right))
        with pytest.raises(Permanent, match="more than 3 bytes"):
            await tools.read(url, 3)

    assert good.examples is not None
    assert (away.examples, away.examples_again) == (None, True)
    assert "does not have the digest" in odd.examples_problem
    assert "hidden" not in odd.examples_problem


def test_most_promotions_need_nobody(tmp_path: Path) -> None:
    plain = document(tmp_path / "none")

    assert not asked.needs_asking(plain, intent_of(None))
    http = [{"name": "h", "kind": "http", "url": "http://x/"}]
    assert asked.needs_asking(document(tmp_path / "none", gates=http), intent_of(None))
