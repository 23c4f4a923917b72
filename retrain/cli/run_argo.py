"""`retrain run --engine argo`: the same workflows on a cluster, where Argo's controller runs them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from pipelines.pictures.reading import OVER
from retrain.cli.run_interrupts import Interrupts, how_far, interrupted, open_interrupts
from retrain.cli.run_live import BAD, Echo, Steps, in_order, is_screen, open_tree, to_stderr
from retrain.cli.run_logs import readable
from retrain.cli.run_places import placed
from retrain.cli.run_print import Look, print_run
from retrain.errors import ConfigError, RetrainError

if TYPE_CHECKING:
    from pipelines.kubernetes.foreground import ClusterRun
    from retrain.kube import Cluster
    from retrain.manifests.document import Document

    Documents = Sequence[tuple[Document, str]]

LOG_LINES = 10
LOCAL_ONLY = ("any_image", "gpus", "slots", "jobs", "keep", "data")
"""Options that say how this machine runs the steps: a cluster has its own ways."""


def run_on_cluster(options: Mapping[str, Any], output: str, look: Look) -> int:
    """Run the workflows of the files one after the other, in the foreground; the exit status.

    Raises:
        ConfigError: an option is for this machine's engine alone, or the cluster does not take a manifest.
        Refused, NotFound, Transient: as the cluster says it.
    """
    if given := [name for name in LOCAL_ONLY if options[name]]:
        words = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"{words}: only this machine's engine knows it; leave it out with --engine argo")
    with open_interrupts() as interrupts:
        driver = _Driver(options, look, interrupts)
        ended = driver.run()
        for workflow in ended:
            print_run(workflow, output, look)
        if interrupts.came:
            click.echo(how_far(ended[-1] if ended else None, driver.ahead), err=True)
            return 130
    if options["dry_run"]:
        return 0
    return 0 if all(one["status"]["phase"] == "Succeeded" for one in ended) else 1


class _Driver:
    """Submits and follows, until all have ended or somebody interrupts."""

    def __init__(self, options: Mapping[str, Any], look: Look, interrupts: Interrupts) -> None:
        self._options = options
        self._look = look
        self._interrupts = interrupts
        self._ended: list[dict[str, Any]] = []
        self._now: dict[str, Any] | None = None
        self._echo: Echo = to_stderr
        self.ahead = 0
        """How many have not begun."""

    def run(self) -> list[dict[str, Any]]:
        """The Workflow objects as they ended, the last one perhaps cut off."""
        import anyio

        anyio.run(self._run)
        return self._ended

    async def _run(self) -> None:
        import anyio

        from retrain.kube import cluster

        refused: RetrainError | None = None
        async with anyio.create_task_group() as group:
            try:
                async with cluster() as opened:
                    runs, documents = runs_of(self._options, opened.namespace)
                    self.ahead = len(runs)
                    with anyio.CancelScope() as scope:
                        group.start_soon(self._attend, scope)
                        await self._all(opened, runs, documents)
                    if scope.cancelled_caught:
                        await self._cut_off(opened)
            except RetrainError as error:  # the group would wrap it
                refused = error
            group.cancel_scope.cancel()
        if refused is not None:
            raise refused

    async def _attend(self, scope: Any) -> None:
        await self._interrupts.next()
        self._echo("interrupted: terminating the workflow; once more leaves it to itself")
        scope.cancel()

    async def _cut_off(self, opened: Cluster) -> None:
        """End on the cluster what goes on there. A second interrupt leaves at once."""
        import anyio

        from pipelines.kubernetes.foreground import terminate, watch_to_end

        if self._now is None:
            return
        async with anyio.create_task_group() as group:

            async def leave() -> None:
                await self._interrupts.next()
                group.cancel_scope.cancel()

            group.start_soon(leave)
            with anyio.move_on_after(self._options["grace"]):
                await terminate(opened, self._now)
                self._now = await watch_to_end(opened, self._now, lambda _: None, to_stderr)
            group.cancel_scope.cancel()
        over = self._now["status"]["phase"] in OVER
        self._ended.append(self._now if over else interrupted(self._now))

    async def _all(self, opened: Cluster, runs: Sequence[ClusterRun], documents: Documents) -> None:
        from pipelines.kubernetes.foreground import submit, watch_to_end
        from pipelines.kubernetes.reading import unpacked
        from retrain.kube import Invalid

        for one in runs:
            try:
                submitted = await submit(opened, one, dry_run=self._options["dry_run"])
            except Invalid as error:
                raise placed(error, documents) from error
            self.ahead -= 1
            if self._options["dry_run"]:
                self._ended.append(unpacked(submitted))
                continue
            with self._shown() as see:
                self._now = unpacked(submitted)
                ended = await watch_to_end(opened, submitted, partial(self._seen, see), self._echo)
            await self._say_logs(opened, ended)
            self._ended.append(ended)
            self._now = None

    def _seen(self, steps: Steps | None, workflow: dict[str, Any]) -> None:
        self._now = workflow
        if steps is not None:
            for node in steps.ended(in_order(workflow)):
                steps.say(node)

    @contextmanager
    def _shown(self) -> Generator[Steps | None]:
        """A tree that moves, or lines."""
        wanted = self._options["watch"]
        if not (is_screen() if wanted is None else wanted):
            yield Steps(self._look)
            return
        with open_tree(lambda: self._now or {}, self._look) as echo:
            self._echo = echo
            yield None
        self._echo = to_stderr

    async def _say_logs(self, opened: Cluster, workflow: Mapping[str, Any]) -> None:
        """The end of what failed steps have printed: their pods may be gone soon."""
        from pipelines.kubernetes.foreground import end_of_log

        for node in in_order(workflow):
            if node.get("type") == "Pod" and node.get("phase") in BAD:
                log = await end_of_log(opened, workflow, node["id"], LOG_LINES)
                if log:
                    to_stderr(f"{node.get('displayName') or node['name']} printed at its end:")
                for line in log.splitlines():
                    to_stderr(f"    {readable(line)}")


def runs_of(options: Mapping[str, Any], namespace: str) -> tuple[list[ClusterRun], Documents]:
    """What to run, and the documents that it is of. `namespace`: where no manifest and no option says one.

    Raises:
        InvalidWorkflows, ConfigError: as for this machine's engine.
    """
    from pipelines.kubernetes.foreground import ClusterRun
    from retrain.cli import run_files

    project = run_files.load(options)
    wanted = run_files.wanted(project, options)
    for note in run_files.notes([one.manifest for one in wanted], options["parameters"]):
        click.echo(f"note: {note}", err=True)
    beside = run_files.beside(project, options)
    runs = [
        ClusterRun(one.manifest, one.name, _namespace(one.manifest, options, namespace), {}, beside) for one in wanted
    ]
    documents = run_files.documents(project, options)
    # Those of programs come last, and have no place in a file.
    return runs, [*zip(documents, [one.name for one in runs], strict=False), *run_files.documents_beside(project)]


def _namespace(manifest: Mapping[str, Any], options: Mapping[str, Any], otherwise: str) -> str:
    written = (manifest.get("metadata") or {}).get("namespace")
    asked = options["namespace"]
    if asked and written and asked != written:
        raise ConfigError(f"--namespace {asked}: the manifest says {written!r}; leave one out")
    return asked or written or otherwise
