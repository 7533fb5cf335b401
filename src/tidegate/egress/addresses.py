"""Which addresses an outbound call may reach: public ones, and the networks that a setting allows."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from tidegate.kernel.errors import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")


def why_forbidden(address: str, allowed: Sequence[Network] = ()) -> str | None:
    """Why a call may not reach this address, as in "a loopback address", or None when it may."""
    try:
        outer = ip_address(address.partition("%")[0])
    except ValueError:
        return "no address at all"
    inner = _embedded(outer) or outer
    if any(candidate in network for network in allowed for candidate in (outer, inner)):
        return None
    kind = _kind(inner)
    if kind is not None and inner != outer:
        return f"{kind} ({inner}) in disguise"
    return kind


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks that a setting names, as in `10.0.0.0/8`. Raises `Invalid`."""
    if isinstance(texts, str):
        raise Invalid(f"allow_private takes a list of networks, not the text {texts!r}")
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise Invalid(f"allow_private: {error}; write a network as 10.0.0.0/8 or fd00::/8") from error


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address that a gateway or the system would really go to."""
    if not isinstance(address, IPv6Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    # `::` and `::1` lie in the range of the old compatible addresses, but have meanings of their own.
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def _kind(address: Address) -> str | None:
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_private or address in _NAT64_LOCAL or getattr(address, "is_site_local", False):
        return "a private address"
    return None if address.is_global and not address.is_reserved else "a reserved address"
