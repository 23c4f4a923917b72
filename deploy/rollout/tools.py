"""What checks ask with; the app hands it in. All of it raises Transient where asking again may help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import Field

from deploy.shape import Shape
from retrain.errors import ConfigError


class SecretKey(Shape):
    """A value of a Secret of the project."""

    name: str = Field(min_length=1)
    key: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `most`: bytes of the answer that are read; a longer one is an error."""

    method: str
    url: str
    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    most: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status. `seconds`: from the request to the answer's last byte."""

    status: int
    body: bytes
    seconds: float


class Silent(Exception):
    """The server was reached, and did not answer in time."""


class Cluster(Protocol):
    """A Kubernetes API server, as `retrain.kube` speaks to it."""

    async def get(self, path: str, query: Mapping[str, str] = ...) -> dict[str, Any]: ...

    async def patch(self, path: str, body: Any, how: Literal["merge"] = ...) -> dict[str, Any]: ...


class Outside(Protocol):
    """Everything but Git."""

    async def cluster(self, kubeconfig: SecretKey | None) -> Cluster:
        """The cluster of that kubeconfig; None: the platform's own."""
        ...

    async def http(self, request: Request) -> Answer:
        """Ask once. Redirects are not followed, closed addresses refused.

        Raises:
            Transient: nobody is there. Permanent: the address is closed, or the request none.
            Silent: it took longer than `timeout_s`.
        """
        ...

    async def secret(self, ref: SecretKey) -> str:
        """A value of a Secret."""
        ...

    async def read(self, file: str, most: int) -> bytes:
        """A file of the project, or what is behind `https://`."""
        ...


class Nothing:
    """Where there is nothing to ask with: every check says so."""

    async def cluster(self, kubeconfig: SecretKey | None) -> Cluster:  # noqa: ARG002 - the protocol's
        raise ConfigError(_NOTHING)

    async def http(self, request: Request) -> Answer:  # noqa: ARG002
        raise ConfigError(_NOTHING)

    async def secret(self, ref: SecretKey) -> str:  # noqa: ARG002
        raise ConfigError(_NOTHING)

    async def read(self, file: str, most: int) -> bytes:  # noqa: ARG002
        raise ConfigError(_NOTHING)


_NOTHING = "this process has nothing to ask checks with"


class Tools(Outside, Protocol):
    """All that one check asks with."""

    async def follows(self, revision: str) -> bool:
        """Whether that commit is the promotion's, or descends from it in the branch."""
        ...
