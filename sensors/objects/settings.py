"""What an operator may set about objects that lie elsewhere. Plain values: the app reads them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

from triggers.settings import METADATA, Network

OWN: tuple[Network, ...] = tuple(map(ip_network, ("127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128")))
"""The machine itself: what listens there may trust whoever asks from there."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Times in seconds. `deny` and `allow` are networks of addresses after name resolution; `allow` wins.

    `local_git`: git may also read a repository on this machine's disk.
    """

    age_s: float = 60.0
    timeout_s: float = 30.0
    max_bytes: int = 1024 * 1024
    deny: tuple[Network, ...] = (*METADATA, *OWN)
    allow: tuple[Network, ...] = ()
    local_git: bool = False
