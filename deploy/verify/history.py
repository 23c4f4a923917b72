"""Reading a commit and what led to it out of a repository that nobody trusts yet.

It is fetched into a scratch repository of our own: the settings of the one that is examined (a `gpg.program`, a file
system monitor) reach no command that reads it.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from deploy.git.access import ended, in_memory
from deploy.git.errors import scrub
from deploy.git.repository import Repository
from deploy.git.signing import gpg_home
from deploy.names import RECORDS
from deploy.provenance import PublicKey
from deploy.record import Record
from deploy.record import read as read_record
from deploy.verify.judging import Check, Found
from deploy.verify.model import check_model
from retrain.errors import ConfigError, NotFound, Refused

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./@~^-]*")
_ALL = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
MAX_CHAIN = 200
"""Records that are followed back."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Whose signatures count: an allowed signers file (ssh), OpenPGP public keys, and one for statements of origin."""

    allowed_signers: str = ""
    gpg: str = ""
    origin: PublicKey | None = None


class History(Repository):
    """A repository with all of its commits, without files until they are read."""

    def fetch_all(self) -> None:
        """Get every branch and tag.

        Raises:
            Transient, Permanent: the remote is away, or says no.
        """
        self._open()
        self._get_history(_ALL)

    def _fetch_whole(self) -> None:
        self._throw_away()
        self._open()
        self._get_history(_ALL, whole=True)

    def resolve(self, name: str) -> str:
        """A commit's SHA from what a person calls it.

        Raises:
            ConfigError: that is no name of a commit.
            NotFound: there is no such commit.
        """
        if not _NAME.fullmatch(name) or ".." in name:
            raise ConfigError(f"{name[:80]!r} is no commit; give its SHA, a branch or a tag")
        for full in (name, f"refs/remotes/origin/{name}", f"refs/tags/{name}"):
            one = self._objects.get(f"{full}^{{commit}}")
            if one is not None and one.kind == "commit":
                return one.oid
        raise NotFound(f"{self.url} has no commit {name!r}")

    def commit_of(self, sha: str) -> tuple[str, str, list[str]]:
        """A commit's header, its message, and its parents."""
        one = self._objects.get(sha)
        assert one is not None
        head, _, message = (one.body or b"").decode(errors="replace").partition("\n\n")
        return head, message, re.findall(r"^parent ([0-9a-f]+)$", head, re.MULTILINE)

    def touched(self, sha: str, parent: str | None) -> list[str]:
        """The paths that differ between a commit and its parent."""
        trees = (parent, sha) if parent else ("--root", sha)
        out = self._git.run(
            self._folder, "diff-tree", "-r", "--no-commit-id", "--name-only", "--no-renames", "-z", *trees
        )
        return [name.decode(errors="replace") for name in out.split(b"\0") if name]

    def contents(self, sha: str, files: list[str]) -> dict[str, bytes | None]:
        """Files at a commit; None for one that is not there or is no plain file."""
        found: dict[str, bytes | None] = {}
        for file in files:
            try:
                found |= self.read(sha, (), optional=file)
            except Refused:
                found[file] = None
        return found

    def earlier(self, sha: str, file: str) -> list[str]:
        """The commits before this one that changed the file, newest first."""
        out = self._git.run(self._folder, "rev-list", f"--max-count={MAX_CHAIN}", "--first-parent", sha, "--", file)
        return [one for one in out.decode().split() if one != sha]

    def signature(self, sha: str, head: str, keys: Keys) -> Check:
        """Who signed a commit, by git's own judgement."""
        if "gpgsig" not in head:
            wanted = bool(keys.allowed_signers or keys.gpg)
            return Check("signature", "no" if wanted else "unknown", "the commit is not signed")
        if "BEGIN SSH SIGNATURE" in head:
            return self._ssh(sha, keys.allowed_signers)
        return self._openpgp(sha, keys.gpg)

    def _ssh(self, sha: str, signers: str) -> Check:
        if not signers:
            return Check("signature", "unknown", "signed by an SSH key; say whose counts: --allowed-signers")
        with in_memory(ended(signers)) as allowed:
            settings = ("-c", f"gpg.ssh.allowedSignersFile={allowed}")
            code, _, err = self._git.attempt(self._folder, *settings, "verify-commit", "--raw", sha)
        said = scrub(err.decode(errors="replace"))
        good = code == 0 and 'Good "git" signature for' in said
        return Check("signature", "yes" if good else "no", said)

    def _openpgp(self, sha: str, public: str) -> Check:
        if not public:
            return Check("signature", "unknown", "signed by an OpenPGP key; say whose counts: --gpg-keys")
        with ExitStack() as stack:
            extra = {"GNUPGHOME": str(stack.enter_context(gpg_home(self._git, public)))}
            code, _, err = self._git.attempt(self._folder, "verify-commit", "--raw", sha, extra=extra)
        said = err.decode(errors="replace")
        valid = re.search(r"VALIDSIG ([0-9A-F]{40})", said)
        if code == 0 and valid:
            return Check("signature", "yes", f"good signature of {valid[1]}")
        why = "a key that is not among those given" if "NO_PUBKEY" in said else "it does not verify"
        return Check("signature", "no", why)


def examine(history: History, name: str, target: str, keys: Keys, root: Path) -> tuple[str, Found]:
    """The commit's SHA and what is in it. `target`: NAME/ENVIRONMENT or a part of it; "": the only record.

    Raises:
        ConfigError: the commit promotes none, or several and `target` does not say which.
        NotFound: there is no such commit.
    """
    with history.locked():
        history.fetch_all()
        sha = history.resolve(name)
        head, message, parents = history.commit_of(sha)
        parent = parents[0] if parents else None
        files = history.touched(sha, parent)
        file = _record_of(files, target)
        after = history.contents(sha, files)
        before = history.contents(parent, files) if parent else {}
        chain = [history.contents(one, [file])[file] for one in history.earlier(sha, file)]
        found = Found(
            record_file=file,
            message=message,
            before=before,
            after=after,
            chain=[one for one in chain if one is not None],
            signature=history.signature(sha, head, keys),
            model=_model(after.get(file), file, root),
            origin_key=keys.origin,
        )
    return sha, found


def _record_of(files: list[str], target: str) -> str:
    there = [file for file in files if re.fullmatch(rf"{re.escape(RECORDS)}/[^/]+/[^/]+(?<!\.intoto)\.json", file)]
    wanted = [file for file in there if f"/{target}".rstrip("/") + "/" in f"/{file.removesuffix('.json')}/"]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(file.removeprefix(f"{RECORDS}/").removesuffix(".json") for file in there)
    if not there:
        raise ConfigError(f"the commit is no promotion: it changes no record below {RECORDS}/")
    raise ConfigError(f"the commit changes the records of {names}; say which with --name and --environment")


def _model(body: bytes | None, file: str, root: Path) -> Check:
    try:
        record: Record | None = read_record(body, file)
    except Refused:
        record = None
    if record is None or record.live is None:
        return Check("model", "unknown", "no model is on record")
    return check_model(record.live.uri, record.live.digest, root)
