"""Which addresses a trigger may talk to: checked after name resolution, so that no name can lead around it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import SOCK_STREAM, AddressFamily, gaierror

import anyio
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from retrain.errors import Permanent, Transient
from triggers.settings import Network


def may_talk_to(address: str, deny: Sequence[Network], allow: Sequence[Network]) -> bool:
    """Whether this IP address is open to triggers: `allow` wins over `deny`, the rest is open.

    An IPv4 address in IPv6 clothing (`::ffff:169.254.169.254`, NAT64) is judged as the IPv4 address.
    """
    plain = _plain(ip_address(address.partition("%")[0]))
    if any(plain in network for network in allow):
        return True
    return not any(plain in network for network in deny)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.packed[:12] == b"\x00\x64\xff\x9b" + bytes(8):
        return IPv4Address(address.packed[12:])
    return address


def check_literal(host: str, deny: Sequence[Network], allow: Sequence[Network]) -> None:
    """Refuse a host that is itself a denied address. A name is left to the resolver.

    Raises:
        Permanent: the address is closed to triggers.
    """
    try:
        is_open = may_talk_to(host, deny, allow)
    except ValueError:
        return
    if not is_open:
        raise Permanent(_refusal(host, host))


async def check_server(host: str, port: int, deny: Sequence[Network], allow: Sequence[Network]) -> None:
    """Refuse a server any of whose addresses is closed. For clients that look their server's name up themselves.

    Such a client asks a second time, so a name that changes its answer in between is not caught; none of them speaks
    what the closed addresses understand.

    Raises:
        Permanent: an address is closed to triggers.
        Transient: the name has no address now.
    """
    check_literal(host, deny, allow)
    try:
        answers = await anyio.getaddrinfo(host, port, type=SOCK_STREAM)
    except (gaierror, UnicodeError) as error:
        raise Transient(f"{host}: the name has no address ({error})") from error
    for answer in answers:
        address = str(answer[4][0])
        if not may_talk_to(address, deny, allow):
            raise Permanent(_refusal(host, address))


class GuardedResolver(AbstractResolver):
    """The system's resolver without the answers that are closed to triggers."""

    def __init__(self, deny: Sequence[Network], allow: Sequence[Network]) -> None:
        self._inner = ThreadedResolver()
        self._deny = deny
        self._allow = allow

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        answers = await self._inner.resolve(host, port, family)
        allowed = [answer for answer in answers if may_talk_to(answer["host"], self._deny, self._allow)]
        if answers and not allowed:
            raise Permanent(_refusal(host, answers[0]["host"]))
        return allowed

    async def close(self) -> None:
        await self._inner.close()


def _refusal(host: str, address: str) -> str:
    shown = host if host == address else f"{host} ({address})"
    return f"{shown} is closed to triggers: machines get their cloud credentials there; the operator may allow it"
