"""What comes after the commit, with a real Argo CD on a real cluster: it follows, and what it says is drawn upon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import PromotionDocument
from tests.e2e.argocd_world import ABSENT, EDITS, FILE, OTHER, Delivery, delivery, model
from tests.e2e.rollout_world import KUBECONFIG, rollout
from tests.integration.promotion_world import document
from tests.servers.cluster_server import ClusterServer
from tests.servers.launch import free_port
from tests.servers.proxy import proxy

pytestmark = [pytest.mark.integration, pytest.mark.slow]

ELSEWHERE = [{"file": OTHER, "path": "data.model", "value": "{{candidate.uri}}"}]
ON_TOP = """\
#!/bin/sh
# Once: a person commits on top of a push in the moment after it.
rm "$0"
read -r old new ref
export GIT_AUTHOR_NAME=Human GIT_AUTHOR_EMAIL=h@example.org GIT_COMMITTER_NAME=Human GIT_COMMITTER_EMAIL=h@example.org
git update-ref "$ref" "$(git commit-tree -p "$new" -m 'by hand' "$new^{tree}")" "$new"
"""


@pytest.fixture(scope="module")
def digits(argocd: ClusterServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    with delivery(argocd, tmp_path_factory.mktemp("argocd")) as found:
        yield found


def promotion(digits: Delivery, name: str, within: str = "60s", **changes: Any) -> PromotionDocument:
    check: dict[str, Any] = {"name": "synced", "kind": "argocd", "application": digits.space, "kubeconfig": KUBECONFIG}
    check |= {"every": "200ms", "degradedFor": "1s", **changes.pop("check", {})}
    terms = {"edits": EDITS, "gates": [], "verify": [check], "verifyWithin": within, **changes}
    return document(digits.remote.path, name=name, **terms)


async def test_a_good_commit_is_live_once_argocd_has_synced_it_and_it_is_healthy(
    digits: Delivery, tmp_path: Path
) -> None:
    async with rollout(tmp_path, digits.kubeconfig, promotion(digits, "good")) as world:
        row = await world.verified(await world.propose(model("good", "alpine"), name="good"))

        assert row.state == "live"
        assert digits.image() == "alpine"
        assert digits.application()["status"]["sync"]["revision"] == row.commit_sha
        assert row.verification["checks"][0]["figures"]["health"] == "Healthy"
        assert "dev.retrain.promotion.live" in [event.type for event in await world.events()]


async def test_a_commit_that_a_person_puts_on_top_counts_as_ours(digits: Delivery, tmp_path: Path) -> None:
    async with rollout(tmp_path, digits.kubeconfig, promotion(digits, "topped")) as world:
        digits.remote.hook("post-receive", ON_TOP)
        row = await world.verified(await world.propose(model("topped"), name="topped"))

        assert row.state == "live"
        assert digits.application()["status"]["sync"]["revision"] == digits.remote.tip() != row.commit_sha


@pytest.mark.parametrize(
    ("name", "bad", "reason"),
    [
        ("refused", model("refused-bad", version="no label!"), "a valid label must"),
        ("degraded", model("degraded-bad", ABSENT), "Degraded at"),
    ],
)
async def test_what_argocd_cannot_bring_up_is_rolled_back_by_it_and_held(
    digits: Delivery, tmp_path: Path, name: str, bad: dict[str, Any], reason: str
) -> None:
    async with rollout(tmp_path, digits.kubeconfig, promotion(digits, name)) as world:
        good = await world.verified(await world.propose(model(f"{name}-good"), name=name))
        assert good.state == "live"

        row = await world.until(await world.propose(bad, name=name), lambda row: row.state == "rolled-back")
        back = await world.rollback_of(row)

        assert row.verification["outcome"] == "failed"
        assert reason in row.verification["reason"]
        assert (back.action, back.state) == ("rollback", "live")
        assert digits.remote.show(FILE, back.commit_sha) == digits.remote.show(FILE, good.commit_sha)
        assert digits.image() == "busybox"
        assert row.id in await world.hold(name)


async def test_a_sync_that_never_comes_is_a_time_out_and_nothing_is_rolled_back(
    digits: Delivery, tmp_path: Path
) -> None:
    digits.sync_by_itself(False)
    try:
        async with rollout(tmp_path, digits.kubeconfig, promotion(digits, "unsynced", within="3s")) as world:
            row = await world.verified(await world.propose(model("unsynced"), name="unsynced"))

            assert (row.state, row.verification["outcome"]) == ("unhealthy", "timeout")
            assert "not verified within 3s" in row.reason
            assert "the Application does not sync by itself" in row.reason
            assert digits.remote.tip() == row.commit_sha
            assert row.id in await world.hold("unsynced")
    finally:
        digits.sync_by_itself(True)


async def test_who_cannot_see_argocd_does_not_judge(digits: Delivery, tmp_path: Path) -> None:
    """The Application is absent, or the API server cannot be reached: an error, and the commit stays."""
    away = yaml.safe_load(digits.kubeconfig)
    away["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    absent = promotion(digits, "absent", within="2s", edits=ELSEWHERE, check={"application": "nowhere"})
    blind = promotion(
        digits, "blind", within="2s", edits=ELSEWHERE, check={"kubeconfig": {"name": "away", "key": "config"}}
    )
    async with rollout(tmp_path, digits.kubeconfig, absent, blind, secrets={"away": yaml.safe_dump(away)}) as world:
        rows = {name: await world.verified(await world.propose(model(name), name=name)) for name in ("absent", "blind")}

        assert {name: (row.state, row.verification["outcome"]) for name, row in rows.items()} == dict.fromkeys(
            rows, ("unhealthy", "error")
        )
        assert 'applications.argoproj.io "nowhere" not found' in rows["absent"].reason
        assert "cannot be reached" in rows["blind"].reason
        assert digits.remote.tip() == rows["blind"].commit_sha
        assert all("nothing was rolled back" in row.reason for row in rows.values())


async def test_an_outage_in_between_is_waited_for(digits: Delivery, tmp_path: Path) -> None:
    """The API server is away when the commit comes: no verdict, until it is back and Argo CD says what it is."""
    config = yaml.safe_load(digits.kubeconfig)
    nowhere = f"127.0.0.1:{free_port()}"
    check = {"kubeconfig": {"name": "through", "key": "config"}}
    async with proxy(nowhere) as between:
        target = config["clusters"][0]["cluster"]["server"].removeprefix("https://")
        config["clusters"][0]["cluster"]["server"] = f"https://{between.address}"
        secrets = {"through": yaml.safe_dump(config)}
        outage = promotion(digits, "outage", check=check)
        async with rollout(tmp_path, digits.kubeconfig, outage, secrets=secrets) as world:
            row = await world.until(await world.propose(model("outage"), name="outage"), is_in_error)
            assert (row.state, row.verification["outcome"]) == ("committed", "pending")

            between.target = target
            row = await world.verified(row.id)

    assert row.state == "live"


def is_in_error(row: Any) -> bool:
    return row.state == "committed" and any(one["verdict"] == "error" for one in row.verification["checks"])
