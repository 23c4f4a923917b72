"""What a pull request says: its title, its text, and the statuses beside its commit. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from deploy import derive, render
from deploy.derive import Derived, Intent
from deploy.forges import PullRequestSpec, Status, words
from deploy.forges.port import StatusState
from deploy.forges.words import ChangeLine, Gate, Story
from deploy.names import one_line
from deploy.spec import PromotionDocument

MAX_STATUSES = 20
"""Gates that get a status of their own; the text names all."""
CONTEXT = "retrain"

_STATES: dict[str, StatusState] = {"pass": "success", "skipped": "success", "pending": "pending", "error": "error"}


@dataclass(frozen=True, slots=True)
class Text:
    """A pull request's title and text. `message`: of the commit that a merge or a squash makes."""

    title: str
    body: str
    message: str

    @property
    def digest(self) -> str:
        """Another one, if title or text is."""
        return sha256(f"{self.title}\n{self.body}".encode()).hexdigest()[:16]


def text(document: PromotionDocument, intent: Intent, derived: Derived) -> Text:
    """What to write for what was derived as a commit.

    Raises:
        ConfigError: the candidate lacks what the title asks for.
    """
    story = _story(document, intent, derived)
    return Text(words.title(story), words.body(story), derived.message)


def title(document: PromotionDocument, intent: Intent, derived: Derived) -> str:
    """The title alone.

    Raises:
        ConfigError: as `text`.
    """
    return words.title(_story(document, intent, derived))


def _story(document: PromotionDocument, intent: Intent, derived: Derived) -> Story:
    spec = document.spec.pullRequest
    assert spec is not None
    candidate = intent.candidate
    return Story(
        promotion_id=intent.id,
        intent_key=intent.key,
        target=f"{document.spec.environment}/{document.name}",
        message=derived.message,
        gates=[Gate.read(report) for report in derived.gates],
        changes=[ChangeLine.read(change) for change in derived.changes],
        facts=[
            ("Model", intent.digest),
            ("Version", candidate.version if candidate else None),
            ("Address", candidate.uri if candidate else None),
            ("Run", candidate.run if candidate else None),
            ("Reason", intent.reason),
            ("Asked for by", intent.actor),
        ],
        auto_merge=spec.autoMerge,
        template=_title(document, intent, spec),
    )


def _title(document: PromotionDocument, intent: Intent, spec: PullRequestSpec) -> str:
    # A title of the user's speaks of a candidate, and who goes back has none.
    if spec.title is None or intent.candidate is None:
        return ""
    return render.render_message(spec.title, derive.facts_of(document, intent, intent.candidate))


def statuses(document: PromotionDocument, sha: str, derived: Derived, waits: str) -> Sequence[Status]:
    """One for each gate, and one for the whole. `waits`: what is missing beside the forge's own rules, "": nothing."""
    where = f"{CONTEXT}/{document.name}/{document.spec.environment}"
    whole = Status(sha, "pending" if waits else "success", where, one_line(waits or "gates and terms are met", 120))
    gates = [
        Status(
            sha, _state(one.verdict, advisory=one.advisory), f"{where}/{_plain(one.name)}", one_line(one.reason, 120)
        )
        for one in map(Gate.read, derived.gates)
    ]
    return [whole, *gates[:MAX_STATUSES]]


def _state(verdict: str, *, advisory: bool) -> StatusState:
    # Forges block a merge for what is not a success; an advisory gate blocks nothing.
    return "success" if advisory else _STATES.get(verdict, "failure")


def _plain(name: str) -> str:
    return one_line(name, 60) or "gate"


def digest(told: Sequence[Status]) -> str:
    """Another one, if any status is."""
    return sha256(repr([(one.sha, one.state, one.context, one.description) for one in told]).encode()).hexdigest()[:16]


def closing(state: str, reason: str) -> str:
    """The comment with which a pull request is closed, or left to whoever took it over."""
    return f"Retrain does not go on with this promotion: it is **{state}**. {words.code(reason, 400)}"
