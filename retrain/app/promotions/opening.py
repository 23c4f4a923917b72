"""The promoter as the platform has it: with its place for Git, and what gates and checks ask with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from deploy import Promoter, PromotionDocument, Settings
from deploy.plan import place
from retrain.app.promotions.gate_tools import GateGround, open_gate_tools
from retrain.app.promotions.part import PromotionGround
from retrain.app.promotions.rollout_tools import RolloutGround, open_rollout_tools


def open_promoter(ground: PromotionGround, documents: Mapping[str, PromotionDocument]) -> Promoter:
    """The promoter, not yet started."""
    gates = GateGround(ground.store, ground.clock, ground.secrets, ground.project, ground.data, engine=ground.engine)
    checks = RolloutGround(ground.secrets, ground.project)
    return Promoter(
        ground.store,
        documents,
        place(ground.data, ground.project, os.environ, ground.secrets),
        clock=ground.clock,
        settings=Settings(owner=ground.owner),
        tools=partial(open_gate_tools, gates),
        outside=partial(open_rollout_tools, checks),
    )
