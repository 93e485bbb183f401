"""Where the server may send requests on somebody else's word: to the public internet, and to networks that are named.

Whoever subscribes chooses an address that our server then connects to, from inside our network. What is not public is
refused: this machine, its neighbours, and the services by which clouds tell machines their credentials. A name is
looked up each time and the addresses found are checked; the connection is made to those very addresses, so that a
name which answers differently a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Final
from urllib.parse import urlsplit

from agentmem.errors import Fault, InvalidInput
from agentmem.kit.networks import Address, Network, holds, parse_address

# IANA's registries of special-purpose addresses (RFC 6890), and the address at which Azure answers its machines.
_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
)
_GLOBAL_6: Final = IPv6Network("2000::/3")
"""All that is global unicast: not loopback, link-local, unique local, multicast, mapped, nor NAT64 (64:ff9b::/96)."""
# Inside of it: protocols of the IETF with Teredo, documentation, 6to4 (which leads to an address of IPv4).
_NOT_PUBLIC_6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.]{2,45}\]")
_PRINTABLE: Final = re.compile(r"[!-\[\]-~]+")  # no space, no control character, no backslash, nothing beyond ASCII


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public internet."""
    if isinstance(address, IPv4Address):
        return not holds(_NOT_PUBLIC_4, address)
    return address in _GLOBAL_6 and not holds(_NOT_PUBLIC_6, address)


@dataclass(frozen=True, kw_only=True, slots=True)
class Destinations:
    """What may be connected to: public addresses, and these ``networks``; by ``https``, or ``http`` if allowed."""

    http: bool = False
    networks: tuple[Network, ...] = ()

    def admits(self, address: Address) -> bool:
        """Tell whether an address may be connected to."""
        return is_public(address) or holds(self.networks, address)

    def check(self, url: str) -> str:
        """Give a URL back if requests may be sent to it, as far as its text shows; raises :class:`InvalidInput`."""
        reason = self._fault(url)
        if reason is not None:
            raise InvalidInput(f"Input is not valid: url: {reason}.", faults=[Fault(field="url", message=reason)])
        return url

    def _fault(self, url: str) -> str | None:
        if not _PRINTABLE.fullmatch(url):
            return "holds a space, a backslash, or what is not printable ASCII; encode it"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return "is not a URL"
        if parts.scheme not in {"https", "http"}:
            return "is not https://"
        if parts.scheme == "http" and not self.http:
            return "is not https://, and the server does not allow http:// (AGENTMEM_WEBHOOK_HTTP)"
        if "@" in parts.netloc:
            return "holds a user name; a receiver knows us by the signature"
        if "#" in url:
            return "holds a fragment, which is never sent"
        host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
        if not _HOST.fullmatch(host) or port == 0:
            return "names no host that can be connected to"
        try:
            address = parse_address(host.strip("[]"))
        except ValueError:
            return None  # a name: what it stands for is looked at when it is connected to
        if not self.admits(address):
            return f"leads to {address}, which is not public; name its network in AGENTMEM_WEBHOOK_NETWORKS"
        return None
