"""What comes after the commit, with Flux's real controllers on a real cluster, that fetch from Git by https."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy import PromotionDocument
from tests.e2e.argocd_world import ABSENT, EDITS, FILE, model
from tests.e2e.flux_world import FluxDelivery, flux_delivery
from tests.e2e.rollout_world import KUBECONFIG, rollout
from tests.integration.promotion_world import document
from tests.servers.cluster_server import ClusterServer

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def digits(flux: ClusterServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FluxDelivery]:
    with flux_delivery(flux, tmp_path_factory.mktemp("flux")) as found:
        yield found


def promotion(digits: FluxDelivery, name: str, within: str = "60s", **check: Any) -> PromotionDocument:
    """The promoter pushes to the repository itself, Flux fetches it through the server."""
    one: dict[str, Any] = {"name": "applied", "kind": "flux", "kustomization": "digits", "namespace": digits.space}
    one |= {"kubeconfig": KUBECONFIG, "every": "200ms", "degradedFor": "1s", **check}
    return document(digits.remote.path, name=name, edits=EDITS, gates=[], verify=[one], verifyWithin=within)


async def test_a_commit_is_live_once_flux_has_applied_it_and_taken_back_where_it_is_never_ready(
    digits: FluxDelivery, tmp_path: Path
) -> None:
    async with rollout(tmp_path, digits.kubeconfig, promotion(digits, "flux")) as world:
        good = await world.verified(await world.propose(model("flux-good", "alpine"), name="flux"))
        image = digits.image()
        row = await world.until(
            await world.propose(model("flux-bad", ABSENT), name="flux"), lambda row: row.state == "rolled-back"
        )
        back = await world.rollback_of(row)

        assert (good.state, image) == ("live", "alpine")
        assert good.verification["checks"][0]["figures"]["applied"] == f"main@sha1:{good.commit_sha}"
        assert "HealthCheckFailed" in row.verification["reason"]
        assert (back.action, back.state) == ("rollback", "live")
        assert digits.remote.show(FILE, back.commit_sha) == digits.remote.show(FILE, good.commit_sha)
        assert digits.image() == "alpine"
        assert row.id in await world.hold("flux")


async def test_a_source_that_is_suspended_and_a_kustomization_that_is_absent_roll_nothing_back(
    digits: FluxDelivery, tmp_path: Path
) -> None:
    idle, absent = promotion(digits, "idle", "2s"), promotion(digits, "absent", "2s", kustomization="nowhere")
    digits.suspend(True)
    try:
        async with rollout(tmp_path, digits.kubeconfig, idle, absent) as world:
            rows = {name: await world.verified(await world.propose(model(name), name=name)) for name in world.documents}
    finally:
        digits.suspend(False)

    assert {name: (row.state, row.verification["outcome"]) for name, row in rows.items()} == {
        "idle": ("unhealthy", "timeout"),
        "absent": ("unhealthy", "error"),
    }
    assert "it or its source is suspended" in rows["idle"].reason
    assert '"nowhere" not found' in rows["absent"].reason
    assert digits.remote.tip() == rows["absent"].commit_sha
