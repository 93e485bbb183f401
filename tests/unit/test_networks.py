"""Addresses and networks: one form for each, and no stranger's word about where a request came from."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from random import Random

import pytest

from agentmem.kit.networks import NetworkSet, all_within, client_address, holds, parse_address, parse_network

PROXIES = [parse_network("10.0.0.0/8"), parse_network("fd00::/8")]


@pytest.mark.parametrize(
    "text, read",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
    ],
)
def test_each_address_is_read_in_one_form(text: str, read: str) -> None:
    assert str(parse_address(text)) == read


@pytest.mark.parametrize(
    "text", ["", "fe80::1%eth0", "192.0.2.1:80", "192.0.2.256", "0192.0.2.1", "[::1]", "localhost", "1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|zone"):
        parse_address(text)


@pytest.mark.parametrize(
    "text, read",
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_each_network_is_read_in_one_form(text: str, read: str) -> None:
    assert str(parse_network(text)) == read


@pytest.mark.parametrize(
    "text", ["", "192.0.2.1/24", "192.0.2.0/33", "fe80::%eth0/64", "example", "192.0.2.0/24/1", "2001:db8::1/32"]
)
def test_what_is_no_whole_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"network|zone"):
        parse_network(text)


def test_network_of_one_family_never_holds_an_address_of_the_other() -> None:
    assert not holds([parse_network("0.0.0.0/0")], parse_address("2001:db8::1"))
    assert not holds([parse_network("::/0")], parse_address("192.0.2.1"))
    assert holds([parse_network("0.0.0.0/0")], parse_address("::ffff:192.0.2.1"))


def test_inner_networks_must_each_lie_in_an_outer_one() -> None:
    outer = [parse_network("192.0.2.0/24"), parse_network("2001:db8::/32")]

    assert all_within([parse_network("192.0.2.128/25"), parse_network("2001:db8:1::/48")], outer)
    assert not all_within([parse_network("192.0.2.0/23")], outer)
    assert not all_within([parse_network("192.0.2.128/25"), parse_network("::/0")], outer)


@pytest.mark.parametrize(
    "peer, forwarded_for, found",
    [
        ("198.51.100.7", [], "198.51.100.7"),
        # A stranger may write what it likes.
        ("198.51.100.7", ["203.0.113.1"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.1"], "203.0.113.1"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.1"], "203.0.113.1"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.1, 10.0.0.2"], "203.0.113.1"),
        ("10.0.0.1", ["1.2.3.4", "203.0.113.1", " 10.0.0.2 ,fd00::2"], "203.0.113.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["::ffff:203.0.113.1"], "203.0.113.1"),
        ("10.0.0.1", ["2001:db8::9"], "2001:db8::9"),
        # What cannot be read is not skipped: behind it stands what a stranger wrote.
        ("10.0.0.1", ["203.0.113.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.1, fe80::1%eth0, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
    ],
)
def test_client_is_the_rightmost_address_that_is_no_proxy_of_ours(
    peer: str, forwarded_for: list[str], found: str
) -> None:
    assert str(client_address(parse_address(peer), forwarded_for, PROXIES)) == found


@pytest.mark.parametrize("seed", range(20))
def test_set_of_networks_has_what_one_of_them_has(seed: int) -> None:
    random = Random(seed)
    networks = [
        IPv4Network((random.getrandbits(8) << 8, random.randint(20, 32)), strict=False)
        if random.random() < 0.5
        else IPv6Network((random.getrandbits(8) << 8, random.randint(116, 128)), strict=False)
        for _ in range(random.randint(0, 12))
    ]
    found = NetworkSet(networks)

    assert bool(found) == bool(networks)
    for number in range(0, 1 << 16, 37):
        for address in (IPv4Address(number), IPv6Address(number)):
            assert (address in found) == holds(networks, address)
