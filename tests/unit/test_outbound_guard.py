from __future__ import annotations

import pytest

from agentmem.errors import InvalidInput
from agentmem.foundation.outbound.guard import Destinations, is_public
from agentmem.kit.networks import parse_address, parse_network

PUBLIC = ("8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "2606:4700::1111")
NOT_PUBLIC = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1"),
    *("100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254"),
    *("fe80::1", "fec0::1", "ff02::1"),
)
BAD_URLS = {
    "another scheme": ("ftp://hooks.example/", "not https"),
    "no scheme": ("hooks.example/path", "not https"),
    "a script": ("javascript:alert(1)", "not https"),
    "in clear": ("http://hooks.example/", "AGENTMEM_WEBHOOK_HTTP"),
    "a user": ("https://us:er@hooks.example/", "user name"),
    "an empty user": ("https://@hooks.example/", "user name"),
    "a fragment": ("https://hooks.example/#part", "fragment"),
    "no host": ("https:///path", "no host"),
    "a port of 0": ("https://hooks.example:0/", "no host"),
    "a port that is none": ("https://hooks.example:99999/", "not a URL"),
    "a backslash": ("https://hooks.example\\@127.0.0.1/", "backslash"),
    "a space": ("https://hooks.example /", "space"),
    "a line break": ("https://hooks.example/\nHost: other", "space"),
    "beyond ASCII": ("https://hööks.example/", "ASCII"),
    "this machine": ("https://127.0.0.1:8443/", "not public"),
    "this machine in brackets": ("https://[::1]/", "not public"),
    "this machine as IPv6": ("https://[::ffff:127.0.0.1]/", "not public"),
    "credentials of a cloud": ("https://169.254.169.254/latest/meta-data/", "not public"),
    "a link": ("https://[fe80::1%25eth0]/", "no host"),
}


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_is_public(text: str) -> None:
    assert is_public(parse_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_address_of_a_machine_or_network_of_ours_is_not_public(text: str) -> None:
    assert not is_public(parse_address(text))


def test_network_that_is_named_is_admitted_and_its_neighbour_is_not() -> None:
    destinations = Destinations(networks=(parse_network("10.1.0.0/16"),))

    assert destinations.admits(parse_address("10.1.2.3"))
    assert destinations.admits(parse_address("::ffff:10.1.2.3"))
    assert not destinations.admits(parse_address("10.2.0.1"))


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/in?token=x", "https://8.8.8.8/", "https://[2606:4700::1111]:8443/x"]
)
def test_url_of_a_public_place_is_taken_as_it_is(url: str) -> None:
    assert Destinations().check(url) == url


@pytest.mark.parametrize("url, reason", BAD_URLS.values(), ids=BAD_URLS)
def test_url_that_nothing_may_be_sent_to_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        Destinations().check(url)

    assert [fault.field for fault in caught.value.faults] == ["url"]


def test_http_is_taken_where_the_server_allows_it_and_other_schemes_never() -> None:
    assert Destinations(http=True).check("http://hooks.example/") == "http://hooks.example/"
    with pytest.raises(InvalidInput, match="not https"):
        Destinations(http=True).check("gopher://hooks.example/")
