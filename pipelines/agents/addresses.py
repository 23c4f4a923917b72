"""Which addresses `http` templates may talk to: checked after name resolution, so that no name can lead around it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from socket import AddressFamily

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from retrain.errors import Refused

Network = IPv4Network | IPv6Network

_NAT64 = ip_network("64:ff9b::/96")
METADATA: tuple[Network, ...] = tuple(
    ip_network(one) for one in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "100.100.100.200/32", "192.0.0.192/32")
)
"""Where clouds hand out a machine's credentials to whoever asks from it. No template may ask."""


class AddressGuard(AbstractResolver):
    """The system's resolver without the answers that are closed. `private`: whether addresses that are not of the open
    internet (this machine, its networks) may be talked to."""

    def __init__(self, private: bool, deny: Sequence[Network] = METADATA) -> None:
        self._inner = ThreadedResolver()
        self._private = private
        self._deny = tuple(deny)

    def check(self, host: str) -> None:
        """Refuse a host that is itself a closed address. A name is left to `resolve`.

        Raises:
            Refused: it is closed.
        """
        try:
            is_open = self._is_open(host)
        except ValueError:
            return
        if not is_open:
            raise Refused(f"{host} is closed to http templates")

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        answers = await self._inner.resolve(host, port, family)
        allowed = [answer for answer in answers if self._is_open(answer["host"])]
        if answers and not allowed:
            raise Refused(f"{host} ({answers[0]['host']}) is closed to http templates")
        return allowed

    async def close(self) -> None:
        await self._inner.close()

    def _is_open(self, address: str) -> bool:
        plain = _plain(ip_address(address.strip("[]").partition("%")[0]))
        if any(plain in network for network in self._deny):
            return False
        return self._private or plain.is_global


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address in IPv6 clothing is judged as the IPv4 address."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(address.packed[12:])
    return address
