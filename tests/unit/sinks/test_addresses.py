"""Which addresses a callback may be posted to."""

import ipaddress

import pytest

from relay.sinks.addresses import refusal

LINK_LOCAL = "a link-local address (metadata of clouds)"

ALWAYS_REFUSED = [
    ("169.254.169.254", LINK_LOCAL),
    ("169.254.0.1", LINK_LOCAL),
    ("169.254.170.2", LINK_LOCAL),
    ("fe80::1", LINK_LOCAL),
    ("fe80::a9fe:a9fe%2", LINK_LOCAL),
    ("febf:ffff::1", LINK_LOCAL),
    ("fd00:ec2::254", "the metadata service of AWS"),
    ("fd00:ec2::23", "the metadata service of AWS"),
    ("fd00:ec2::254%1", "the metadata service of AWS"),
    ("fd20:ce::254", "the metadata service of Google Cloud"),
    ("fd00:c1::a9fe:a9fe", "the metadata service of Oracle Cloud"),
    ("192.0.0.192", "the metadata service of Oracle Cloud"),
    ("100.100.100.200", "the metadata service of Alibaba Cloud"),
    ("fd00:100::100:200", "the metadata service of Alibaba Cloud"),
    ("168.63.129.16", "the metadata service of Azure"),
    ("fd00:42::42", "the metadata service of Scaleway"),
    ("fd00:a9fe:a9fe::1", "the metadata service of Akamai Cloud"),
    # 169.254.169.254 = a9fe:a9fe within an IPv6 address
    ("::ffff:169.254.169.254", LINK_LOCAL),
    ("::ffff:a9fe:a9fe%3", LINK_LOCAL),
    ("::a9fe:a9fe", LINK_LOCAL),
    ("::ffff:0:169.254.169.254", LINK_LOCAL),
    ("64:ff9b::169.254.169.254", LINK_LOCAL),
    ("64:ff9b::100.100.100.200", "the metadata service of Alibaba Cloud"),
    ("64:ff9b:1::169.254.169.254", LINK_LOCAL),  # prefix of 96 bits
    ("64:ff9b:1:a9fe:a9:fe00::", LINK_LOCAL),  # of 48
    ("64:ff9b:1:a9:fe:a9fe::", LINK_LOCAL),  # of 56: 8 bits, the skipped ones, 24
    ("64:ff9b:1:7:a9:fea9:fe00:0", LINK_LOCAL),  # of 64
    ("2002:a9fe:a9fe::1", LINK_LOCAL),
    ("2001:0:808:808::5601:5601", LINK_LOCAL),  # Teredo, the client inverted
    ("2001:0:a9fe:a9fe::1", LINK_LOCAL),  # Teredo, the server
    ("2001:db8::5efe:169.254.169.254", LINK_LOCAL),  # ISATAP
    ("2001:4860::200:5efe:a9fe:a9fe", LINK_LOCAL),
]

PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "100::1",
    "2001:db8::1",
    "4000::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::8.8.8.8",
    "2002:a00:1::1",
    "2002:7f00:1::1",
    "2001:4860::5efe:10.0.0.1",
]

PUBLIC = [
    "8.8.8.8",
    "169.253.255.255",
    "169.255.0.1",
    "172.32.0.1",
    "100.63.255.255",
    "168.63.129.17",
    "2001:4860:4860::8888",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]


@pytest.mark.parametrize(("host", "what"), ALWAYS_REFUSED)
@pytest.mark.parametrize("allow_private", [True, False])
def test_link_local_and_metadata_addresses_are_refused_always(host: str, what: str, allow_private: bool) -> None:
    assert refusal(host, allow_private=allow_private) == (
        f"{host} is {what}, which no callback may be; correct url, or its name in the DNS"
    )


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_refused_if_told_so(host: str) -> None:
    assert refusal(host, allow_private=True) == ""
    assert refusal(host, allow_private=False) == (
        f"{host} is a private address and allow_private is false; correct url, its name in the DNS, or that key"
    )


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_are_not_refused(host: str) -> None:
    assert refusal(host, allow_private=False) == ""
    assert refusal(host, allow_private=True) == ""


@pytest.mark.parametrize(
    "host", ["localhost", "", "127.1", "0x7f.1", "2130706433", "017700000001", "1.2.3.4.5", "::1%"]
)
def test_what_is_no_address_in_full_is_not_connected_to(host: str) -> None:
    assert refusal(host, allow_private=True) == f"{host} is no IP address; correct url"


def test_a_refusal_fits_into_what_is_kept_of_an_error() -> None:
    longest = "2001:4860:1234:5678:0200:5efe:a9fe:a9fe%" + "x" * 15  # an interface's name has at most 15 characters
    assert len("address: " + refusal(longest, allow_private=False)) <= 200
    assert ipaddress.ip_address(longest)
