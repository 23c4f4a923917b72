"""Pods of several containers as real processes: init containers, sidecars, sets, daemons, volumes and artifacts."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.artifacts import open_artifacts
from pipelines.core.happenings import ContainerNews, Happening, Progressed, Ready, Started, Task, TaskResult
from pipelines.core.nodes import Inputs, Phase
from pipelines.local import process
from pipelines.local.executor import Limits, LocalExecutor, open_executor
from pipelines.local.isolation import Rung, best_rung
from pipelines.local.leaf import StepRun, Surroundings, passed_on
from pipelines.local.logs import read_all
from pipelines.local.machine import SlotsSettings
from pipelines.local.workspace import Workspace, container_homes, run_directory
from retrain.clock import SystemClock

RUNGS = [Rung.rewrite, pytest.param(Rung.namespace, marks=pytest.mark.skipif(
    best_rung() is not Rung.namespace, reason="no mount namespaces on this machine"))]  # fmt: skip
REFERENCES = {
    ("ConfigMap", "conf"): {"greeting": "hello"},
    ("Secret", "keys"): {"token": "t0k"},
    ("PersistentVolumeClaim", "store"): {},
}


class Yard:
    """An executor in a directory with a local artifact repository, one run, and the news of its steps."""

    def __init__(self, root: Path, rung: Rung | None = None, limits: Limits | None = None, **spec: Any) -> None:
        self.project = root / "project"
        self.project.mkdir(parents=True, exist_ok=True)
        self.data = root / "data"
        slots = SlotsSettings(gpus=4)
        self.around = Surroundings(self.project, self.data, passed_on(os.environ), REFERENCES, rung=rung, slots=slots)
        home = run_directory(self.data, "r-1")
        self.step_run = StepRun("r-1", "wf", "uid-1", home, True, spec, "lab", {"l": "v"})
        self.limits = limits or Limits(slots=4, grace_s=0.5)
        self.artifacts = open_artifacts(self.data, REFERENCES)
        self.news: list[Happening] = []

    def open(self) -> Any:
        return open_executor(self.around, SystemClock(), self.limits, self.artifacts)

    def take(
        self, executor: LocalExecutor, template: dict[str, Any], node_id: str = "wf-1", **more: Any
    ) -> anyio.Event:
        ended = anyio.Event()

        def report(news: Happening) -> None:
            self.news.append(news)
            if isinstance(news, TaskResult):
                ended.set()

        executor.start(
            Task(node_id, node_id, f"pod-{node_id}", {"name": "t", **template}, **more), self.step_run, report
        )
        return ended

    async def run(self, template: dict[str, Any], node_id: str = "wf-1", **more: Any) -> TaskResult:
        with anyio.fail_after(60):
            async with self.open() as executor:
                await self.take(executor, template, node_id, **more).wait()
        return self.of(TaskResult)[-1]

    def of(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.news if isinstance(one, kind)]

    def home(self, node_id: str = "wf-1") -> Path:
        return self.step_run.home / node_id

    def lines(self) -> list[str]:
        """What steps have written into `log` of the project."""
        path = self.project / "log"
        return path.read_text().split() if path.exists() else []

    def log(self, container: str = "main", node_id: str = "wf-1") -> str:
        homes = container_homes(Workspace(self.home(node_id)))
        return "".join(read_all(homes[container] / "main.log"))


async def until(done: Callable[[], object]) -> None:
    """Wait for what only shows in files and lists; the caller bounds it."""
    while not done():  # noqa: ASYNC110
        await anyio.sleep(0.02)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def sh(text: str, name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "any", "command": ["sh", "-c"], "args": [text], **more}


def container(text: str, **more: Any) -> dict[str, Any]:
    body = sh(text, **more)
    del body["name"]
    return {"container": body}


VOLUME = {"name": "v", "mountPath": "/work/v"}


@pytest.mark.parametrize("rung", RUNGS)
async def test_init_containers_run_first_one_after_the_other_on_shared_volumes(tmp_path: Path, rung: Rung) -> None:
    yard = Yard(tmp_path, rung)
    result = await yard.run(
        {
            **container("cat /work/v/said", volumeMounts=[VOLUME]),
            "volumes": [{"name": "v", "emptyDir": {}}],
            "initContainers": [
                sh("echo one > /work/v/said", "first", mirrorVolumeMounts=True),
                sh("echo two >> /work/v/said; echo seen", "second", volumeMounts=[VOLUME]),
            ],
        }
    )
    assert (result.phase, result.result) == (Phase.Succeeded, "one\ntwo")
    assert yard.log("second") == "seen\n"


async def test_a_failing_init_container_is_the_pods_failure(yard: Yard) -> None:
    result = await yard.run({**container("touch $RETRAIN_PROJECT/ran"), "initContainers": [sh("exit 3", "prepare")]})
    assert (result.phase, result.message) == (Phase.Failed, "prepare: Error (exit code 3)")
    assert not (yard.project / "ran").exists()


async def test_a_sidecar_lives_with_the_main_container_and_ends_with_it(yard: Yard) -> None:
    up = yard.project / "up"
    result = await yard.run(
        {
            **container(f"until [ -e {up} ]; do sleep 0.02; done; echo done"),
            "sidecars": [sh(f"touch {up}; exec sleep 1234", "db")],
        }
    )
    assert (result.phase, result.result) == (Phase.Succeeded, "done")


@pytest.mark.parametrize(("code", "phase"), [(3, Phase.Failed), (143, Phase.Succeeded), (137, Phase.Succeeded)])
async def test_a_sidecar_that_fails_fails_the_pod_unless_it_was_told_to_end(
    yard: Yard, code: int, phase: Phase
) -> None:
    result = await yard.run({**container("sleep 0.3"), "sidecars": [sh(f"exit {code}", "db")]})
    assert result.phase is phase
    assert result.message == ("db: Error (exit code 3)" if phase is Phase.Failed else "")


async def test_a_sidecar_whose_program_is_not_there_fails_the_pod(yard: Yard) -> None:
    sidecar = {"name": "db", "image": "any", "command": ["no-such-program"]}
    result = await yard.run({**container("true"), "sidecars": [sidecar]})
    assert result.phase is Phase.Failed
    assert result.message.startswith('db: Error (exit code 64): failed to find name in PATH: exec: "no-such-program"')


def a_set(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerSet": {"containers": list(containers), **more}}


async def test_a_set_runs_by_its_dependencies_and_tells_of_each_container(yard: Yard) -> None:
    mounts = {"volumeMounts": [{"name": "v", "mountPath": "/out"}]}
    result = await yard.run(
        {
            **a_set(
                sh("echo a > /out/a", "a"),
                sh("echo b > /out/b", "b"),
                sh("cat /out/a /out/b; echo 5 > /tmp/p", "main", dependencies=["a", "b"]),
                **mounts,
            ),
            "volumes": [{"name": "v", "emptyDir": {}}],
            "outputs": {"parameters": [{"name": "p", "valueFrom": {"path": "/tmp/p"}}]},
        }
    )
    assert (result.phase, result.exit_code, result.result) == (Phase.Succeeded, 0, "a\nb")
    assert result.parameters == {"p": "5"}
    news = [(one.container, one.phase) for one in yard.of(ContainerNews)]
    assert [name for name, phase in news if phase is Phase.Succeeded][-1] == "main"
    assert news.index(("main", Phase.Running)) > news.index(("a", Phase.Succeeded))
    assert len(news) == 6


async def test_what_depends_on_a_failed_container_is_an_error_with_argos_words(yard: Yard) -> None:
    result = await yard.run(a_set(sh("exit 3", "a"), sh("true", "b", dependencies=["a"])))
    assert (result.phase, result.exit_code, result.message) == (Phase.Failed, None, "a: Error (exit code 3)")
    ends = {one.container: (one.phase, one.message) for one in yard.of(ContainerNews) if one.phase.fulfilled}
    assert ends == {
        "a": (Phase.Failed, "Error (exit code 3): "),
        "b": (Phase.Error, 'Error (exit code 64): dependency "a" exited with non-zero code: 3'),
    }


async def test_a_set_runs_its_containers_as_often_as_it_says(yard: Yard) -> None:
    text = "echo x >> $RETRAIN_PROJECT/tries; [ $(wc -l < $RETRAIN_PROJECT/tries) -ge 3 ]"
    result = await yard.run(a_set(sh(text, "main"), retryStrategy={"retries": "3", "duration": "1ms"}))
    assert result.phase is Phase.Succeeded
    again = await yard.run(a_set(sh("exit 1", "main"), retryStrategy={"retries": 2}), "wf-2")
    assert again.phase is Phase.Failed
    assert len(list((yard.home("wf-2") / "containers").iterdir())) == 2


@pytest.mark.parametrize("needs", [["b"], ["nobody"]])
async def test_a_set_that_waits_for_itself_is_refused(yard: Yard, needs: list[str]) -> None:
    result = await yard.run(a_set(sh("true", "a", dependencies=needs), sh("true", "b", dependencies=["a"])))
    assert result.phase is Phase.Error
    assert "containerSet: " in result.message


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket", "exec", "none"])
async def test_a_daemon_is_ready_when_its_probe_says_so_and_ends_when_it_is_stopped(yard: Yard, kind: str) -> None:
    port = free_port()
    probes: dict[str, Any] = {
        "httpGet": {"readinessProbe": {"httpGet": {"path": "/", "port": "web"}, "timeoutSeconds": 5}},
        "tcpSocket": {"readinessProbe": {"tcpSocket": {"port": port}}},
        "exec": {"readinessProbe": {"exec": {"command": ["sh", "-c", 'test -n "$DAEMON"']}, "timeoutSeconds": 20}},
        "none": {},
    }
    serve = f"sleep 0.2; exec python -m http.server --bind 127.0.0.1 {port}"
    template = container(
        serve, ports=[{"name": "web", "containerPort": port}], env=[{"name": "DAEMON", "value": "1"}], **probes[kind]
    )
    with anyio.fail_after(60):
        async with yard.open() as executor:
            ended = yard.take(executor, {**template, "daemon": True})
            await until(lambda: yard.of(Ready))
            assert not ended.is_set()
            if kind in ("httpGet", "tcpSocket"):
                async with await anyio.connect_tcp("127.0.0.1", port):
                    pass
            executor.stop("r-1", "wf-1")
            await ended.wait()
    assert yard.of(Ready) == [Ready("wf-1", "127.0.0.1")]
    result = yard.of(TaskResult)[0]
    assert (result.phase, result.exit_code, result.message) == (Phase.Succeeded, None, "")


async def test_a_daemon_that_ends_by_itself_is_a_step_that_failed(yard: Yard) -> None:
    result = await yard.run(
        {**container("exit 4", readinessProbe={"tcpSocket": {"port": free_port()}}), "daemon": True}
    )
    assert (result.phase, result.message) == (Phase.Failed, "main: Error (exit code 4)")


@pytest.mark.parametrize("rung", RUNGS)
async def test_artifacts_go_in_and_out(tmp_path: Path, rung: Rung) -> None:
    yard = Yard(tmp_path, rung)
    made = await yard.run(
        {
            **container("mkdir -p /out/model; echo weights > /out/model/w; echo note > /out/note.txt"),
            "outputs": {
                "artifacts": [
                    {"name": "model", "path": "/out/model"},
                    {"name": "note", "path": "/out/note.txt", "archive": {"none": {}}},
                    {"name": "never", "path": "/out/never", "optional": True},
                ]
            },
        }
    )
    assert (made.phase, [one["name"] for one in made.artifacts]) == (Phase.Succeeded, ["model", "note"])
    inputs = [{**one, "path": f"/in/{one['name']}"} for one in made.artifacts]
    used = await yard.run(container("cat /in/model/w /in/note"), "wf-2", inputs=Inputs(artifacts=tuple(inputs)))
    assert (used.phase, used.result) == (Phase.Succeeded, "weights\nnote")


async def test_artifacts_of_a_failed_step_are_kept_too(yard: Yard) -> None:
    outputs = {"artifacts": [{"name": "a", "path": "/out/a"}, {"name": "b", "path": "/out/b"}]}
    result = await yard.run({**container("mkdir -p /out; echo 1 > /out/a; exit 2"), "outputs": outputs})
    assert (result.phase, result.message) == (Phase.Failed, "main: Error (exit code 2)")
    assert [one["name"] for one in result.artifacts] == ["a"]


async def test_a_missing_artifact_is_an_error_with_argos_words(yard: Yard) -> None:
    result = await yard.run({**container("true"), "outputs": {"artifacts": [{"name": "a", "path": "/tmp/x"}]}})
    assert (result.phase, result.exit_code, result.message) == (
        Phase.Error,
        0,
        "wait: Error (exit code 64): open /var/run/argo/outputs/artifacts/tmp/x.tgz: no such file or directory",
    )


async def test_a_missing_input_artifact_is_an_error_unless_it_is_optional(yard: Yard) -> None:
    lost: dict[str, Any] = {"name": "a", "path": "/in/a", "s3": {"key": "no/such/key"}}
    result = await yard.run(container("true"), inputs=Inputs(artifacts=(lost,)))
    assert result.phase is Phase.Error
    assert result.message.startswith("init: Error (exit code 64): artifact a failed to load: ")
    fine = await yard.run(container("test ! -e /in/a"), "wf-2", inputs=Inputs(artifacts=({**lost, "optional": True},)))
    assert fine.phase is Phase.Succeeded


@pytest.mark.parametrize("rung", RUNGS)
async def test_artifacts_may_lie_on_volumes_and_be_seen_by_all_of_a_set(tmp_path: Path, rung: Rung) -> None:
    yard = Yard(tmp_path, rung, volumeClaimTemplates=[{"metadata": {"name": "v"}}])
    raw = {"name": "a", "raw": {"data": "on disk"}}
    outputs = {"artifacts": [{"name": "o", "path": "/work/v/o"}]}
    made = await yard.run(
        {**container("cp /work/v/in /work/v/o", volumeMounts=[VOLUME]), "outputs": outputs},
        inputs=Inputs(artifacts=({**raw, "path": "/work/v/in"},)),
    )
    assert (made.phase, made.message) == (Phase.Succeeded, "")
    assert (yard.data / "claims" / "r-1" / "v" / "o").read_text() == "on disk"
    both = await yard.run(
        a_set(sh("cat /in/a", "other"), sh("cat /in/a", "main", dependencies=["other"])),
        "wf-2",
        inputs=Inputs(artifacts=({**raw, "path": "/in/a"},)),
    )
    assert (both.phase, both.result) == (Phase.Succeeded, "on disk")


@pytest.mark.parametrize("rung", RUNGS)
async def test_volumes_of_every_kind_are_there(tmp_path: Path, rung: Rung) -> None:
    yard = Yard(tmp_path, rung)
    (yard.project / "shared").mkdir()
    (yard.project / "shared" / "f").write_text("of the project")
    volumes = [
        {"name": "c", "configMap": {"name": "conf"}},
        {"name": "s", "secret": {"secretName": "keys"}},
        {"name": "p", "persistentVolumeClaim": {"claimName": "store"}},
        {"name": "h", "hostPath": {"path": str(yard.project / "shared")}},
        {"name": "d", "downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    mounts = [{"name": one["name"], "mountPath": f"/vol/{one['name']}"} for one in volumes]
    text = "cat /vol/c/greeting /vol/s/token /vol/h/f /vol/d/n; echo kept > /vol/p/file"
    result = await yard.run({**container(text, volumeMounts=mounts), "volumes": volumes})
    assert (result.phase, result.result) == (Phase.Succeeded, "hellot0kof the projectpod-wf-1")
    assert (yard.data / "volumes" / "store" / "file").read_text() == "kept\n"


async def test_claims_of_a_run_go_with_its_success_and_stay_for_a_retry(tmp_path: Path) -> None:
    yard = Yard(tmp_path, volumeClaimTemplates=[{"metadata": {"name": "v"}}])
    async with yard.open() as executor:
        await yard.take(executor, container("echo 1 > /work/v/f", volumeMounts=[VOLUME])).wait()
        claims = yard.data / "claims" / "r-1"
        await executor.finish(yard.step_run, succeeded=False)
        assert (claims / "v" / "f").exists()
        await executor.finish(yard.step_run, succeeded=True)
        assert not claims.exists()


async def test_references_in_arguments_are_filled_in(yard: Yard) -> None:
    env = [{"name": "A", "value": "one"}, {"name": "B", "value": "$(A)-two"}]
    result = await yard.run(container("echo $(B) $$(A) '$(ARGO_NODE_ID)'", env=env))
    assert result.result is not None
    assert result.result.startswith("one-two")
    assert result.result.endswith("wf-1")


async def test_progress_is_told(yard: Yard) -> None:
    result = await yard.run(container('echo 1/2 > "$ARGO_PROGRESS_FILE"; echo 2/2 >> "$ARGO_PROGRESS_FILE"'))
    assert result.phase is Phase.Succeeded
    assert yard.of(Progressed)[-1] == Progressed("wf-1", "2/2")


async def test_usage_is_measured(yard: Yard) -> None:
    result = await yard.run(
        {"script": {"image": "python:3", "command": ["python"], "source": "x = 'x' * 60_000_000\n"}}
    )
    assert result.usage["memory"] > 60_000_000
    assert result.usage["cpu"] > 0


async def test_the_log_is_kept_as_an_artifact_where_that_is_asked_for(yard: Yard) -> None:
    result = await yard.run({**container("echo logged; exit 1"), "archiveLocation": {"archiveLogs": True}})
    [artifact] = result.artifacts
    assert artifact["name"] == "main-logs"
    assert artifact["s3"]["key"] == "wf/pod-wf-1/main.log"


async def test_gpus_are_given_by_number(yard: Yard) -> None:
    asks = {"resources": {"limits": {"nvidia.com/gpu": 2}}}
    text = "echo $CUDA_VISIBLE_DEVICES; sleep 0.2"
    with anyio.fail_after(30):
        async with yard.open() as executor:
            for ended in [yard.take(executor, container(text, **asks), f"wf-{n}") for n in range(2)]:
                await ended.wait()
    assert sorted(one.result for one in yard.of(TaskResult)) == ["0,1", "2,3"]
    late = await yard.run(container("true", resources={"limits": {"nvidia.com/gpu": 5}}), "wf-9")
    assert (late.phase, late.message) == (
        Phase.Error,
        "it asks for 5 of nvidia.com/gpu and there are 4 here (pipelines.slots says how many)",
    )


async def test_a_pod_of_several_containers_is_found_again(tmp_path: Path) -> None:
    yard = Yard(tmp_path, limits=Limits(slots=4, grace_s=0.5, leave="keep"))
    go, log = yard.project / "go", '"$RETRAIN_PROJECT/log"'
    template = {
        **container(f"echo main >> {log}; until [ -e {go} ]; do sleep 0.02; done; echo fin"),
        "initContainers": [sh(f"echo init >> {log}", "prepare")],
        "sidecars": [sh(f"echo side >> {log}; exec sleep 1234", "db")],
    }
    with anyio.fail_after(60):
        async with yard.open() as executor:
            yard.take(executor, template)
            await until(lambda: len(yard.lines()) == 3)
        assert process.began(yard.home())
        async with yard.open() as executor:
            ended = yard.take(executor, template)
            await until(lambda: len(yard.of(Started)) == 2)
            go.touch()
            await ended.wait()
    result = yard.of(TaskResult)[-1]
    assert (result.phase, result.result) == (Phase.Succeeded, "fin")
    assert sorted((yard.project / "log").read_text().split()) == ["init", "main", "side"]


async def test_a_set_that_was_interrupted_runs_only_what_had_not_ended(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    go, log = yard.project / "go", '"$RETRAIN_PROJECT/log"'
    template = a_set(
        sh(f"echo a >> {log}", "a"),
        sh(f"echo main >> {log}; until [ -e {go} ]; do sleep 0.02; done", "main", dependencies=["a"]),
    )
    with anyio.fail_after(60):
        async with yard.open() as executor:
            yard.take(executor, template)
            await until(lambda: "main" in yard.lines())
        go.touch()
        async with yard.open() as executor:
            await yard.take(executor, template).wait()
    assert yard.of(TaskResult)[-1].phase is Phase.Succeeded
    assert (yard.project / "log").read_text().split() == ["a", "main", "main"]


async def test_a_deadline_ends_all_containers_of_a_pod(yard: Yard) -> None:
    template = {**container("exec sleep 1234"), "sidecars": [sh("exec sleep 1234", "db")]}
    result = await yard.run(template, deadline_s=0.3)
    assert (result.phase, result.message) == (
        Phase.Failed,
        "Pod was active on the node longer than the specified deadline",
    )


async def test_argosay_is_there_for_argos_examples(yard: Yard) -> None:
    body = {"image": "argoproj/argosay:v2", "args": ["echo", "hello", "/mnt/file"]}
    outputs = {"parameters": [{"name": "p", "valueFrom": {"path": "/mnt/file"}}]}
    assert (await yard.run({"container": body, "outputs": outputs})).parameters == {"p": "hello"}
    for node_id, more in [("wf-2", {}), ("wf-3", {"command": ["/argosay"]}), ("wf-4", {"command": ["argosay"]})]:
        assert (await yard.run({"container": {"image": "argoproj/argosay:v2", **more}}, node_id)).result == "hello argo"


async def test_a_script_lies_where_argo_puts_it(yard: Yard) -> None:
    body = {
        "image": "any",
        "command": ["sh", "-c"],
        "args": [". /argo/staging/script; echo $0"],
        "source": "echo sourced\n",
    }
    result = await yard.run({"script": body})
    assert (result.phase, result.result) == (Phase.Succeeded, "sourced\n/argo/staging/script")
