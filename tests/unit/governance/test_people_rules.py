"""The rules of people: the last admin, roles, lifetimes; and the form of a token."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.governance import rules, tokens
from tidegate.governance.records import NewToken, Person, PersonAdded, Token
from tidegate.kernel.errors import AlreadyExists, Invalid, NotFound, Refused

ADA = Person(name="ada", roles=("admin", "approver"))
AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_last_admin_stays_one() -> None:
    with pytest.raises(Refused, match="last admin"):
        rules.check_revocable(ADA, "admin", ["ada"])
    rules.check_revocable(ADA, "admin", ["ada", "bob"])
    rules.check_revocable(ADA, "approver", ["ada"])
    with pytest.raises(NotFound, match="does not hold the role auditor"):
        rules.check_revocable(ADA, "auditor", ["ada"])


def test_who_approves_may_look_and_who_holds_nothing_may_nothing() -> None:
    assert rules.effective(("approver",)) == {"approver", "viewer"}
    assert rules.effective(()) == frozenset()


def test_the_home_begins_with_local() -> None:
    assert rules.local_person().roles == ("admin", "approver", "auditor")


def test_a_name_is_taken_once() -> None:
    rules.check_new("ada", None)
    with pytest.raises(AlreadyExists, match="new-token ada"):
        rules.check_new("ada", ADA)


def test_lifetimes_have_bounds() -> None:
    assert rules.expiry(AT, None) is None
    assert rules.expiry(AT, 60) == AT + timedelta(minutes=1)
    for wrong in (0, -1, 10**12):
        with pytest.raises(Invalid):
            rules.expiry(AT, wrong)


def test_tokens_are_long_safe_and_never_alike() -> None:
    made = {tokens.new_token() for _ in range(200)}
    assert len(made) == 200
    assert all(tokens.is_token(token) and len(token) == 46 for token in made)
    assert not tokens.is_token("tg_short")
    assert not tokens.is_token(next(iter(made)) + "\n")
    assert len({tokens.digest_of(token) for token in made}) == 200
    assert tokens.same("a", "a")
    assert not tokens.same("a", "b")


def test_a_token_is_not_in_the_text_of_its_record() -> None:
    token = tokens.new_token()
    info = Token(id="1", person="ada", created_at=AT, created_by="local")
    for record in (NewToken(info=info, token=token), PersonAdded(person=ADA, info=info, token=token)):
        assert token not in repr(record)
        assert token not in f"{record}"
