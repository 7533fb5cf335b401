"""Where an outbound call goes, read strictly from its URL."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from tidegate.kernel.errors import Invalid

_PORTS = {"http": 80, "https": 443}
_VISIBLE = re.compile(r"[!-~]*")
_HOST = re.compile(r"[a-z0-9_.-]{1,253}|[0-9a-f:.]{2,45}")


class Target(NamedTuple):
    """One place on one server."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query, as it stands in the request line."""

    @property
    def site(self) -> str:
        """The server alone, for messages: a path or a query may hold a secret."""
        return f"{self.scheme}://{self.host}:{self.port}"


def parse_target(url: str) -> Target:
    """The place that a URL names. Raises `Invalid` on anything but plain http and https without user or password."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii(parts.hostname or "")
    except (ValueError, AttributeError, TypeError) as error:
        raise Invalid(f"the URL of an outbound call cannot be read: {error}") from error
    if parts.scheme not in _PORTS:
        raise Invalid(
            f"an outbound call goes to http:// or https://, not to {parts.scheme[:20] or 'a URL without scheme'}"
        )
    if "@" in parts.netloc:
        raise Invalid("the URL of an outbound call may hold no user and password: give them as a header")
    if not _HOST.fullmatch(host):
        raise Invalid(f"{host[:80]!r} in the URL of an outbound call is not the name or address of a host")
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    # urlsplit drops tabs and newlines without a word, so the whole is looked at, not the parts.
    if not _VISIBLE.fullmatch(path) or "\\" in url or any(character <= " " for character in url):
        raise Invalid(f"the path of a call to {host} holds characters that must be percent-encoded")
    return Target(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, path)


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode("ascii")
