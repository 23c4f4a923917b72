"""What git's words mean: the trouble by name, what the caller should do, and what a person can do about it. Pure.

The order of the table counts: a declined hook also says `failed to push`, and a forge that wants a pull request also
says that its hook declined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from deploy.names import one_line
from retrain.errors import Permanent, Transient

Kind = Literal[
    "race", "credentials-missing", "credentials-expired", "credentials-wrong", "host-key", "needs-pull-request",
    "unsigned", "protected-branch", "read-only", "quota", "disk-full", "too-big", "hook", "tag-exists", "lock",
    "transport", "forbidden", "tls", "dns", "repository-missing", "busy", "slow", "server-error", "unreachable",
    "refused", "unknown",
]  # fmt: skip
Then = Literal["again", "wait", "reject", "deny", "fail"]
"""`again`: derive anew. `wait`: later, the same. `reject`: the server's rules say no. `deny`: to us."""


class Race(Transient):
    """Somebody else moved the branch first: derive everything again from where it is now."""


class Rejected(Permanent):
    """The server said no, by a rule; `str()` holds its words."""


class AuthFailed(Rejected):
    """The server does not know us, or does not let us."""


class GitFailed(Permanent):
    """A git command failed for a reason that none of the classes above covers."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One row: `advice` is said before git's own words, "" where those say it all."""

    kind: Kind
    then: Then
    advice: str
    words: re.Pattern[str]


def _row(kind: Kind, then: Then, advice: str, *words: str) -> Trouble:
    return Trouble(kind, then, advice, re.compile("|".join(words), re.IGNORECASE))


TABLE: tuple[Trouble, ...] = (
    _row(
        "needs-pull-request", "reject", "the branch takes changes by pull request only",
        r"changes must be made through (?:a|the) pull request", r"must be made through a merge request",
        r"TF402455", r"pull request (?:is )?required", r"must use a pull request",
    ),
    _row(
        "unsigned", "reject", "the server takes signed commits only; set commit.sign",
        r"commits must have (?:verified|valid) signatures", r"must be signed", r"commit (?:is|was) not signed",
        r"verified signature",
    ),
    _row(
        "quota", "reject", "the repository is over its quota",
        r"quota", r"above its size limit", r"size limit of .* exceeded", r"exceeded (?:its|the) (?:maximum )?size",
    ),
    _row("disk-full", "wait", "a disk is full", r"no space left on device", r"disk full", r"disk quota exceeded"),
    _row(
        "too-big", "reject", "the server takes no push of this size",
        r"exceeds (?:the )?(?:GitHub's )?file size limit", r"pack exceeds maximum allowed size",
        r"exceeds maximum (?:file|pack|input) size", r"returned error: 413", r"GH001",
    ),
    _row(
        "read-only", "reject", "it may be read, but not written",
        r"marked as read only", r"read-only", r"write access .*not granted", r"permission denied for writing",
        r"not authorized to write", r"archived so it is", r"is archived",
        r"insufficient permission for adding an object", r"unable to create temporary object directory",
        r"returned error: 403.*service not enabled", r"'receive-pack': service not enabled",
    ),
    _row(
        "protected-branch", "reject", "the branch is protected from us",
        r"protected branch", r"GH006", r"GH013", r"TF402455", r"not allowed to push (?:code )?to",
        r"not allowed to push", r"can only push your own", r"branch .* is protected", r"denyCurrentBranch",
        r"branch is currently checked out", r"denyNonFastForwards", r"is locked by",
    ),
    _row(
        "hook", "reject", "a hook of the server declined",
        r"pre-receive hook declined", r"update hook declined", r"hook declined", r"TF401027",
        r"does not follow the pattern", r"push declined", r"refusing to allow", r"prohibited by", r"denied by",
        r"reference-transaction hook",
    ),
    _row(
        "transport", "reject", "git may not use this transport",
        r"transport '[^']*' not allowed", r"protocol '[^']*' is not supported",
    ),
    _row(
        "credentials-expired", "deny", "the credentials have expired",
        r"(?:token|password|credentials?|key)\b.{0,40}\bexpired", r"expired (?:token|password|credential|key)",
    ),
    _row(
        "credentials-missing", "deny", "the server asks for credentials and has none; set repo.credentials",
        r"terminal prompts disabled", r"could not read (?:user|pass)",
    ),
    _row(
        "host-key", "deny", "the server's host key is not the one in knownHosts",
        r"host key verification failed", r"remote host identification has changed", r"no .* host key is known for",
    ),
    _row(
        "credentials-wrong", "deny", "the server does not take the credentials",
        r"invalid username or (?:password|token)", r"permission denied \(", r"authentication failed",
        r"returned error: 401", r"HTTP Basic: Access denied", r"too many authentication failures",
    ),
    _row(
        "forbidden", "reject", "the credentials do not allow this",
        r"returned error: 403", r"permission to .* denied", r"access denied",
    ),
    _row(
        "tag-exists", "reject", "the tag is there already and means another commit",
        r"refs/tags/\S+.*(?:already exists|cannot lock ref)", r"would clobber existing tag",
    ),
    _row(
        "lock", "wait", "the repository is locked by somebody who works, or who died",
        r"unable to create '[^']*\.lock': file exists", r"another git process seems to be running",
    ),
    _row(
        "race", "again", "",
        r"non-fast-forward", r"fetch first", r"stale info", r"cannot lock ref", r"incorrect old value provided",
        r"failed to update ref", r"reference already exists",
    ),
    _row(
        "tls", "wait", "the server's certificate or its TLS is not accepted",
        r"certificate", r"SSL", r"TLS", r"gnutls",
    ),
    _row(
        "dns", "wait", "there is no such host, or no name server",
        r"could not resolve host", r"name or service not known", r"temporary failure in name resolution",
    ),
    _row(
        "repository-missing", "wait", "there is no such repository, or it is hidden from us",
        r"does not appear to be a git repository", r"repository .*not found", r"returned error: 404",
        r"project .* could not be found", r"not a git repository", r"repository '[^']*' does not exist",
        r"does not exist",
    ),
    _row(
        "busy", "wait", "the server asks to come later", r"returned error: 429", r"returned error: 503", r"rate limit",
    ),
    _row(
        "slow", "wait", "the server is too slow",
        r"timed out", r"low speed", r"operation too slow", r"did not finish within",
    ),
    _row(
        "server-error", "wait", "the server failed", r"returned error: 5\d\d", r"internal server error",
        r"unpacker error", r"unpack failed", r"index-pack abnormal exit",
    ),
    _row(
        "unreachable", "wait", "the server cannot be reached, or went away",
        r"early EOF", r"RPC failed", r"remote end hung up", r"unexpected disconnect",
        r"connection (?:refused|reset|closed)", r"couldn't connect", r"failed to connect", r"no route to host",
        r"network is unreachable", r"temporarily unavailable", r"could not read from remote repository",
        r"unable to access", r"the remote end", r"unable to create temporary", r"died of signal", r"empty reply",
    ),
)  # fmt: skip
_REFUSED = Trouble("refused", "reject", "", re.compile(""))
_UNKNOWN = Trouble("unknown", "fail", "", re.compile(""))
_DOES: dict[Then, type[Transient] | type[Permanent]] = {
    "again": Race,
    "wait": Transient,
    "reject": Rejected,
    "deny": AuthFailed,
    "fail": GitFailed,
}
_SECRET = re.compile(r"(://)[^/@\s]+@")
_NOISE = ("hint:", "To ", "remote:", "error: failed to push", "@@@@")


def diagnose(text: str) -> Trouble:
    """The first row that these words fit; `unknown` if none does."""
    return next((row for row in TABLE if row.words.search(text)), _UNKNOWN)


def diagnose_push(summary: str, text: str) -> Trouble:
    """As `diagnose`, for a push whose line about the branch is `summary`, such as `[remote rejected] (quota)`."""
    row = diagnose(summary)
    if row.kind in {"hook", "unknown"} and (said := diagnose(text)).kind not in {"unknown", "unreachable", "race"}:
        row = said  # a hook's own words tell more than that it declined
    # "[remote rejected] (reason)" is the server's own no, whatever words it finds for it.
    return _REFUSED if row is _UNKNOWN and "remote rejected" in summary else row


def error_of(row: Trouble, text: str) -> Transient | Permanent:
    """The error that a row calls for, with git's words and without secrets."""
    words = scrub(text)
    return _DOES[row.then](f"{row.advice}: {words}" if row.advice else words)


def classify(text: str) -> Transient | Permanent:
    """The error that git's words mean."""
    return error_of(diagnose(text), text)


def scrub(text: str) -> str:
    """Git's words on one line, without progress, hints and whatever stands before an `@` in an address."""
    lines = [line.removeprefix("remote: ").strip() for line in re.split(r"[\r\n]+", text)]
    kept = [line for line in lines if line and not line.startswith(_NOISE)]
    return one_line(_SECRET.sub(r"\1***@", "; ".join(kept)), 1000) or "git failed without a word"
