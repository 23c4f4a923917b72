"""What `git push --porcelain` answered: the line about each ref, and the error of a push that failed. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.git.errors import Race, Rejected, classify, diagnose_push, error_of
from retrain.errors import Transient


def line_about(out: str, ref: str) -> tuple[str, str] | None:
    """The flag and the summary of the line about `ref` in the output of `push --porcelain`."""
    for line in out.splitlines():
        parts = line.split("\t")
        if len(parts) >= 3 and parts[1].endswith(f":{ref}"):
            return parts[0], parts[2]
    return None


def refusal(lines: Mapping[str, tuple[str, str] | None], err: str) -> Exception:
    """The error of a push that did not end well, from what it said of each ref."""
    refused = [(ref, line[1]) for ref, line in lines.items() if line is not None and line[0] == "!"]
    told = [(ref, words) for ref, words in refused if "atomic" not in words] or refused
    if not told:
        # No line that reports a refusal, and yet it failed: somebody died on the way, maybe after the branch had moved.
        silent = any(line is None for line in lines.values())
        failure = classify(err)
        return failure if silent and not isinstance(failure, Race) else Transient(str(failure))
    ref, words = told[0]
    if ref.startswith("refs/tags/"):
        return Rejected(f"the tag {ref.removeprefix('refs/tags/')} cannot be made: {words}; nothing was pushed")
    return error_of(diagnose_push(words, err), f"{words}\n{err}")
