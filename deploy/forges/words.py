"""A pull request's title and text. Pure. What comes from outside (names, metrics, reasons) stands in code spans only:
there no forge finds markup, links, mentions or commands in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy.names import one_line
from retrain.events import JsonValue

MAX_TITLE = 200
MAX_ROWS = 40
MAX_CELL = 160
MAX_MESSAGE = 4000

_KEY = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_MARKER = re.compile(r"^<!-- retrain:promotion intent=([0-9a-f]{64}) id=([A-Za-z0-9._-]{1,80}) -->$", re.MULTILINE)
_DRAFT = re.compile(r"^\W*(?:draft|wip)\b", re.IGNORECASE)
_VERDICTS = {"pass": "passed", "fail": "**failed**", "error": "**error**", "pending": "pending", "skipped": "skipped"}
_JOINER = "\u2060"
"""A word joiner: nothing to see, and no mention or reference of a number behind it."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate's verdict, as the report has it."""

    name: str
    kind: str
    verdict: str
    reason: str
    advisory: bool = False

    @classmethod
    def read(cls, report: Mapping[str, JsonValue]) -> Gate:
        """From a verdict as JSON (`Derived.gates`)."""
        words = (str(report.get(name) or "") for name in ("name", "kind", "verdict", "reason"))
        return cls(*words, advisory=report.get("advisory") is True)


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One value that changes."""

    file: str
    path: str
    old: JsonValue
    new: JsonValue

    @classmethod
    def read(cls, change: Mapping[str, JsonValue]) -> ChangeLine:
        """From a change as JSON (`Derived.changes`)."""
        return cls(str(change.get("file", "")), str(change.get("path", "")), change.get("old"), change.get("new"))


@dataclass(frozen=True, slots=True)
class Story:
    """What a pull request tells. `message` is the commit's. `facts`: name (ours) and value (anybody's), in order.

    `auto_merge`: whether the platform merges it by itself. `template`: a title of the user's, already filled in.
    """

    promotion_id: str
    intent_key: str
    target: str
    message: str
    gates: Sequence[Gate] = ()
    changes: Sequence[ChangeLine] = ()
    facts: Sequence[tuple[str, str | None]] = ()
    auto_merge: bool = False
    template: str = ""


def title(story: Story) -> str:
    """One line: the first of the commit's message, or the user's own. Never a draft, and no mention in it."""
    plain = one_line(story.template or story.message.strip().partition("\n")[0], MAX_TITLE) or "promotion"
    calm = re.sub(r"([@#!])(?=\w)", rf"\1{_JOINER}", plain)
    return f"promote: {calm}" if _DRAFT.match(calm) else calm


def body(story: Story) -> str:
    """The text, in the Markdown that all forges share. Ends with the hidden marker.

    Raises:
        ValueError: the intent key or the id are none (they are ours, and stand outside of any code span).
    """
    parts = [
        f"Retrain proposes this change of {code(story.target)}.",
        _facts(story),
        _gates(story.gates),
        _changes(story.changes),
        _how(story),
        _message(story.message),
        marker(story.intent_key, story.promotion_id),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def marker(intent_key: str, promotion_id: str) -> str:
    """The line that says which promotion a pull request is of. Forges do not show it.

    Raises:
        ValueError: as `body`.
    """
    if not _KEY.fullmatch(intent_key) or not _ID.fullmatch(promotion_id):
        raise ValueError(f"{intent_key[:80]!r} and {promotion_id[:80]!r} are no intent key and promotion id")
    return f"<!-- retrain:promotion intent={intent_key} id={promotion_id} -->"


def marked(text: str) -> tuple[str, str] | None:
    """The intent key and the promotion id in a pull request's text: the last marker's, for `body` ends with its own."""
    found = _MARKER.findall(text.replace("\r\n", "\n"))
    return found[-1] if found else None


def code(value: JsonValue, limit: int = MAX_CELL) -> str:
    """A value as a code span that fits into a table's cell too. Backticks and bars become signs that look like them."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash for nothing
    shown = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    plain = one_line(shown, limit).replace("`", "'").replace("|", "¦")
    # A backslash before the closing tick ends nothing in CommonMark; older dialects differ.
    return f"`{plain.rstrip(chr(92))}`" if plain.rstrip("\\") else "–"  # noqa: RUF001


def _facts(story: Story) -> str:
    lines = [f"- {name}: {code(value)}" for name, value in story.facts if value]
    return "\n".join(lines)


def _gates(gates: Sequence[Gate]) -> str:
    if not gates:
        return "**Gates**: none are declared."
    # Those that failed first: they must not be among the rows left out.
    ordered = sorted(gates, key=lambda gate: gate.verdict in {"pass", "skipped"})
    rows = [
        f"| {code(gate.name)} | {code(gate.kind)} | {_VERDICTS.get(gate.verdict, code(gate.verdict))}"
        f"{' (advisory)' if gate.advisory else ''} | {code(gate.reason, 200)} |"
        for gate in ordered
    ]
    return _table("Gates", ("Gate", "Kind", "Verdict", "Reason"), rows)


def _changes(changes: Sequence[ChangeLine]) -> str:
    if not changes:
        return ""
    rows = [f"| {code(one.file)} | {code(one.path)} | {code(one.old)} | {code(one.new)} |" for one in changes]
    return _table("Changes", ("File", "Field", "From", "To"), rows)


def _table(name: str, columns: Sequence[str], rows: Sequence[str]) -> str:
    head = [f"**{name}**", "", f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    more = len(rows) - MAX_ROWS
    tail = ["", f"And {more} more: all are in the record file of this commit."] if more > 0 else []
    return "\n".join([*head, *rows[:MAX_ROWS], *tail])


def _how(story: Story) -> str:
    merge = (
        "Retrain merges it once the approvals and checks are there; to approve, review it here"
        if story.auto_merge
        else "To approve, review and merge it here"
    )
    shown = code(story.promotion_id)
    return (
        f"{merge} (or `retrain promotions approve` {shown}). To reject, close it without merging: this model is then "
        "not proposed again. A commit of yours on this branch stops Retrain from changing it any more."
    )


def _message(message: str) -> str:
    """The commit's message in a fence that it cannot close."""
    plain = "\n".join(one_line(line, 500) for line in message[:MAX_MESSAGE].strip().splitlines())
    longest = max((len(run) for run in re.findall(r"`+", plain)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"**Commit message**\n\n{fence}text\n{plain}\n{fence}"
