"""What may reach git: repository addresses, branches, file paths, digests, single lines of text.

Everything here comes from manifests or from events. Each rule has a known attack behind it (options in place of
operands, `ext::` transports, paths that climb out, values that forge a commit trailer), so the rules allow what is
known and refuse the rest. A `check_*` function gives what is wrong in words, None if nothing is.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

RECORDS = ".retrain"
"""The folder of a deployment repository that holds the records. Outside of what Argo CD and Flux deploy from."""

MAX_PATH = 1024
MAX_LINE = 500

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufeff]+")
_TRANSPORT = re.compile(r"[A-Za-z0-9+.-]*::")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:(?!-)\S+")
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_BRANCH_BAD = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]{32,256}")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")


def check_url(url: str) -> str | None:
    """A repository's address: https, ssh (also `git@host:path`), `file://` or a path on this machine."""
    if not url or _CONTROL.search(url):
        return "is empty or holds control characters"
    if url.startswith("-"):
        return "must not start with '-'"
    if _TRANSPORT.match(url):
        return "names a remote helper (`ext::` and the like); write https://, ssh://, file:// or a path"
    if scheme := _SCHEME.match(url):
        return _check_remote(scheme[1].lower(), url)
    if ":" in url.split("/", 1)[0] and not _SCP.fullmatch(url):
        return "is no address that is understood here; write https://, ssh://, git@host:path, file:// or a path"
    return None


def _check_remote(scheme: str, url: str) -> str | None:
    if scheme not in {"https", "ssh", "file"}:
        return f"{scheme}:// is not allowed; use https, ssh, file or a path"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"is no URL: {error}"
    if parts.password is not None or (scheme == "https" and parts.username is not None):
        return "holds credentials; they do not belong in a manifest"
    if scheme == "file":
        return None if parts.netloc == "" and parts.path.startswith("/") else "file:// wants an absolute path"
    if parts.hostname is None or not _HOST.fullmatch(parts.netloc.rpartition("@")[2]):
        return "has no proper host name"
    if parts.username is not None and not _USER.fullmatch(parts.username):
        return "has an odd user name"
    return "has no path" if parts.path in {"", "/"} else None


def scheme(url: str) -> str:
    """`https`, `ssh` or `path`: how an address that `check_url` lets through is reached."""
    if match := _SCHEME.match(url):
        return "path" if match[1].lower() == "file" else match[1].lower()
    return "ssh" if _SCP.fullmatch(url) else "path"


def local_path(url: str) -> Path | None:
    """The path on this machine that an address means, None if it means a server."""
    if url.lower().startswith("file://"):
        return Path(unquote(urlsplit(url).path))
    return None if _SCHEME.match(url) or _SCP.fullmatch(url) else Path(url)


def resolve_url(url: str, root: Path) -> str:
    """The address as git gets it: paths are absolute, those that were relative start at `root`."""
    if _SCHEME.match(url) or _SCP.fullmatch(url):
        return url
    return str((root / url).absolute())


def check_branch(branch: str) -> str | None:
    """A branch's short name, by the rules of git-check-ref-format and no leading dash."""
    if not branch or len(branch) > 200:
        return "must have 1 to 200 characters"
    if branch.startswith(("-", "/", ".", "refs/")) or branch.endswith(("/", ".")) or branch in {"@", "HEAD"}:
        return "is no branch name; write the short name, such as 'main'"
    return "holds what a branch name cannot (see git check-ref-format)" if _BRANCH_BAD.search(branch) else None


def check_file(path: str) -> str | None:
    """A file in a repository: relative, with forward slashes, never in `.git` or among our records."""
    if not path or len(path) > MAX_PATH:
        return f"must have 1 to {MAX_PATH} characters"
    if _CONTROL.search(path) or "\\" in path:
        return "holds control characters or a backslash"
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return "must be relative to the repository's root, without '.', '..' or empty parts"
    if any(_is_dot_git(part) for part in parts):
        return "lies in git's own folder"
    return f"lies in {RECORDS}, which holds our records" if parts[0].lower() == RECORDS else None


def _is_dot_git(part: str) -> bool:
    # Windows and macOS take these for `.git` too, and a repository is checked out there as well.
    plain = part.lower().rstrip(" .").split(":")[0]
    return plain in {".git", "git~1"}


def check_digest(digest: str) -> str | None:
    """A model's digest as OCI writes it: `sha256:` and 64 hex digits, or another algorithm's."""
    right = _SHA256 if digest.startswith("sha256:") else _DIGEST
    return None if right.fullmatch(digest) else "is no digest like 'sha256:' and 64 hex digits"


def check_uri(uri: str) -> str | None:
    """Where a model lies: one line, not empty, no white space."""
    if not uri or len(uri) > 2048:
        return "must have 1 to 2048 characters"
    return "holds control characters or white space" if _CONTROL.search(uri) or re.search(r"\s", uri) else None


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """The text on one line of at most `limit` characters: what breaks lines or hides text becomes a space."""
    plain = " ".join(_CONTROL.sub(" ", text).split())
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def check_server(url: str, what: str) -> str | None:
    """The address of a server that is asked by HTTP. `what` it is an address of, with its article."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"is no URL: {error}"
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        return f"is no address of {what}; write https://host/path"
    if parts.username is not None or parts.password is not None:
        return "holds credentials; they belong in token, or in username and password"
    if parts.query or parts.fragment or re.search(r"[\x00-\x20\x7f\\]", url):
        return "holds a query, a fragment or white space; write https://host/path alone"
    return None


def is_loopback(url: str) -> bool:
    """Whether an address is of this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
