"""A commit as a stream for `git fast-import`: blobs, trees and commit in one process. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.git.objects import Trees, find

_FILE = "100644"
_PROGRAM = "100755"


@dataclass(frozen=True, slots=True)
class Author:
    """Who a commit is by, and when; `seconds` since 1970, UTC. The same author and base give the same commit."""

    name: str
    email: str
    seconds: int

    @property
    def line(self) -> str:
        """As a commit object has it."""
        return f"{self.name.strip()} <{self.email}> {self.seconds} +0000"

    @property
    def environment(self) -> dict[str, str]:
        """As `git commit-tree` wants it."""
        stamp = f"{self.seconds} +0000"
        return {
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": self.name,
            "GIT_COMMITTER_EMAIL": self.email,
            "GIT_COMMITTER_DATE": stamp,
        }


def stream(ref: str, base: str, trees: Trees, files: Mapping[str, bytes], message: str, author: Author) -> bytes:
    """What fast-import reads; it answers with the commit's SHA. `trees` are those of `base` on the way to `files`.

    Raises:
        Refused: a file, or something on its way, is a link, a submodule or a folder.
    """
    parts = [
        f"commit {ref}\nmark :1\nauthor {author.line}\ncommitter {author.line}\n".encode(),
        _data(message.encode()),
        f"from {base}\n".encode(),
    ]
    for file, body in sorted(files.items()):
        old = find(trees, file)
        mode = _PROGRAM if old is not None and int(old.mode, 8) & 0o100 else _FILE
        parts += [f"M {mode} inline {_quoted(file)}\n".encode(), _data(body)]
    return b"".join([*parts, b"\nget-mark :1\ndone\n"])


def _data(body: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(body), body)


def _quoted(path: str) -> str:
    # Quoted always: a bare path that begins with a quote, or holds a blank at its end, would be read otherwise.
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def tag(name: str, commit: str, message: str, author: Author) -> bytes:
    """An annotated tag, as `git mktag` reads it."""
    return f"object {commit}\ntype commit\ntag {name}\ntagger {author.line}\n\n{message.rstrip()}\n".encode()
