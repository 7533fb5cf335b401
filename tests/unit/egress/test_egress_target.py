"""How the door reads a URL."""

import pytest

from tidegate.egress.target import Target, parse_target
from tidegate.kernel.errors import Invalid


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.org", Target("http", "example.org", 80, "/")),
        ("https://Example.ORG:8443/a%20b?q=1&r=/x#part", Target("https", "example.org", 8443, "/a%20b?q=1&r=/x")),
        ("http://[2606:4700::1111]:81/x", Target("http", "2606:4700::1111", 81, "/x")),
        ("http://bücher.example/", Target("http", "xn--bcher-kva.example", 80, "/")),
        ("http://1.1.1.1?q", Target("http", "1.1.1.1", 80, "/?q")),
    ],
)
def test_plain_urls_are_read(url: str, target: Target) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "//example.org/x",
        "ftp://example.org",
        "file:///etc/passwd",
        "gopher://example.org",
        "http://",
        "http:///path",
        "http://user@example.org",
        "http://user:secret@example.org",
        "http://public.example@127.0.0.1/",
        "http://example.org:port",
        "http://example.org:99999",
        "http://example.org\\@127.0.0.1/",
        "http://exam ple.org/",
        "http://example.org/a b",
        "http://example.org/\r\nX: y",
        "http://example.org/\tx",
        "http://example.org/ü",
        "http://[fe80::1%25eth0]/",
        "http://[::1",
        "http://a/b/\x00",
        "http://%31%32%37.0.0.1/",
        "http://" + "a" * 300 + ".example/",
        None,
        7,
    ],
)
def test_other_urls_are_invalid(url: str) -> None:
    with pytest.raises(Invalid):
        parse_target(url)


def test_a_message_never_repeats_the_secrets_of_a_url() -> None:
    with pytest.raises(Invalid) as caught:
        parse_target("http://user:hunter2@example.org/?token=swordfish")
    assert "hunter2" not in str(caught.value)
    assert "swordfish" not in str(caught.value)
