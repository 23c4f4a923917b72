"""A Prometheus server, and the figures that it reads."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.http_server import HttpServer, http_server
from tests.servers.program import Program, running

USER, PASSWORD = "ann", "hunter22"
WEB = "basic_auth_users: {ann: '$2b$04$abcdefghijklmnopqrstuunBMgByaIAZYuFgMUjBx8aaeU/9We5xa'}\n"
"""What makes it ask for that login; the password is hashed by bcrypt."""


@dataclass
class PrometheusServer:
    """`figures` are the values of the series `score{test, name}`; `show` after a change."""

    program: Program
    target: HttpServer
    figures: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.program.address}"

    def show(self) -> None:
        lines = [f'score{{test="{test}",name="{name}"}} {value}' for (test, name), value in self.figures.items()]
        self.target.documents["/metrics"] = "".join(f"{line}\n" for line in lines).encode()

    def kill(self) -> None:
        self.program.kill()

    def start(self) -> None:
        self.program.start()


@contextmanager
def prometheus(data: Path) -> Generator[PrometheusServer]:
    there = shutil.which("prometheus") is not None
    data.mkdir(parents=True)
    (data / "web.yml").write_text(WEB)
    with http_server(etags=False, documents={"/metrics": b""}) as target:
        program = Program("prometheus", data, words=[f"127.0.0.1:{target.port}", str(data / "web.yml")])
        with running(program, there=there, how="run tests/servers/prometheus.sh install"):
            yield PrometheusServer(program, target)
