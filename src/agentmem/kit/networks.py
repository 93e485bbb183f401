"""Internet addresses and networks: read strictly, compared in one form, and found behind proxies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
IPV6_NETWORK: Final = 64
"""Bits of an IPv6 address that name its network: one customer has all addresses behind them."""


def parse_address(text: str) -> Address:
    """Read an address; one of IPv4 that is written as IPv6 (``::ffff:192.0.2.1``) becomes what it is.

    Raises ``ValueError`` for anything else, zone ids (``fe80::1%eth0``) included: they mean nothing elsewhere.
    """
    if "%" in text:
        raise ValueError("has a zone id, which means nothing on another machine")
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("is not an internet address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_network(text: str) -> Network:
    """Read a network such as ``192.0.2.0/24``; a single address is a network of one.

    Raises ``ValueError`` when bits beyond the prefix are set, for then it is unclear what was meant.
    """
    if "%" in text:
        raise ValueError("has a zone id, which means nothing on another machine")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("is not a network in the form address/bits") from None
    if "/" in text and ip_address(text.split("/", 1)[0]) != network.network_address:
        raise ValueError(f"has bits set beyond its prefix; {network} would be the whole network")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        inner = network.network_address.ipv4_mapped
        return IPv4Network((int(inner or 0), network.prefixlen - 96))
    return network


def holds(networks: Iterable[Network], address: Address) -> bool:
    """Tell whether any of the networks has the address."""
    return any(address in network for network in networks)


def all_within(inner: Iterable[Network], outer: Sequence[Network]) -> bool:
    """Tell whether each inner network lies in one of the outer ones."""
    return all(any(_lies_in(network, other) for other in outer) for network in inner)


def client_address(peer: Address, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> Address:
    """Find who sent a request: the rightmost address of ``X-Forwarded-For`` that is no proxy of ours.

    ``forwarded_for`` are the header's lines as they came. They count only if the peer is a trusted proxy, and each
    address only if every one to the right of it is trusted: what stands further left was written by strangers. An
    entry that is no address ends the search at the proxy that passed it on.
    """
    found = peer
    hops = [hop.strip() for line in forwarded_for for hop in line.split(",")]
    for hop in reversed(hops):
        if not holds(trusted, found):
            break
        try:
            found = parse_address(hop)
        except ValueError:
            break
    return found


def network_of(address: Address) -> str:
    """Name who is behind an address: an IPv4 address itself, of an IPv6 address the first 64 bits."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), IPV6_NETWORK), strict=False))


def _lies_in(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network) and inner.subnet_of(outer)
