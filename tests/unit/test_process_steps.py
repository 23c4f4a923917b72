"""Steps as real processes: what they get, what they leave, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.core.happenings import Started, Task, TaskResult
from pipelines.core.nodes import Phase
from pipelines.local import process
from pipelines.local.executor import DEADLINE_MESSAGE, Limits, LocalExecutor, open_executor
from pipelines.local.isolation import Rung, best_rung
from pipelines.local.leaf import StepRun, Surroundings, node_mark, passed_on
from pipelines.local.logs import read_all
from pipelines.local.workspace import run_directory
from retrain.clock import SystemClock

needs_namespace = pytest.mark.skipif(best_rung() is not Rung.namespace, reason="no mount namespaces on this machine")


def script(source: str, command: Sequence[str] = ("sh",), **more: Any) -> dict[str, Any]:
    return {"name": "t", "script": {"image": "any", "command": list(command), "source": source}, **more}


def container(*argv: str, **more: Any) -> dict[str, Any]:
    return {"name": "t", "container": {"image": "any", "command": [argv[0]], "args": list(argv[1:]), **more}}


def outputs(**paths: Any) -> dict[str, Any]:
    parameters = [{"name": n, "valueFrom": v if isinstance(v, dict) else {"path": v}} for n, v in paths.items()]
    return {"parameters": parameters}


class Bench:
    """An executor in a directory, one run, and the news of its steps."""

    def __init__(self, root: Path, limits: Limits | None = None, references: Any = None) -> None:
        self.project = root / "project"
        self.project.mkdir(parents=True, exist_ok=True)
        self.data = root / "data"
        environ = {**os.environ, "AWS_SECRET_ACCESS_KEY": "top-secret", "RETRAIN_TOKEN": "top-secret"}
        self.around = Surroundings(self.project, self.data, passed_on(environ), references or {})
        self.step_run = StepRun("r-1", "wf", "uid-1", run_directory(self.data, "r-1"))
        self.limits = limits or Limits(slots=4, grace_s=0.3)
        self.results: dict[str, TaskResult] = {}
        self.started: dict[str, anyio.Event] = {}

    @property
    def mark(self) -> str:
        return node_mark(self.step_run, "wf-1")

    def home(self, node_id: str = "wf-1") -> Path:
        return self.step_run.home / node_id

    def take(self, executor: LocalExecutor, template: dict[str, Any], node_id: str = "wf-1", **more: Any) -> Any:
        ended = anyio.Event()
        self.started[node_id] = anyio.Event()

        def report(news: Started | TaskResult) -> None:
            if isinstance(news, Started):
                self.started[node_id].set()
            else:
                self.results[news.node_id] = news
                ended.set()

        executor.start(Task(node_id, node_id, "pod", template, **more), self.step_run, report)
        return ended

    async def run(self, template: dict[str, Any], **more: Any) -> TaskResult:
        with anyio.fail_after(30):
            async with open_executor(self.around, SystemClock(), self.limits) as executor:
                await self.take(executor, template, **more).wait()
        return self.results["wf-1"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_exit_code_zero_succeeds_and_stdout_is_the_result(bench: Bench) -> None:
    result = await bench.run(container("sh", "-c", "echo out; echo err >&2"))
    assert (result.phase, result.exit_code, result.result) == (Phase.Succeeded, 0, "out")
    assert sorted("".join(read_all(bench.home() / "main.log")).split()) == ["err", "out"]
    assert result.started_at is not None
    assert result.finished_at is not None


async def test_exit_code_is_reported_in_argos_words(bench: Bench) -> None:
    result = await bench.run(script("exit 3"))
    assert (result.phase, result.exit_code, result.message) == (Phase.Failed, 3, "main: Error (exit code 3)")


async def test_death_by_signal_is_128_and_the_signal(bench: Bench) -> None:
    assert (await bench.run(script("kill -KILL $$"))).exit_code == 137


async def test_program_that_is_not_there_is_64(bench: Bench) -> None:
    result = await bench.run(container("no-such-program"))
    assert (result.phase, result.exit_code) == (Phase.Failed, 64)
    assert 'failed to find name in PATH: exec: "no-such-program"' in result.message


async def test_script_runs_under_the_platforms_own_python(bench: Bench) -> None:
    result = await bench.run(script("import sys; print(sys.prefix)", ["python"]))
    assert result.result == sys.prefix


async def test_result_loses_one_newline_and_no_more(bench: Bench) -> None:
    assert (await bench.run(script(r"printf 'a\n\n'"))).result == "a\n"


async def test_result_is_the_last_256_kib_of_stdout(bench: Bench) -> None:
    result = await bench.run(script("head -c 300000 /dev/zero | tr '\\0' x; printf END"))
    assert result.result is not None
    assert len(result.result) == 256 * 1024
    assert result.result.endswith("xEND")


async def test_output_parameters_are_files_less_one_newline(bench: Bench) -> None:
    template = script(
        "echo 0.9 > acc; echo deep > out/x", outputs=outputs(a="acc", missing={"path": "no", "default": 7})
    )
    template["script"]["source"] = "echo 0.9 > acc"
    assert (await bench.run(template)).parameters == {"a": "0.9", "missing": "7"}


@needs_namespace
async def test_absolute_paths_are_private_to_each_step(bench: Bench) -> None:
    template = script(
        'test ! -e /tmp/acc && echo $1 > /tmp/acc && test -d "$RETRAIN_PROJECT" && ls "$RETRAIN_PROJECT"',
        outputs=outputs(a="/tmp/acc"),
    )
    (bench.project / "seen").touch()
    with anyio.fail_after(30):
        async with open_executor(bench.around, SystemClock(), bench.limits) as executor:
            for name in ("wf-1", "wf-2"):
                template["script"]["args"] = []
                await bench.take(executor, template, name).wait()
    assert [bench.results[n].phase for n in ("wf-1", "wf-2")] == [Phase.Succeeded, Phase.Succeeded]
    assert bench.results["wf-1"].result == "seen"
    assert not os.path.exists("/tmp/acc")  # noqa: ASYNC240, PTH110


@needs_namespace
async def test_any_absolute_path_is_private(bench: Bench) -> None:
    result = await bench.run(
        script("echo 7 > /etc/acc; echo 8 > /result.txt", outputs=outputs(a="/etc/acc", b="/result.txt"))
    )
    assert (result.phase, result.parameters) == (Phase.Succeeded, {"a": "7", "b": "8"})
    assert not os.path.exists("/etc/acc")  # noqa: ASYNC240, PTH110


@pytest.mark.parametrize(
    ("source", "path", "said"),
    [
        ("true", "acc", "open /var/run/argo/outputs/parameters/acc: no such file"),
        ("mkdir acc", "acc", "no regular file"),
        ("mkfifo acc", "acc", "no regular file"),
        ("head -c 1100000 /dev/zero > acc", "acc", "larger than"),
        ("ln -s /etc/hostname acc", "acc", "leads out"),
        ("true", "../../../secret", "leads out"),
    ],
)
async def test_output_that_cannot_be_read_makes_an_error(bench: Bench, source: str, path: str, said: str) -> None:
    result = await bench.run(script(source, outputs=outputs(a=path)))
    assert result.phase is Phase.Error
    assert said in result.message


async def test_failure_is_not_hidden_by_a_missing_output(bench: Bench) -> None:
    result = await bench.run(script("echo 1 > a; exit 1", outputs=outputs(a="a", b="b")))
    assert (result.phase, result.message) == (Phase.Failed, "main: Error (exit code 1)")
    assert result.parameters == {"a": "1", "b": None}


HOSTILE = [
    "; rm -rf x",
    "$(touch pwned)",
    "`id`",
    "a\nb",
    "--x",
    "-",
    "",
    "'\"\\",
    "*",
    "$HOME",
    "| cat",
    "\t",
    "é\u2028",
]


async def test_arguments_arrive_as_they_are(bench: Bench) -> None:
    source = "import json,sys; print(json.dumps(sys.argv[1:]))"
    result = await bench.run(container(sys.executable, "-c", source, *HOSTILE))
    import json

    assert json.loads(result.result or "") == HOSTILE
    assert list((bench.home() / "work").iterdir()) == []


@pytest.mark.parametrize("word", ["a\0b", "\ud800", "x" * 200_000])
async def test_arguments_no_process_can_have_are_refused(bench: Bench, word: str) -> None:
    result = await bench.run(container("/bin/echo", word))
    assert result.phase in (Phase.Error, Phase.Failed)
    assert result.message


async def test_hostile_node_ids_stay_in_their_run(bench: Bench) -> None:
    async with open_executor(bench.around, SystemClock(), bench.limits) as executor:
        for name in ("../../escape", "..", ".", "a/b", "ü" * 200):
            await bench.take(executor, container("true"), name).wait()
    assert {r.phase for r in bench.results.values()} == {Phase.Succeeded}
    assert len(list(bench.step_run.home.iterdir())) == 5
    assert not (bench.data.parent / "escape").exists()


async def test_steps_do_not_see_the_platforms_secrets(bench: Bench) -> None:
    result = await bench.run(container("env"))
    assert "top-secret" not in (result.result or "")
    assert "ARGO_WORKFLOW_NAME=wf" in (result.result or "").splitlines()


async def test_env_comes_from_values_and_references(tmp_path: Path) -> None:
    bench = Bench(tmp_path, references={("Secret", "aws"): {"key": "s3cr3t"}})
    ref = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "aws", "key": "key"}}}
    optional = {"name": "NO", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y", "optional": True}}}
    template = container("sh", "-c", 'echo "$A $KEY ${NO-unset}"', env=[{"name": "A", "value": 1}, ref, optional])
    assert (await bench.run(template)).result == "1 s3cr3t unset"


@pytest.mark.parametrize(
    "env",
    [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}},
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeSelector"}}},
        {"name": "A", "valueFrom": {"fileKeyRef": {"path": "x"}}},
        {"name": "a=b", "value": "x"},
    ],
)
async def test_env_that_cannot_be_had_is_refused(bench: Bench, env: dict[str, Any]) -> None:
    assert (await bench.run(container("true", env=[env]))).phase is Phase.Error


@pytest.mark.parametrize(("image", "said"), [("any", "write the command out"), ("python:3.12", "nothing to do")])
async def test_template_that_says_nothing_to_run_is_refused(bench: Bench, image: str, said: str) -> None:
    result = await bench.run({"name": "t", "container": {"image": image}})
    assert result.phase is Phase.Error
    assert said in result.message


async def test_working_directory_is_private_or_of_the_project(bench: Bench) -> None:
    assert (await bench.run(container("pwd"))).result == str(bench.home() / "work")
    bench.home().rename(bench.home().with_name("old"))
    assert (await bench.run(container("pwd", workingDir="."))).result == str(bench.project)
    bench.home().rename(bench.home().with_name("old2"))
    assert (await bench.run(container("pwd", workingDir="../.."))).phase is Phase.Error


async def test_directories_with_blanks_and_other_letters_work(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "mein Projekt ü '\" $(x)")
    result = await bench.run(script("echo ok > a; pwd", outputs=outputs(a="a")))
    assert (result.phase, result.parameters) == (Phase.Succeeded, {"a": "ok"})


async def test_timeout_kills_grandchildren_that_left_the_group(bench: Bench) -> None:
    source = "setsid sleep 1234 & echo $! > $RETRAIN_PROJECT/pid; sleep 1234 & sleep 1234"
    result = await bench.run(script(source), deadline_s=0.5)
    assert (result.phase, result.message) == (Phase.Failed, DEADLINE_MESSAGE)
    await _all_gone(bench.mark)


async def test_a_step_that_ignores_sigterm_is_killed(bench: Bench) -> None:
    result = await bench.run(script("trap '' TERM; while :; do sleep 1; done"), deadline_s=1.0)
    assert (result.phase, result.exit_code) == (Phase.Failed, 137)
    await _all_gone(bench.mark)


async def test_a_step_may_end_in_its_own_way_on_sigterm(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Limits(grace_s=20))
    source = "trap 'echo saved; kill $!; exit 9' TERM; echo ready > $RETRAIN_PROJECT/ready; sleep 99 & wait"
    with anyio.fail_after(15):
        async with open_executor(bench.around, SystemClock(), bench.limits) as executor:
            ended = bench.take(executor, script(source))
            await _exists(bench.project / "ready")
            executor.stop("r-1", "wf-1")
            await ended.wait()
    result = bench.results["wf-1"]
    assert (result.phase, result.exit_code, result.result) == (Phase.Failed, 9, "saved")


async def test_background_children_do_not_outlive_their_step(bench: Bench) -> None:
    result = await bench.run(script("sleep 1234 & echo hi"))
    assert (result.phase, result.result) == (Phase.Succeeded, "hi")
    await _all_gone(bench.mark)


async def test_leaving_the_executor_leaves_no_process(bench: Bench) -> None:
    with anyio.fail_after(15):
        async with open_executor(bench.around, SystemClock(), bench.limits) as executor:
            bench.take(executor, container("sleep", "1234"))
            await bench.started["wf-1"].wait()
            await _some_there(bench.mark)
    await _all_gone(bench.mark)


async def test_who_leaves_lets_a_step_that_is_about_to_end_do_so_and_it_does_not_run_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Limits(grace_s=0.3, finish_s=30))
    source = (
        "trap 'echo heard' TERM; echo + >> $RETRAIN_PROJECT/log; "
        "while [ ! -e $RETRAIN_PROJECT/go ]; do sleep 0.01; done; echo saved"
    )
    with anyio.fail_after(30):
        opened = open_executor(bench.around, SystemClock(), bench.limits)
        async with anyio.create_task_group() as group, opened as executor:
            bench.take(executor, script(source))
            await _exists(bench.project / "log")
            group.start_soon(_let_go_on, bench.project)  # begins once this waits for its end
    assert bench.results == {}

    result = await bench.run(script(source))
    assert (result.phase, result.result) == (Phase.Succeeded, "saved")
    assert (bench.project / "log").read_text() == "+\n"


async def test_who_leaves_waits_for_no_step_that_goes_on_and_on_and_it_runs_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Limits(grace_s=0.3, finish_s=0.1))
    source = (
        "echo + >> $RETRAIN_PROJECT/log; [ -e $RETRAIN_PROJECT/again ] && exit; touch $RETRAIN_PROJECT/again; sleep 99"
    )
    with anyio.fail_after(30):
        async with open_executor(bench.around, SystemClock(), bench.limits) as executor:
            bench.take(executor, script(source))
            await _exists(bench.project / "again")

    assert (await bench.run(script(source))).phase is Phase.Succeeded
    assert (bench.project / "log").read_text() == "+\n+\n"


async def _let_go_on(project: Path) -> None:
    (project / "go").touch()


async def test_two_hundred_steps_run_at_most_so_many_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Limits(slots=8))
    source = 'echo + >> "$RETRAIN_PROJECT/log"; echo - >> "$RETRAIN_PROJECT/log"; echo said'
    with anyio.fail_after(60):
        async with open_executor(bench.around, SystemClock(), bench.limits) as executor:
            ended = [bench.take(executor, script(source), f"n{i}") for i in range(200)]
            for one in ended:
                await one.wait()
    assert {r.phase for r in bench.results.values()} == {Phase.Succeeded}
    assert {r.result for r in bench.results.values()} == {"said"}
    running = peak = 0
    for line in (bench.project / "log").read_text().split():
        running += 1 if line == "+" else -1
        peak = max(peak, running)
    assert len((bench.project / "log").read_text().split()) == 400
    assert peak <= 8


async def test_a_step_that_ended_while_nobody_looked_is_not_run_again(bench: Bench) -> None:
    template = script('echo x >> "$RETRAIN_PROJECT/log"; echo done')
    first = await bench.run(template)
    again = await bench.run(template)
    assert (bench.project / "log").read_text() == "x\n"
    assert (again.phase, again.result, again.started_at) == (first.phase, first.result, first.started_at)


async def test_a_step_that_still_runs_is_found_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Limits(leave="keep"))
    go = bench.project / "go"
    template = script(
        'echo x >> "$RETRAIN_PROJECT/log"; until [ -e "$RETRAIN_PROJECT/go" ]; do sleep 0.02; done; echo fin'
    )
    with anyio.fail_after(20):
        async with open_executor(bench.around, SystemClock(), bench.limits) as executor:
            bench.take(executor, template)
            await _exists(bench.project / "log")
        assert process.attach(bench.home()) is not None
        async with open_executor(bench.around, SystemClock(), bench.limits) as executor:
            ended = bench.take(executor, template)
            await bench.started["wf-1"].wait()
            go.touch()
            await ended.wait()
    assert bench.results["wf-1"].result == "fin"
    assert (bench.project / "log").read_text() == "x\n"


async def test_a_step_whose_leader_died_without_a_word_runs_again(bench: Bench) -> None:
    # Its leader is killed once, and what it led is swept away; the second attempt ends well.
    source = 'if mkdir "$RETRAIN_PROJECT/once"; then kill -KILL $PPID; sleep 1234; fi; echo second'
    result = await bench.run(script(source))
    assert (result.phase, result.result) == (Phase.Succeeded, "second")
    assert len(list(bench.step_run.home.glob("wf-1~lost*"))) == 1
    await _all_gone(bench.mark)


async def test_a_step_that_is_always_lost_is_an_error(bench: Bench) -> None:
    result = await bench.run(script("kill -KILL $PPID"))
    assert result.phase is Phase.Error
    assert "lost 3 times" in result.message


def test_sweep_finds_by_environment(tmp_path: Path) -> None:
    sleeper = subprocess.Popen(
        ["sleep", "1234"], env={"RETRAIN_NODE": f"sweep-test-{tmp_path}"}, start_new_session=True
    )
    assert process.sweep("RETRAIN_NODE", [f"sweep-test-{tmp_path}"]) >= 1
    assert sleeper.wait() == -signal.SIGKILL


def _processes_of(mark: str) -> list[int]:
    wanted = f"RETRAIN_NODE={mark}".encode()
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                if wanted in (path / "environ").read_bytes().split(b"\0"):
                    found.append(int(path.name))
            except OSError:
                continue
    return found


async def _all_gone(mark: str) -> None:
    """A killed process takes a moment to leave the table."""
    deadline = time.monotonic() + 5
    while left := _processes_of(mark):
        assert time.monotonic() < deadline, left
        await anyio.sleep(0.01)


async def _some_there(mark: str) -> None:
    """A process that has just been forked shows the step's environment a moment later."""
    deadline = time.monotonic() + 5
    while not _processes_of(mark):
        assert time.monotonic() < deadline
        await anyio.sleep(0.01)


async def _exists(path: Path) -> None:
    """Wait for a file that a step makes; the caller bounds it."""
    deadline = time.monotonic() + 20
    while not path.exists():  # noqa: ASYNC240
        assert time.monotonic() < deadline
        await anyio.sleep(0.01)


async def test_a_run_of_the_same_name_elsewhere_keeps_its_processes(tmp_path: Path) -> None:
    one, other = Bench(tmp_path / "one"), Bench(tmp_path / "other")
    with anyio.fail_after(20):
        async with open_executor(one.around, SystemClock(), one.limits) as executor:
            one.take(executor, container("sleep", "1234"))
            await one.started["wf-1"].wait()
            assert (await other.run(script("sleep 1234"), deadline_s=0.1)).phase is Phase.Failed
            async with open_executor(other.around, SystemClock(), other.limits) as elsewhere:
                await elsewhere.sweep(other.step_run)
            await _some_there(one.mark)
