"""What a person sees of a run in the foreground: a tree that moves on a terminal, one line for each step elsewhere.

Either way the end of the log of what fails is said at once.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.pictures.reading import OVER
from retrain.cli.run_live import BAD, Echo, Steps, is_screen, open_tree, to_stderr
from retrain.cli.run_logs import readable
from retrain.cli.run_print import Look

if TYPE_CHECKING:
    from pipelines.core.engine import Decision, Run
    from pipelines.core.nodes import Node

LOG_LINES = 10
WAITS = "waits for a person, whom nothing lets in here: give it a `duration`, or run it on a platform; Ctrl-C ends it"


class View(Protocol):
    """Sees the run after every change."""

    def show(self, decision: Decision) -> None: ...
    def say(self, text: str) -> None:
        """Say a line that is not of the run, where it does not disturb what is drawn."""
        ...


@contextmanager
def open_view(home: Path, look: Look, *, tree: bool | None = None) -> Generator[View]:
    """The view that fits stderr, or the one that is asked for. `home` is where the steps' directories are."""
    if not (is_screen() if tree is None else tree):
        yield Lines(home, look)
        return
    picture = Picture()
    with open_tree(picture.workflow, look) as echo:
        yield _Both(picture, Lines(home, look, quiet=True, echo=echo))


class Picture:
    """The run as a Workflow object that follows it change by change: a change costs what it changes."""

    def __init__(self) -> None:
        self._run: Run | None = None
        self._nodes: dict[str, dict[str, Any]] = {}

    def show(self, decision: Decision) -> None:
        """Take what has changed."""
        run = self._run = decision.run
        for node_id in decision.changed:
            node = self._nodes[node_id] = exact(run.nodes[node_id])
            node["children"] = list(run.children.get(node_id, ()))
        fresh = frozenset(decision.changed)
        for parent, child in decision.edges:
            if parent not in fresh and parent in self._nodes:
                self._nodes[parent]["children"].append(child)

    def workflow(self) -> dict[str, Any]:
        """As it is now. From another thread too: the nodes are copied in one go."""
        run = self._run
        if run is None:
            return {"metadata": {}, "spec": {}, "status": {"phase": "Pending"}}
        status = {
            "phase": str(run.phase),
            "startedAt": run.started_at.isoformat() if run.started_at else None,
            "finishedAt": run.finished_at.isoformat() if run.finished_at else None,
            "nodes": dict(self._nodes),
        }
        return {"metadata": {"name": run.plan.name}, "spec": {"suspend": run.suspended}, "status": status}


class Lines:
    """Says each step's end, and the end of the log of one that failed; `quiet`: only of those that failed."""

    def __init__(self, home: Path, look: Look, *, quiet: bool = False, echo: Echo = to_stderr) -> None:
        self._home = home
        self._quiet = quiet
        self._echo = echo
        self._steps = Steps(look, echo)
        self._waits: set[str] = set()

    def show(self, decision: Decision) -> None:
        """Say what has ended."""
        changed = (decision.run.nodes[node_id] for node_id in decision.changed)
        for node in self._steps.ended([exact(node) for node in changed if node.phase in OVER]):
            bad = node.get("phase") in BAD
            if bad or not self._quiet:
                self._steps.say(node)
            if bad and node.get("type") == "Pod":
                self._say_log(node)
        if decision.run.parked and decision.wake_at is None and not decision.run.ended:
            self._say_waits(decision.run)

    def _say_waits(self, run: Run) -> None:
        """Only people can let the run go on, and none of them reaches a run in the foreground."""
        waits = [node for node in run.nodes.values() if node.type == "Suspend" and node.phase not in OVER]
        for node in waits:
            if node.id not in self._waits:
                self._echo(f"{node.display_name} {WAITS}")
        self._waits.update(node.id for node in waits)

    def say(self, text: str) -> None:
        """Say a line."""
        self._echo(text)

    def _say_log(self, node: Mapping[str, Any]) -> None:
        from pipelines.local.logs import read_tail
        from pipelines.local.workspace import container_homes, open_workspace

        for name, home in container_homes(open_workspace(self._home, node["id"])).items():
            said = "" if name == "main" else f"{name}: "
            for line in read_tail(home / "main.log", LOG_LINES).splitlines():
                self._echo(f"    {said}{readable(line)}")


class _Both:
    def __init__(self, picture: Picture, lines: Lines) -> None:
        self._picture = picture
        self._lines = lines

    def show(self, decision: Decision) -> None:
        self._picture.show(decision)
        self._lines.show(decision)

    def say(self, text: str) -> None:
        self._lines.say(text)


def exact(node: Node) -> dict[str, Any]:
    """A node as Argo writes it, with times to the microsecond: steps here often take less than a second."""
    return {**node.to_argo(), **_times(node)}


def with_exact_times(workflow: dict[str, Any], run: Run) -> dict[str, Any]:
    """The Workflow object of a run for people and pictures."""
    status = workflow["status"]
    nodes: dict[str, dict[str, Any]] = {}
    for node_id, body in (status.get("nodes") or {}).items():
        nodes[node_id] = {**body, **_times(run.nodes[node_id])}
    return {**workflow, "status": {**status, **_times(run), "nodes": nodes}}


def _times(of: Node | Run) -> dict[str, str]:
    both = (("startedAt", of.started_at), ("finishedAt", of.finished_at))
    return {key: time.isoformat() for key, time in both if time is not None}
