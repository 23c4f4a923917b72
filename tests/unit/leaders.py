"""Steps under real leaders, for tests: start one in a home of its own, and wait for it with a deadline."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pipelines.local.process import Command, Ending, Leader, ending
from pipelines.local.spawner import Spawner

PATIENCE_S = 30.0
ENV = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
_NUMBERS = count()


def await_end(leader: Leader) -> None:
    poll = select.poll()
    poll.register(leader.descriptor, select.POLLIN)
    assert poll.poll(PATIENCE_S * 1000), "the step did not end"


@dataclass
class Bench:
    """A spawner and a place for homes."""

    place: Path
    spawner: Spawner = field(default_factory=Spawner)

    def home(self) -> Path:
        home = self.place / f"home-{next(_NUMBERS)}"
        home.mkdir(parents=True)
        return home

    def start(self, home: Path, *argv: str, env: Mapping[str, str] = ENV, capture: bool = False) -> Leader:
        return self.spawner.launch(home, Command(argv, env, home, capture))

    def run(self, home: Path, *argv: str, env: Mapping[str, str] = ENV, capture: bool = False) -> Ending | None:
        return self.finish(home, self.start(home, *argv, env=env, capture=capture))

    def shell(self, home: Path, source: str, capture: bool = False) -> Ending | None:
        return self.run(home, "/bin/sh", "-c", source, capture=capture)

    def finish(self, home: Path, leader: Leader) -> Ending | None:
        await_end(leader)
        leader.close()
        return ending(home)


@contextmanager
def open_bench(place: Path) -> Iterator[Bench]:
    bench = Bench(place)
    try:
        yield bench
    finally:
        bench.spawner.close()
