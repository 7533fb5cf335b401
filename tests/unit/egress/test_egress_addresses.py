"""Which addresses the door lets a call reach."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.egress.addresses import parse_networks, why_forbidden
from tidegate.kernel.errors import Invalid


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses_are_reached(address: str) -> None:
    assert why_forbidden(address) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),  # noqa: S104
        ("::", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("fd00::1", "private"),
        ("fec0::1", "private"),
        ("64:ff9b:1::1", "private"),
        ("100.64.0.1", "reserved"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("240.0.0.1", "private"),
        ("255.255.255.255", "private"),
        ("::ffff:127.0.0.1", "loopback address .127.0.0.1. in disguise"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::7f00:1", "loopback"),
        ("64:ff9b::a00:1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2002:c0a8:101::1", "private"),
        ("::127.0.0.1", "loopback"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "private"),
        ("2001:db8::1", "private"),
        ("", "no address"),
        ("localhost", "no address"),
    ],
)
def test_others_are_forbidden_with_a_reason(address: str, reason: str) -> None:
    why = why_forbidden(address)
    assert why is not None
    assert reason.replace(".127.0.0.1.", "(127.0.0.1)") in why


@given(st.ip_addresses(v=4))
def test_a_disguise_changes_nothing(address: IPv4Address) -> None:
    plain = why_forbidden(str(address)) is None
    number = int(address)
    mapped = IPv6Address(0xFFFF << 32 | number)
    nat64 = IPv6Address(0x64FF9B << 96 | number)
    six_to_four = IPv6Address(0x2002 << 112 | number << 80 | 1)
    assert [why_forbidden(str(other)) is None for other in (mapped, nat64, six_to_four)] == [plain] * 3


def test_an_allowed_network_opens_itself_only() -> None:
    allowed = parse_networks(["10.0.0.0/8", "fd00::/8"])
    assert why_forbidden("10.9.8.7", allowed) is None
    assert why_forbidden("::ffff:10.9.8.7", allowed) is None
    assert why_forbidden("fd00::7", allowed) is None
    assert why_forbidden("192.168.0.1", allowed) is not None
    assert why_forbidden("127.0.0.1", allowed) is not None


@pytest.mark.parametrize("texts", [["10.0.0.1/8"], ["everything"], "10.0.0.0/8"])
def test_mistaken_networks_are_invalid(texts: list[str]) -> None:
    with pytest.raises(Invalid, match="allow_private"):
        parse_networks(texts)
