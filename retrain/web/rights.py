"""What each route needs: a right, and over what. Pure; a test walks all routes and asks for a line of each here.

`over` is where the thing's namespace comes from:

    ""           it has none: the right must count everywhere
    list         things of several namespaces: whoever may look into one gets those of it
    seam         the action says: `retrain.app.access.minding` asks once more when it knows what it is about
    own          what belongs to whoever asks
    run:name     the run that the path or the query calls `name`; so with sensor, firing, promotion and target
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from retrain.app.access.spaces import Thing
from retrain.identity import Principal, Right

Answer = Literal["yes", "no", "ask"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route needs."""

    right: Right
    over: str = ""

    @property
    def thing(self) -> tuple[Thing, str] | None:
        """What kind of thing it is about, and the word of the path or the query that names it."""
        kind, colon, word = self.over.partition(":")
        return (cast("Thing", kind), word) if colon else None


LOOK, LIST, OWN = Rule("viewer"), Rule("viewer", "list"), Rule("viewer", "own")
DO, DO_THERE = Rule("operator"), Rule("operator", "seam")
SAY, APPROVE = Rule("viewer", "seam"), Rule("approver", "seam")
RUN, SENSOR, FIRING = Rule("viewer", "run:name"), Rule("viewer", "sensor:name"), Rule("viewer", "firing:firing_id")
PROMOTION = Rule("viewer", "promotion:name")

ANYBODY = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that answer whoever asks."""
ENTRY = "/ui/login"
"""What somebody needs to come in begins with this."""

API: Mapping[str, Rule] = {
    "GET /openapi.json": LIST,
    "GET /api/v1/runs": LIST,
    "GET /api/v1/runs/{name}": RUN,
    "GET /api/v1/runs/{name}/logs": RUN,
    "GET /api/v1/runs/{name}/artifacts/{node}/{artifact}": RUN,
    **{
        f"POST /api/v1/runs/{{name}}/{verb}": DO_THERE
        for verb in ("stop", "resume", "set", "retry", "resubmit", "{verb}")
    },
    "GET /api/v1/runs/{name}/artifacts/{node}/{artifact}/look": RUN,
    "GET /api/v1/crons": LIST,
    "GET /api/v1/crons/{name}": SAY,
    **{f"POST /api/v1/crons/{{name}}/{verb}": DO_THERE for verb in ("suspend", "resume", "run")},
    "GET /api/v1/sensors": LIST,
    "GET /api/v1/sensors/{name}": SENSOR,
    "POST /api/v1/sensors/replay": LOOK,
    "GET /api/v1/firings": LIST,
    "GET /api/v1/firings/{firing_id}": FIRING,
    "GET /api/v1/firings/{firing_id}/events": FIRING,
    "POST /api/v1/firings/{firing_id}/{verdict}": APPROVE,
    "GET /api/v1/promotions": LIST,
    "GET /api/v1/promotions/{name}": PROMOTION,
    "GET /api/v1/promotions/{name}/gates.svg": PROMOTION,
    "POST /api/v1/promotions/{name}/approve": SAY,
    "POST /api/v1/promotions/{name}/reject": SAY,
    "POST /api/v1/promotions/{name}/waive": SAY,
    "POST /api/v1/promotions/{name}/{verb}": DO_THERE,
    "GET /api/v1/holds": LIST,
    "GET /api/v1/tokens": OWN,
    "POST /api/v1/tokens": OWN,
    "DELETE /api/v1/tokens/{token_id}": OWN,
    "GET /api/v1/sessions": OWN,
    "DELETE /api/v1/sessions": OWN,
    "DELETE /api/v1/sessions/{session_id}": OWN,
    "GET /api/v1/me": OWN,
    "POST /api/v1/events": DO,
    "POST /api/v1/events/{namespace}/{discriminator}": DO,
    "POST /api/v1/event/again": DO,
    "POST /api/v1/deadletters/redrive": DO,
    "POST /api/v1/deadletters/{letter_id}/redrive": DO,
    "POST /api/v1/reload": DO,
    "POST /api/v1/support-bundle": DO,
    "POST /api/v1/backup": Rule("admin"),
    "GET /problems/{kind}": LIST,
    **dict.fromkeys(
        (
            "GET /api/v1/health",
            "GET /api/v1/events",
            "GET /api/v1/events/tail",
            "GET /api/v1/event",
            "GET /api/v1/event/case",
            "GET /api/v1/graph",
            "GET /api/v1/sources/{name}",
            "GET /api/v1/held",
            "GET /api/v1/compare",
            "GET /api/v1/checks",
            "GET /api/v1/sources",
            "GET /api/v1/removed",
            "GET /api/v1/models",
            "GET /api/v1/models/{name}",
            "GET /api/v1/models/{name}/history.svg",
            "GET /api/v1/approvals",
            "GET /api/v1/deadletters",
            "GET /api/v1/deadletters/{letter_id}",
            "GET /api/v1/deadletters/{letter_id}/body",
            "GET /api/v1/overview",
            "GET /api/v1/find",
            "GET /api/v1/trace",
            "GET /api/v1/audit",
        ),
        LOOK,
    ),
}

PAGE: Mapping[str, Rule] = {
    "GET /": LIST,
    "GET /ui/login": OWN,
    "POST /ui/login": OWN,
    "GET /ui/login/begin": OWN,
    "GET /ui/login/callback": OWN,
    "GET /ui": LIST,
    "GET /ui/live": LIST,
    "GET /ui/runs": LIST,
    "GET /ui/run": RUN,
    "GET /ui/run/log": RUN,
    **dict.fromkeys(
        ("GET /ui/run/logs", "GET /ui/run/artifact", "GET /ui/run/artifact/body", "GET /ui/run/again"), RUN
    ),
    "GET /ui/run/delete": RUN,
    **{f"POST /ui/runs/{verb}": DO_THERE for verb in ("retry", "resubmit", "answer", "delete", "{verb}")},
    "GET /ui/sensors": LIST,
    "GET /ui/sensor": SENSOR,
    "POST /ui/sensor/try": LOOK,
    "POST /ui/sensor/try/file": LOOK,
    "GET /ui/firings": LIST,
    "POST /ui/firings/{verdict}": APPROVE,
    "GET /ui/firing": Rule("viewer", "firing:id"),
    "GET /ui/promotions": LIST,
    "GET /ui/promotion": Rule("viewer", "promotion:id"),
    "POST /ui/promotions/approve": SAY,
    "POST /ui/promotions/reject": SAY,
    "POST /ui/promotions/waive": SAY,
    "POST /ui/promotions/{verb}": DO_THERE,
    "POST /ui/targets/propose": DO_THERE,
    "POST /ui/targets/{verb}": DO_THERE,
    "GET /ui/tokens": OWN,
    "POST /ui/tokens/create": OWN,
    "POST /ui/tokens/revoke": OWN,
    "POST /ui/sessions/end": OWN,
    "POST /ui/logout": OWN,
    "GET /ui/deadletters/redrive": DO,
    "POST /ui/deadletters/redrive": DO,
    "POST /ui/deadletters/redrive-all": DO,
    "POST /ui/events/again": DO,
    **dict.fromkeys(
        (
            "GET /ui/",
            "GET /ui/event",
            "GET /ui/event/case",
            "GET /ui/models",
            "GET /ui/model",
            "GET /ui/approvals",
            "GET /ui/propose",
            "GET /ui/health",
            "GET /ui/runs/compare",
            "GET /ui/source",
            "GET /ui/graph",
            "GET /ui/sensor/try",
            "GET /ui/events",
            "GET /ui/find",
            "GET /ui/trace",
            "GET /ui/deadletter",
            "GET /ui/deadletters",
            "GET /ui/audit",
        ),
        LOOK,
    ),
}


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))


TABLE: Mapping[str, Rule] = {**API, **PAGE}
_EXACT = {route: rule for route, rule in TABLE.items() if "{" not in route}
_PATTERNS = [(_pattern(route), rule) for route, rule in TABLE.items() if "{" in route]
# A page's form of a verb says in its name what it is; the first line that fits counts.


def is_entry(path: str) -> bool:
    """Whether a path is what somebody needs to log in at the page."""
    return path == ENTRY or path.startswith((f"{ENTRY}/", "/ui/static/"))


def rule_of(method: str, path: str) -> tuple[Rule, Mapping[str, str]]:
    """What a request needs, and the words of its path. A route that is in no table: to look, viewer; else operator."""
    verb = "GET" if method in {"HEAD", "OPTIONS"} else method
    asked = f"{verb} {path}"
    if (exact := _EXACT.get(asked)) is not None:
        return exact, {}
    for pattern, rule in _PATTERNS:
        if (found := pattern.fullmatch(asked)) is not None:
            return rule, found.groupdict()
    return (LOOK if verb == "GET" else DO), {}


def decide(who: Principal, rule: Rule) -> Answer:
    """Whether they may; `ask`: it depends on the namespace of the thing."""
    if rule.over == "own":
        return "yes" if who.roles else "no"
    if not who.narrow:
        return "yes" if who.may(rule.right) else "no"
    if rule.thing is not None:
        return "ask"
    if rule.over in {"list", "seam"} and any(who.may(rule.right, one) for one in _named(who)):
        return "yes"
    return "yes" if who.may(rule.right) else "no"


def _named(who: Principal) -> set[str]:
    return {one.partition("@")[2] for one in who.roles if "@" in one}
