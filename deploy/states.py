"""The states of a promotion and where each may go. One table; whatever changes a state asks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

State = Literal[
    "proposed",
    "gating",
    "awaiting",
    "committing",
    "open",
    "committed",
    "stepping",
    "live",
    "unhealthy",
    "refused",
    "rejected",
    "failed",
    "superseded",
    "noop",
    "rolled-back",
]

_ENDS_WITHOUT_COMMIT = frozenset[State]({"refused", "failed", "superseded"})

LEGAL: Mapping[State, frozenset[State]] = {
    "proposed": frozenset({"gating", "rejected", *_ENDS_WITHOUT_COMMIT}),
    "gating": frozenset({"gating", "awaiting", "committing", "committed", "noop", "rejected", *_ENDS_WITHOUT_COMMIT}),
    "awaiting": frozenset({"awaiting", "committing", "open", "committed", "noop", "rejected", *_ENDS_WITHOUT_COMMIT}),
    "committing": frozenset({"gating", "awaiting", "committing", "open", "committed", "noop", *_ENDS_WITHOUT_COMMIT}),
    "open": frozenset(
        {"gating", "awaiting", "committing", "open", "committed", "noop", "rejected", *_ENDS_WITHOUT_COMMIT}
    ),
    "committed": frozenset({"committed", "stepping", "live", "unhealthy", "rolled-back"}),
    "stepping": frozenset({"stepping", "committed", "unhealthy", "rolled-back"}),
    "live": frozenset({"rolled-back"}),
    "unhealthy": frozenset({"committed", "live", "rolled-back"}),
    "refused": frozenset(),
    "rejected": frozenset(),
    "failed": frozenset(),
    "superseded": frozenset(),
    "noop": frozenset(),
    "rolled-back": frozenset(),
}
"""`gating` again is what a lost race leads to. From `gating` and `awaiting` a promotion may turn out to be `committed`:
a push that nobody saw the end of. Nobody rejects what is `committing`: its commit may be in the branch already. `open`:
its pull request is. `live`: what was committed is verified; `unhealthy`: it is not, and where a person asks to look
once more it is `committed` again. `stepping`: the next step of its canary is being committed, those before are in the
branch."""

OPEN = frozenset[State]({"proposed", "gating", "awaiting", "committing", "open", "stepping"})
"""Not over yet: a promoter works on it, or waits."""

WAITING = frozenset[State]({"awaiting", "open"})
"""Judged and on its way: what waits for people or times, here or on a forge."""

IN_BRANCH = frozenset[State]({"committed", "stepping", "live", "unhealthy"})
"""The commit is in the branch, and was not taken back."""

TERMINAL = frozenset[State](state for state, after in LEGAL.items() if not after)
"""Over for good. What is in the branch is over too, but may still be rolled back."""


def may(before: str, after: State) -> bool:
    """Whether a promotion in the state `before` (as the store has it) may become `after`."""
    return before in into(after)


def into(state: State) -> frozenset[State]:
    """The states from which `state` may be reached."""
    return frozenset(before for before in get_args(State) if state in LEGAL[before])
