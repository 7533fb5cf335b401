"""Who is calling: tokens, loopback without accounts, foreign pages, and malformed headers."""

import base64
from datetime import UTC, datetime

import pytest

from tidegate.http.identity import HeaderAuthenticator, of_reader
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.errors import Forbidden, Invalid, Unauthenticated


class Told:
    """A clock that can be told the time."""

    def __init__(self) -> None:
        self.time = datetime(2013, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, to: datetime) -> None:
        self.time = max(self.time, to)


def person_of(token: str) -> str:
    if token != "tg_good":
        raise Unauthenticated("the token is not known")
    return "reviewer"


def authenticator(*, trust: bool = True) -> HeaderAuthenticator:
    return HeaderAuthenticator(person_of, SystemClock(), SystemClock(), trust_loopback=trust)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_loopback_without_a_token_is_local(host: str) -> None:
    assert authenticator().identify({"host": host}).actor == "local"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8000"},
        {"host": "localhost:8000", "origin": "https://evil.example"},
        {"host": "localhost:8000", "origin": "null"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "localhost:8000", "sec-fetch-site": "cross-site"},
        {"host": ""},
    ],
)
def test_foreign_hosts_and_pages_are_refused_without_a_token(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        authenticator().identify(headers)


def test_law_2_a_token_names_its_person_wherever_it_comes_from() -> None:
    call = authenticator(trust=False).identify({"authorization": "Bearer tg_good", "host": "models.example"})
    assert call.actor == "reviewer"


@pytest.mark.parametrize("value", ["Bearer tg_bad", "Basic dXNlcg==", "Bearer", "", "tg_good"])
def test_a_wrong_token_is_never_local(value: str) -> None:
    with pytest.raises(Unauthenticated):
        authenticator().identify({"authorization": value, "host": "localhost"})


def test_law_1_without_token_time_and_deadline_nothing_is_asked() -> None:
    def asked(token: str) -> str:
        raise AssertionError("the catalog was asked")

    judged = HeaderAuthenticator(asked, SystemClock(), SystemClock(), trust_loopback=True)
    assert judged.identify({"host": "localhost", "idempotency-key": "k", "x-request-id": "r"}).actor == "local"


def test_without_trust_a_token_is_needed() -> None:
    with pytest.raises(Unauthenticated, match="TIDEGATE_TOKEN"):
        authenticator(trust=False).identify({"host": "localhost"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("idempotency-key", "a b"),
        ("idempotency-key", "x" * 129),
        ("x-request-id", "\x00"),
        ("tidegate-deadline", "soon"),
        ("tidegate-deadline", "nan"),
        ("tidegate-deadline", "-1"),
        ("tidegate-time", "2013-01-01T00:00:00Z"),
    ],
)
def test_malformed_headers_are_named(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=r"(?i)" + name):
        authenticator().identify({"host": "localhost", name: value})


def test_only_a_simulated_home_can_be_told_the_time() -> None:
    clock = Told()
    told = HeaderAuthenticator(person_of, clock, SystemClock(), trust_loopback=True)
    told.identify({"host": "localhost", "tidegate-time": "2013-06-01T00:00:00+00:00"})
    assert clock.now() == datetime(2013, 6, 1, tzinfo=UTC)
    with pytest.raises(Invalid, match="time zone"):
        told.identify({"host": "localhost", "tidegate-time": "2013-06-01T00:00:00"})


def basic(text: bytes) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text).decode(), "host": "models.example"}


@pytest.mark.parametrize("text", [b"anybody:tg_good", b":tg_good", "Zoë:tg_good".encode()])
def test_a_reader_may_give_the_token_as_a_password(text: bytes) -> None:
    judged = authenticator(trust=False)
    assert judged.identify(of_reader(basic(text))).actor == "reviewer"
    with pytest.raises(Unauthenticated, match="Bearer"):
        judged.identify(basic(text))


@pytest.mark.parametrize(
    "text", [b"tg_good", b"tg_good:", b":", b"", b"reviewer:tg_bad", b"a:tg_good:", b"\xff:tg_good"]
)
def test_another_password_opens_nothing(text: bytes) -> None:
    with pytest.raises(Unauthenticated):
        authenticator(trust=True).identify(of_reader(basic(text)))


@pytest.mark.parametrize("value", ["Basic", "Basic ", "Basic !!!!", "basic dGdfZ29vZA", "Basic ä"])
def test_what_is_no_password_opens_nothing(value: str) -> None:
    with pytest.raises(Unauthenticated):
        authenticator(trust=True).identify(of_reader({"authorization": value, "host": "localhost"}))


@pytest.mark.parametrize("headers", [{"host": "localhost"}, {"authorization": "Bearer tg_good"}])
def test_a_reader_may_come_as_everybody_else(headers: dict[str, str]) -> None:
    assert of_reader(headers) is headers


def test_time_is_not_moved_by_someone_unknown() -> None:
    clock = Told()
    told = HeaderAuthenticator(person_of, clock, SystemClock(), trust_loopback=False)
    with pytest.raises(Unauthenticated):
        told.identify({"host": "localhost", "tidegate-time": "2013-06-01T00:00:00+00:00"})
    assert clock.now() == datetime(2013, 1, 1, tzinfo=UTC)


def test_a_deadline_is_counted_in_machine_time() -> None:
    clock = SystemClock()
    call = authenticator().identify({"host": "localhost", "tidegate-deadline": "30"})
    assert call.deadline is not None
    assert 29 < call.deadline - clock.monotonic() <= 30
