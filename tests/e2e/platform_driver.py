"""A platform as its users have it: a `retrain up` process on a project in a folder, driven over HTTP and by signals.

    platform = Platform(tmp_path)                   # place/project, place/state, place/platform.log
    platform.write("sources.yaml", MANIFEST)
    with platform:                                  # starts it unless it runs; kills whatever is left at the end
        platform.post("/orders", {"n": 1}, {"Idempotency-Key": "1"})
        platform.wait(lambda: len(platform.items("firings")) == 1, "the sensor fires")
        platform.kill()                             # kill -9
        platform.start()                            # on the same state
        assert platform.stop() == 0                 # SIGTERM

Nothing here is async, and every wait has a deadline that fails the test with what was waited for.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")

RETRAIN = str(Path(sys.executable).with_name("retrain"))
PATIENCE_S = 60.0
LOOK_S = 0.02
"""Seconds between two looks at something that cannot be awaited from outside the platform."""
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}


class Unreachable(Exception):
    """The platform did not answer a request: it is down, or went down meanwhile."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the platform answered. `body` is the JSON in it, or its text."""

    status: int
    body: Any

    @property
    def taken(self) -> bool:
        """Whether it was a 2xx: for an event that means acknowledged."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Process:
    """A process that works in the platform's place: its command line, and the directory that it works in."""

    pid: int
    command: str
    folder: str


class Platform:
    """One platform in one folder, started and killed as often as a test likes."""

    def __init__(
        self, place: Path, *, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> None:
        self.place = place
        self.options = list(options)
        self.project = place / "project"
        self.data = place / "state"
        self.log = place / "platform.log"
        self.url = ""
        self.environment = dict(environment or {})
        self.starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.project.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Platform:
        if not self.running:
            self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.kill()
        self.sweep()
        if kind is not None:
            print(f"--- {self.log}:\n{self.last_lines(60)}")  # noqa: T201 - pytest shows it beside the failure

    def write(self, name: str, text: str) -> Path:
        """Put a manifest into the project."""
        file = self.project / name
        file.write_text(text)
        return file

    # --- its life ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        assert self._process is not None, "the platform is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *, fault: str | None = None, port: int = 0) -> None:
        """Start it and wait until it is ready. `fault` arms a fault point (`name` or `name:N`).

        Raises:
            AssertionError: it ended before it was ready, or it was not ready in time.
        """
        self.launch(fault=fault, port=port)
        self.await_ready()

    def launch(self, *, fault: str | None = None, port: int = 0) -> None:
        """Start it and do not wait: it may die before it is ready. `await_ready` or `await_death` comes next."""
        assert not self.running, "the platform runs already"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RETRAIN_")}
        environment |= {**GIT, **self.environment}
        if fault is not None:
            environment["RETRAIN_FAULT"] = fault
        words = [RETRAIN, "up", str(self.project), "--data", str(self.data), "--port", str(port), "-o", "json"]
        words += self.options
        self.url = ""
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment, bufsize=0
            )

    def await_ready(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it says where it is."""
        line = self._line(timeout_s)
        if not line:
            raise AssertionError(f"the platform ended with {self.await_death()}:\n{self.last_lines(30)}")
        self.url = json.loads(line)["url"]

    def is_ready_or_dead(self, timeout_s: float = PATIENCE_S) -> Literal["ready", "dead"]:
        """Wait until it says where it is, or is killed before."""
        line = self._line(timeout_s)
        if not line:
            code = self.await_death()
            assert code == -signal.SIGKILL, f"it ended by itself with {code}:\n{self.last_lines(30)}"
            return "dead"
        self.url = json.loads(line)["url"]
        return "ready"

    def _line(self, timeout_s: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"the platform was not ready in {timeout_s:g} s:\n{self.last_lines(30)}")
                part = self._process.stdout.read(4096)
                if not part:
                    return b""
                line += part
        return line

    def await_death(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait until it ends by itself; its exit code, -9 after SIGKILL."""
        assert self._process is not None
        code = self._process.wait(timeout_s)
        self._forget()
        return code

    def kill(self) -> None:
        """`kill -9` it, if it runs, and wait for its end. What it had started is left to fend for itself."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGKILL)
            self.await_death()

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """Ask it to end with SIGTERM; its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self.await_death(timeout_s)

    def sweep(self) -> None:
        """End whatever works in this place, and wait until it is gone: the next test must not meet it."""

        def gone() -> bool:
            left = self.processes()
            for one in left:
                self.kill_process(one.pid)
            return not left

        self.wait(gone, "everything that the platform had started is gone")

    def _forget(self) -> None:
        assert self._process is not None
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    # --- its processes -------------------------------------------------------------------------------------------

    def processes(self) -> list[Process]:
        """All living processes that work in this place: by their command line or their working directory."""
        found = (_look(int(entry.name), str(self.place)) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
        return [one for one in found if one is not None]

    def bus_processes(self) -> list[Process]:
        """The embedded nats-server."""
        return [one for one in self.processes() if "nats-server" in one.command]

    def step_processes(self) -> list[Process]:
        """Processes of steps: the leaders, and what they run."""
        runs = str(self.data / "runs")
        return [one for one in self.processes() if runs in one.command or _inside(one.folder, runs)]

    def git_processes(self) -> list[Process]:
        """The git commands of promotions, and what they start."""
        return [one for one in self.processes() if "git" in one.command.split(" ", 1)[0]]

    @staticmethod
    def kill_process(pid: int) -> bool:
        """`kill -9` one process; whether it was still there."""
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    # --- asking it -----------------------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> Answer:
        """One request. `body` is sent as it is if it is bytes, else as JSON. 4xx and 5xx are answers too.

        Raises:
            Unreachable: there was no whole answer. Whether the request was taken is not known.
        """
        if not self.url:
            raise Unreachable("it is not up")
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", content, dict(headers or {}), method=method)
        if content is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                return Answer(response.status, _parsed(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _parsed(error.read()))
        except (OSError, HTTPException) as error:
            raise Unreachable(f"{method} {path}: {error!r}") from error

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers to a GET.

        Raises:
            Unreachable: it did not answer.
            AssertionError: it answered with something else than 200.
        """
        words = f"?{urllib.parse.urlencode(query)}" if query else ""
        answer = self.send("GET", f"{path}{words}")
        assert answer.status == 200, f"GET {path}{words}: {answer}"
        return answer.body

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """A POST; see `send`."""
        return self.send("POST", path, body, headers)

    def emit(self, *events: Mapping[str, Any]) -> Answer:
        """Send CloudEvents to the API as one batch."""
        batch = json.dumps(events).encode()
        return self.post("/api/v1/events", batch, {"Content-Type": "application/cloudevents-batch+json"})

    def items(self, noun: str, **query: Any) -> list[dict[str, Any]]:
        """All items of a list (`events`, `firings`, `runs`, ...), newest first, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            words = {"limit": 500, **query} if cursor is None else {"limit": 500, **query, "cursor": cursor}
            page = self.get(f"/api/v1/{noun}", **words)
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                return found

    def command(self, *words: str, code: int = 0) -> str:
        """What a `retrain` command prints on stdout; it must end with `code`."""
        environment = {**os.environ, **self.environment, "RETRAIN_SERVER": self.url}
        done = subprocess.run([RETRAIN, *words], capture_output=True, text=True, env=environment, timeout=PATIENCE_S)
        assert done.returncode == code, f"retrain {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def rows(self, query: str, words: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of the store, read beside the platform whether it runs or not."""
        with closing(sqlite3.connect(f"file:{self.data / 'store.db'}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(query, words).fetchall()

    # --- waiting -------------------------------------------------------------------------------------------------

    def wait(self, look: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
        """Look until there is something true, and give it back. A platform that does not answer is looked at again."""
        deadline = time.monotonic() + timeout_s
        last: object = None
        while time.monotonic() < deadline:
            try:
                if found := look():
                    return found
                last = found
            except Unreachable as error:
                last = error
            time.sleep(LOOK_S)
        raise AssertionError(f"waited {timeout_s:g} s in vain until {what}; last seen: {last!r}\n{self.last_lines(30)}")

    def last_lines(self, count: int) -> str:
        """The end of the platform's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""


def git(where: Path, *words: str) -> str:
    """What a git command prints, without the user's settings."""
    done = subprocess.run(
        ["git", *words], cwd=where, capture_output=True, text=True, env={**os.environ, **GIT}, timeout=PATIENCE_S
    )
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
    return done.stdout


def make_repository(bare: Path, files: Mapping[str, str]) -> str:
    """Make a bare repository whose branch `main` has one commit with these files; that commit's id."""
    tree = bare.with_name(f"{bare.name}.tree")
    tree.mkdir(parents=True)
    git(tree, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    git(tree, "add", ".")
    git(tree, "-c", "user.name=Team", "-c", "user.email=team@localhost", "commit", "--quiet", "-m", "Begin")
    git(tree.parent, "clone", "--quiet", "--bare", tree.name, bare.name)
    return git(bare, "rev-parse", "main").strip()


def _look(pid: int, place: str) -> Process | None:
    """The process, if it lives and works in the place, and is not the test itself."""
    entry = Path(f"/proc/{pid}")
    if pid == os.getpid():
        return None
    try:
        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        folder = str((entry / "cwd").readlink())
    except OSError:
        return None
    works_here = place in command or _inside(folder, place)
    return Process(pid, command, folder) if works_here and state != "Z" else None


def _inside(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
