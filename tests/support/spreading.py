"""How the tests are spread over the workers: what shares something that takes long to start goes to one of them.

xdist's own groups are a mark that it writes behind the test's id, which pytest 9.2 does not let it do any more; so the
ids themselves say it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

SLOW_TO_START = (
    *("argo_cluster", "argocd", "azurite", "cluster", "flux", "gcs_and_pubsub", "gitea_server", "kafka"),
    *("minio_server", "mlflow_server", "moto_server", "pubsub_emulator", "rabbitmq"),
)
"""Servers, by their fixtures in tests/servers/fixtures.py. Each worker that asks for one starts its own."""

_SHARED = re.compile(rf"""scope="module"|\b(?:{"|".join(SLOW_TO_START)}): [A-Z]""")  # as a parameter's annotation
_NETWORKED = re.compile(r"""\b(?:argo_cluster|argocd|cluster|flux|docker): [A-Z]|page_browser import|docker_engine""")
_LAB = re.compile(r"\bkube_lab\b")
_API = re.compile(r"\bkube_api: [A-Z]")
_KIND = re.compile(r"\[(\w+)")
_SMALL = "tests/unit/"


class Spreading(LoadScopeScheduling):
    """Hands out units of work; see `group_of`."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(self.config.rootpath, nodeid)


def group_of(root: Path, nodeid: str) -> str:
    """The unit of work that a test belongs to: a kind of source, a file, or the test alone.

    What takes milliseconds goes by files too: a message for each would cost more than the test.
    """
    file = nodeid.partition("::")[0]
    if _has(root / file, _NETWORKED):
        # Clusters and containers make network interfaces, and a browser drops what it loads when one comes or goes.
        return "network"
    if _has(root / file, _LAB):
        return "lab"  # an API server, its etcd and a controller: one of each is enough for two cores
    if _has(root / file, _API):
        return "api"  # the same
    kind = _KIND.search(nodeid) if file.startswith("tests/contract/test_sources") else None
    if kind is not None:
        return f"{file}[{kind[1]}]"
    return file if file.startswith(_SMALL) or _has(root / file, _SHARED) else nodeid


@cache
def _has(file: Path, what: re.Pattern[str]) -> bool:
    return what.search(file.read_text()) is not None
