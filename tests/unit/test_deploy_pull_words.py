"""A pull request's words: nothing from outside becomes markup, a mention, a link, a command or our marker."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.forges.words import MAX_ROWS, ChangeLine, Gate, Story, body, code, marked, marker, title

KEY = "0f" * 32
DASH = "\u2013"
HOSTILE = [
    "@admin please",
    "closes #1",
    "a | b | c",
    "`tick` and ``two`` and ```three```",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "-->",
    "<!-- retrain:promotion intent=" + "b" * 64 + " id=p-9 -->",
    "![x](https://evil.example/pixel.png)",
    "[click](javascript:alert(1))",
    "https://evil.example/",
    "line\n/merge\n/approve",
    "\r\n## Heading",
    "```\n</details>\n@team",
    "a\\",
    "\\| \\` \\",
    "\u202etxt.exe",
    "&lt;b&gt; &#64;admin",
    "|---|---|",
    "$(rm -rf /) {{ template }}",
    "</code></td></tr></table>",
    "x" * 5000,
]


def story(text: str) -> Story:
    return Story(
        promotion_id="p-1",
        intent_key=KEY,
        target=text,
        message=f"promote: {text}\n\n{text}\n\nModel-Uri: {text}",
        gates=[Gate(text, text, "fail", text), Gate("auc", "threshold", "pass", "0.9 is at least 0.8")],
        changes=[ChangeLine(text, text, text, text)],
        facts=[("Model", text), ("Run", None)],
        template="",
    )


def outside_of_code(text: str) -> str:
    """What a forge would read as Markdown: without the fence and without code spans."""
    text = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", text)
    return re.sub(r"`[^`]*`", "CODE", text)


QUIET = outside_of_code(body(story("x")))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_from_outside_changes_nothing_but_what_code_spans_show(text: str) -> None:
    made = body(story(text))

    assert outside_of_code(made) == QUIET
    assert marked(made) == (KEY, "p-1")
    assert all(line.count("|") == QUIET_BARS[at] for at, line in enumerate(rows(made)))


def rows(text: str) -> list[str]:
    return [line for line in outside_of_code(text).splitlines() if line.startswith("|")]


QUIET_BARS = [line.count("|") for line in rows(body(story("x")))]


@given(st.text(max_size=300))
def test_no_text_at_all_gets_out_of_its_code_span(text: str) -> None:
    made = body(story(text + "x"))

    assert outside_of_code(made) == QUIET
    assert marked(made) == (KEY, "p-1")
    assert not any(line.startswith("/") for line in outside_of_code(made).splitlines())


@given(st.text(max_size=300))
def test_a_title_is_one_line_without_mentions_and_no_draft(text: str) -> None:
    made = title(story(text))

    assert made
    assert len(made.splitlines()) == 1
    assert len(made) < 400
    assert not re.search(r"[@#!]\w", made)
    assert not re.match(r"(?i)\W*(draft|wip)\b", made)


@pytest.mark.parametrize("text", ["Draft: x", "WIP: x", "[WIP] x", "[draft] x", "(Draft) x"])
def test_a_title_that_would_make_a_draft_begins_otherwise(text: str) -> None:
    assert title(Story("p-1", KEY, "prod", text)) == f"promote: {text}"


def test_a_users_own_title_is_taken() -> None:
    assert title(Story("p-1", KEY, "prod", "first\n\nrest", template="New model in prod")) == "New model in prod"
    assert title(Story("p-1", KEY, "prod", "first\n\nrest")) == "first"


def test_a_long_report_keeps_what_failed_and_fits_any_forge() -> None:
    gates = [Gate(f"g{n}", "threshold", "pass", "r" * 500) for n in range(200)]
    many = Story(
        "p-1",
        KEY,
        "prod",
        "m" * 20000,
        [*gates, Gate("last", "slices", "fail", "no")],
        [ChangeLine("f" * 900, "p" * 900, "o" * 900, "n" * 900)] * 200,
    )

    made = body(many)

    assert "`last`" in made
    assert f"And {201 - MAX_ROWS} more" in made
    assert len(made) < 60_000
    assert marked(made) == (KEY, "p-1")


def test_the_whole_text() -> None:
    made = body(
        Story(
            promotion_id="p-1",
            intent_key=KEY,
            target="prod/digits",
            message="promote(digits): v2\n\nModel-Digest: sha256:ab",
            gates=[
                Gate("auc", "threshold", "pass", "0.91 is at least 0.9"),
                Gate("champion", "champion", "error", "no data"),
            ],
            changes=[ChangeLine("a.yaml", "spec.uri", None, True)],
            facts=[("Model", "sha256:ab"), ("Run", "r-1"), ("Version", None)],
            auto_merge=True,
        )
    )

    assert made.startswith("Retrain proposes this change of `prod/digits`.\n\n- Model: `sha256:ab`\n- Run: `r-1`\n")
    assert "| `champion` | `champion` | **error** | `no data` |\n| `auc` | `threshold` | passed |" in made
    assert f"| `a.yaml` | `spec.uri` | {DASH} | `true` |" in made
    assert "Retrain merges it once" in made
    assert made.endswith(f"<!-- retrain:promotion intent={KEY} id=p-1 -->\n")


def test_reports_and_changes_are_read_from_their_json() -> None:
    report = {"name": "auc", "kind": "threshold", "verdict": "fail", "reason": "no", "figures": {}, "advisory": True}
    change = {"file": "a", "path": "b", "old": None, "new": 3}

    assert Gate.read(report) == Gate("auc", "threshold", "fail", "no", advisory=True)
    assert ChangeLine.read(change) == ChangeLine("a", "b", None, 3)
    assert "| **failed** (advisory) |" in body(Story("p-1", KEY, "prod", "m", [Gate.read(report)]))


def test_a_marker_holds_what_is_ours_only() -> None:
    for key, name in (("x", "p-1"), (KEY, "a b"), (KEY, "-->"), (KEY, ""), (KEY.upper(), "p")):
        with pytest.raises(ValueError, match="no intent key"):
            marker(key, name)


def test_the_last_marker_counts_and_stands_on_a_line_of_its_own() -> None:
    assert marked(f"{marker(KEY, 'p-1')}\r\n{marker(KEY, 'p-2')}\r\n") == (KEY, "p-2")
    assert marked(f"x {marker(KEY, 'p-1')}") is None
    assert marked("") is None


@pytest.mark.parametrize(
    ("value", "shown"), [(1.5, "`1.5`"), (False, "`false`"), ("", DASH), ("\\", DASH), (" a ", "`a`"), (None, DASH)]
)
def test_values_as_code(value: object, shown: str) -> None:
    assert code(value) == shown  # type: ignore[arg-type]
