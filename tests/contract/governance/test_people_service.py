"""People, roles and tokens, seen in four ways; a change of roles holds at the very next call."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from tidegate.events.store import EventLog
from tidegate.governance.authority import PeopleAuthority
from tidegate.governance.records import Person
from tidegate.governance.store import SqlPeople
from tidegate.kernel.clock import SystemClock
from tidegate.kernel.context import Call, current
from tidegate.kernel.errors import AlreadyExists, Forbidden, Invalid, NotFound, Refused, Unauthenticated
from tidegate.storage.schema import metadata
from tidegate.testing.workspaces import Home
from tidegate.workspace import Workspace, open_local


class LaterClock(SystemClock):
    """The machine's clock, an hour on."""

    def wall(self):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return super().wall() + timedelta(hours=1)


@contextlib.contextmanager
def keyed(key: str) -> Iterator[None]:
    """Calls in the block carry this idempotency key, as a client's repeated request does."""
    token = current.set(Call(actor="local", idempotency_key=key))
    try:
        yield
    finally:
        current.reset(token)


def everything(home: Home) -> str:
    """All that the catalog keeps, as text."""
    found = []
    with home.inside.storage.catalog.connect() as connection:
        for table in metadata.sorted_tables:
            found += [repr(tuple(row)) for row in connection.execute(sa.select(table))]
    return "\n".join(found)


def test_law_3_local_is_there_from_the_beginning_and_may_do_everything(workspace: Workspace) -> None:
    local = workspace.people.get("local")
    assert local.roles == ("admin", "approver", "auditor")
    assert [person.name for person in workspace.people.list().items] == ["local"]
    assert workspace.audit.verify().intact


def test_a_person_acts_with_the_roles_that_were_granted(home: Home) -> None:
    workspace = home.workspace
    added = workspace.people.add("ada", role="viewer")
    assert (added.person.name, added.person.roles, added.person.created_by) == ("ada", ("viewer",), "local")
    ada = home.acting("ada")
    assert ada.models.list().items == []
    with pytest.raises(Forbidden, match="tidegate people grant ada --role admin"):
        ada.people.grant("ada", role="admin")
    workspace.people.grant("ada", role="admin")
    assert ada.people.grant("ada", role="admin").roles == ("viewer", "admin")
    assert ada.people.revoke("ada", role="admin").roles == ("viewer",)
    with pytest.raises(Forbidden):
        ada.people.grant("ada", role="admin")


def test_a_revoked_role_is_gone_at_the_next_call(home: Home) -> None:
    workspace = home.workspace
    workspace.people.add("rita", role="auditor")
    rita = home.acting("rita")
    for _ in range(3):
        assert rita.audit.verify().intact
        assert workspace.people.revoke("rita", role="auditor").roles == ()
        with pytest.raises(Forbidden):
            rita.audit.verify()
        with pytest.raises(Forbidden):
            rita.people.get("rita")
        workspace.people.grant("rita", role="auditor")


def test_a_role_that_another_process_revoked_is_gone_at_the_next_call(home: Home) -> None:
    """The other one has connections of its own, which is what the catalog's pulse tells apart."""
    home.workspace.people.add("rita", role="auditor")
    rita = home.acting("rita")
    with open_local(home.inside.settings) as other:
        for _ in range(5):
            for _ in range(2):
                assert rita.audit.verify().intact
            other.people.revoke("rita", role="auditor")
            for _ in range(2):
                with pytest.raises(Forbidden):
                    rita.audit.verify()
            other.people.grant("rita", role="auditor")


def test_roles_are_looked_up_once_until_anybody_commits(home: Home) -> None:
    """Where the catalog's pulse is quick; inside a transaction, what that has written counts."""
    catalog = home.inside.storage.catalog
    asked: list[str] = []

    class Counted(SqlPeople):
        def person(self, name: str) -> Person | None:
            asked.append(name)
            return super().person(name)

    register = Counted(catalog)
    authority = PeopleAuthority(register, SystemClock())
    home.workspace.people.add("rita", role="auditor")
    for _ in range(3):
        assert authority.roles("rita") == {"auditor", "viewer"}
    assert len(asked) == (1 if catalog.dialect == "sqlite" else 3)

    def work() -> None:
        register.save(Person(name="rita", roles=("approver",)))
        assert authority.roles("rita") == {"approver", "viewer"}
        raise Refused("taken back")

    with pytest.raises(Refused):
        catalog.write(work)
    assert authority.roles("rita") == {"auditor", "viewer"}
    with pytest.raises(Forbidden):
        authority.roles("nobody")
    home.workspace.people.add("nobody", role="viewer")
    assert authority.roles("nobody") == {"viewer"}


def test_an_approver_may_look_and_change_nothing_else(home: Home) -> None:
    home.workspace.people.add("rita", role="approver")
    rita = home.acting("rita")
    assert rita.people.get("rita").roles == ("approver",)
    with pytest.raises(Forbidden):
        rita.models.promote("late", 1, to="production")
    with pytest.raises(Forbidden):
        rita.audit.list()


def test_the_last_admin_stays_one(home: Home) -> None:
    workspace = home.workspace
    with pytest.raises(Refused, match="last admin"):
        workspace.people.revoke("local", role="admin")
    workspace.people.add("ada", role="admin")
    ada = home.acting("ada")
    assert workspace.people.revoke("local", role="admin").roles == ("approver", "auditor")
    with pytest.raises(Forbidden):
        workspace.people.add("bob", role="viewer")
    with pytest.raises(Refused, match="last admin"):
        ada.people.revoke("ada", role="admin")
    assert ada.people.grant("local", role="admin").roles == ("admin", "approver", "auditor")


def test_law_1_two_who_leave_at_once_leave_one_admin(home: Home) -> None:
    home.workspace.people.add("ada", role="admin")
    who = {"local": home.workspace, "ada": home.acting("ada")}
    together = threading.Barrier(2)

    def leave(name: str) -> bool:
        together.wait(10)
        try:
            who[name].people.revoke(name, role="admin")
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        left = list(pool.map(leave, who))
    assert sorted(left) == [False, True]


def test_what_is_not_there_is_said_plainly(workspace: Workspace) -> None:
    workspace.people.add("ada", role="viewer")
    with pytest.raises(NotFound, match="no person 'bob'"):
        workspace.people.get("bob")
    with pytest.raises(NotFound, match="does not hold the role admin"):
        workspace.people.revoke("ada", role="admin")
    with pytest.raises(AlreadyExists, match="new-token ada"):
        workspace.people.add("ada", role="viewer")
    with pytest.raises(AlreadyExists):
        workspace.people.add("local", role="viewer")
    with pytest.raises(Invalid):
        workspace.people.add("../ada", role="viewer")
    with pytest.raises(Invalid, match="role"):
        workspace.people.add("bob", role="owner")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="lifetime_seconds"):
        workspace.people.add("bob", role="viewer", lifetime_seconds=0)
    assert [person.name for person in workspace.people.list().items] == ["local", "ada"]


def test_people_come_in_pages_local_first(workspace: Workspace) -> None:
    for name in ("zoe", "ada", "mia"):
        workspace.people.add(name, role="viewer")
    workspace.people.grant("local", role="viewer")
    for limit in (1, 2, 3, 4):
        names, cursor = [], ""
        while True:
            page = workspace.people.list(limit=limit, cursor=cursor)
            names += [person.name for person in page.items]
            if page.next is None:
                break
            cursor = page.next
        assert names == ["local", "ada", "mia", "zoe"]


def test_tokens_are_known_until_they_are_revoked_or_expire(home: Home) -> None:
    workspace, authority = home.workspace, PeopleAuthority(SqlPeople(home.inside.storage.catalog), SystemClock())
    first = workspace.people.add("ada", role="viewer").token
    second = workspace.people.new_token("ada", lifetime_seconds=60)
    assert authority.person_of(first) == authority.person_of(second.token) == "ada"
    later = PeopleAuthority(SqlPeople(home.inside.storage.catalog), LaterClock())
    assert later.person_of(first) == "ada"
    with pytest.raises(Unauthenticated, match="expired"):
        later.person_of(second.token)
    listed = workspace.people.tokens("ada")
    assert listed[0] == second.info
    assert len(listed) == 2
    ended = workspace.people.revoke_token("ada", second.info.id)
    assert ended.revoked_at is not None
    assert workspace.people.revoke_token("ada", second.info.id) == ended
    with pytest.raises(Unauthenticated, match="revoked"):
        authority.person_of(second.token)
    assert authority.person_of(first) == "ada"
    with pytest.raises(NotFound, match="tidegate people tokens ada"):
        workspace.people.revoke_token("ada", "nothing")
    with pytest.raises(NotFound):
        workspace.people.new_token("bob")
    for wrong in ("", "tg_", "tg_" + "a" * 43, "Bearer " + first):
        with pytest.raises(Unauthenticated) as caught:
            authority.person_of(wrong)
        assert "a" * 43 not in caught.value.message
    with pytest.raises(Forbidden, match="no person 'bob'"):
        authority.roles("bob")
    assert authority.roles("local") == {"admin", "approver", "auditor", "viewer"}


def test_law_2_no_token_is_kept_anywhere_not_even_for_a_repeated_request(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    with keyed("once"):
        added = home.workspace.people.add("ada", role="viewer")
        with pytest.raises(AlreadyExists, match="new-token ada"):
            home.workspace.people.add("ada", role="viewer")
    with keyed("twice"):
        made = [home.workspace.people.new_token("ada") for _ in range(2)]
    tokens = {added.token, *(one.token for one in made)}
    assert len(tokens) == 3
    kept = everything(home)
    assert "ada" in kept
    assert "once" not in kept, "the answer would stand beside its key"
    for token in tokens:
        assert token not in kept
        assert token not in caplog.text


def test_adding_is_audited_and_told_once(home: Home) -> None:
    workspace = home.workspace
    workspace.people.add("ada", role="viewer")
    workspace.people.new_token("ada")
    with pytest.raises(AlreadyExists):
        workspace.people.add("ada", role="viewer")
    rows = workspace.audit.list(subject="ada").items
    assert [(row.operation, row.outcome) for row in rows] == [("people.new_token", "ok"), ("people.add", "ok")]
    events = EventLog(home.inside.storage.catalog, home.inside.storage.clock, home.inside.storage.ids).after(0)
    assert [event.type for event in events] == ["tidegate.people.added", "tidegate.people.token_made"]
    assert workspace.audit.verify().intact
