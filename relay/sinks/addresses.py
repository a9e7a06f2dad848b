"""Which addresses a callback may be posted to. The standard library classifies; here is what it does not know.

Whoever controls a callback's name in the DNS could lead its POSTs to where secrets are given to whoever asks from
inside: link-local addresses and the metadata services of clouds are refused always. Private addresses are where
callbacks usually live, so they are refused only if told so.

An IPv6 address that stands for an IPv4 address is judged by that one, too: the packets end there.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

Address = IPv4Address | IPv6Address

METADATA = {
    ip_network(network): cloud
    for network, cloud in (
        ("fd00:ec2::/32", "AWS"),  # instance metadata, pod identity, and nothing that could be a callback
        ("fd20:ce::254", "Google Cloud"),
        ("fd00:c1::a9fe:a9fe", "Oracle Cloud"),
        ("192.0.0.192", "Oracle Cloud"),
        ("100.100.100.200", "Alibaba Cloud"),
        ("fd00:100::100:200", "Alibaba Cloud"),
        ("168.63.129.16", "Azure"),  # a public address; WireServer hands out certificates of the machine
        ("fd00:42::42", "Scaleway"),
        ("fd00:a9fe:a9fe::1", "Akamai Cloud"),
    )
}
"""Where clouds tell a machine its secrets, besides 169.254.169.254 and others that are link-local."""

_LAST_32_BITS = tuple(
    ip_network(network)
    for network in (
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "::ffff:0:0:0/96",  # translated (RFC 2765)
        "::/96",  # compatible (RFC 4291), but for :: and ::1
    )
)
_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")
_ISATAP = (0x00005EFE, 0x02005EFE)

_STANDS_FOR_IPV4_ALONE = tuple(ip_network(network) for network in ("::ffff:0:0/96", "64:ff9b::/96", "2002::/16"))
"""Says nothing by itself: the IPv4 address within decides whether it is private."""


def refusal(host: str, *, allow_private: bool) -> str:
    """Why `host`, an IP address as text, may not be connected to, and the cure; empty if it may."""
    try:
        address = ip_address(host)
    except ValueError:
        return f"{host} is no IP address; correct url"
    faces = tuple(_faces(address))
    never = next(filter(None, map(_never_allowed, faces)), "")
    if never:
        return f"{host} is {never}, which no callback may be; correct url, or its name in the DNS"
    if not allow_private and any(map(_is_private, faces)):
        return f"{host} is a private address and allow_private is false; correct url, its name in the DNS, or that key"
    return ""


def _faces(address: Address) -> Iterator[Address]:
    """The address itself, unless it merely stands for others, and the IPv4 addresses within."""
    if not isinstance(address, IPv6Address):
        yield address
        return
    if address.scope_id is not None:
        address = IPv6Address(int(address))
    if not any(address in network for network in _STANDS_FOR_IPV4_ALONE):
        yield address
    yield from _within(address)


def _within(address: IPv6Address) -> Iterator[IPv4Address]:
    bits = int(address)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if bits > 1 and any(address in network for network in _LAST_32_BITS):
        yield IPv4Address(bits & 0xFFFFFFFF)
    if bits >> 32 & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(bits & 0xFFFFFFFF)
    if address in _LOCAL_NAT64:
        yield from _within_local_nat64(bits)


def _within_local_nat64(bits: int) -> Iterator[IPv4Address]:
    """By every length that such a prefix may have; bits 64 to 71 are skipped by all but the longest (RFC 6052)."""
    yield IPv4Address(bits & 0xFFFFFFFF)
    for length in (48, 56, 64):
        before, after = _cut(bits, length, 64), _cut(bits, 72, length + 40)
        yield IPv4Address(before << (length - 32) | after)


def _cut(bits: int, first: int, end: int) -> int:
    """Bits `first` to before `end`, counted from the left."""
    return bits >> (128 - end) & ((1 << (end - first)) - 1)


def _never_allowed(address: Address) -> str:
    if address.is_link_local:
        return "a link-local address (metadata of clouds)"
    for network, cloud in METADATA.items():
        if address in network:
            return f"the metadata service of {cloud}"
    return ""


def _is_private(address: Address) -> bool:
    """All that is not a host of the public Internet: RFC 1918, loopback, ULA, CGNAT, unspecified, multicast, …"""
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return not address.is_global or address.is_multicast or address.is_reserved or site_local
