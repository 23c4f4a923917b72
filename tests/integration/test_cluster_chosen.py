"""Which platforms act on a cluster: those that were told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain.app.kubernetes.part import POD, Kubernetes
from retrain.app.settings import KubernetesGroup
from retrain.clock import SystemClock
from retrain.errors import ConfigError
from retrain.store import open_store
from retrain.store.runs import Engine

pytestmark = pytest.mark.integration

CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "production", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
    "contexts": [{"name": "mine", "context": {"cluster": "production", "user": "me", "namespace": "live"}}],
    "current-context": "mine",
}


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In reach of kubectl."""
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(CONFIG))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.delenv(POD, raising=False)
    return path


async def test_a_kubeconfig_in_reach_is_no_order_to_act_there(kubeconfig: Path, tmp_path: Path) -> None:
    async with open_store(tmp_path / "store.db") as store:
        kubernetes = Kubernetes(KubernetesGroup(), "local", store, SystemClock())

        with pytest.raises(ConfigError, match="no cluster is chosen for this platform"):
            await kubernetes.chosen()


@pytest.mark.parametrize(
    ("settings", "engine"), [({"namespace": "ml"}, "local"), ({"kubeconfig": "there"}, "local"), ({}, "argo")]
)
async def test_who_says_so_acts_there(
    kubeconfig: Path, tmp_path: Path, settings: dict[str, Any], engine: Engine
) -> None:
    given: dict[str, Any] = {**settings, **({"kubeconfig": kubeconfig} if "kubeconfig" in settings else {})}
    async with open_store(tmp_path / "store.db") as store:
        kubernetes = Kubernetes(KubernetesGroup(**given), engine, store, SystemClock())

        try:
            assert (await kubernetes.chosen()).namespace == "live"
        finally:
            await kubernetes.aclose()
