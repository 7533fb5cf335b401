"""Reading the audit chain, and finding what was done to it behind our back."""

import pytest
import sqlalchemy as sa

from tests.contract.models.late_models import registered
from tidegate.governance.records import ChainReport
from tidegate.kernel.errors import Forbidden, Invalid, Refused
from tidegate.testing.workspaces import Home

ROWS = 6


def tampered(home: Home, statement: str) -> ChainReport:
    """What `verify` says after this statement was run on the chain of six rows."""
    for number in range(ROWS):
        registered(home.workspace, "late", bytes([number]))
    before = home.workspace.audit.verify()
    assert (before.intact, before.rows, before.broken_at) == (True, ROWS, None)
    edited(home, statement)
    return home.workspace.audit.verify()


def edited(home: Home, statement: str) -> None:
    """Run a statement on the catalog, past everything."""
    catalog = home.inside.storage.catalog

    def work() -> None:
        with catalog.connect() as connection:
            connection.execute(sa.text(statement))

    catalog.write(work)


def test_rows_say_who_did_what_newest_first(home: Home) -> None:
    workspace = home.workspace
    registered(workspace, "late")
    workspace.people.add("max", role="contributor")
    registered(home.acting("max"), "early")
    with pytest.raises(Refused):
        workspace.models.promote("late", 1, to="production")
    rows = workspace.audit.list(operation="models.register").items
    assert [(row.actor, row.subject, row.outcome) for row in rows] == [("max", "early", "ok"), ("local", "late", "ok")]
    refused = workspace.audit.list(subject="late/1").items[0]
    assert (refused.operation, refused.outcome) == ("models.promote", "refused")
    assert "gate:quality was not run" in refused.detail
    assert [row.operation for row in workspace.audit.list(actor="max").items] == ["models.register"]
    page = workspace.audit.list(limit=2)
    assert page.next is not None
    older = workspace.audit.list(limit=2, cursor=page.next).items
    assert page.items[-1].position > older[0].position


def test_reading_takes_the_role_auditor(home: Home) -> None:
    home.workspace.people.add("max", role="maintainer")
    with pytest.raises(Forbidden, match="role auditor"):
        home.acting("max").audit.list()
    with pytest.raises(Forbidden, match="role auditor"):
        home.acting("max").audit.verify()


@pytest.mark.parametrize(
    ("done", "statement", "held"),
    [
        ("changed", "UPDATE audit SET actor = 'mallory' WHERE position = 3", 2),
        ("outcome", "UPDATE audit SET outcome = 'ok ' WHERE position = 1", 0),
        ("removed", "DELETE FROM audit WHERE position = 4", 3),
        ("moved", "UPDATE audit SET position = 99 WHERE position = 2", 1),
        ("rehashed", "UPDATE audit SET hash = previous WHERE position = 6", 5),
    ],
)
def test_what_was_done_to_a_row_is_found(home: Home, done: str, statement: str, held: int) -> None:
    found = tampered(home, statement)
    assert (found.intact, found.rows) == (False, held), done
    assert found.broken_at is not None
    assert str(found.broken_at) in found.message


def test_an_inserted_row_is_found(home: Home) -> None:
    columns = "at, actor, operation, subject, outcome, detail, request_id, request_digest, previous, hash"
    found = tampered(home, f"INSERT INTO audit ({columns}) SELECT {columns} FROM audit WHERE position = 6")
    assert (found.intact, found.rows, found.broken_at) == (False, ROWS, ROWS + 1)


def test_rows_cut_off_at_the_end_are_found(home: Home) -> None:
    found = tampered(home, "DELETE FROM audit WHERE position > 4")
    assert (found.intact, found.rows, found.broken_at) == (False, 4, 5)


def test_a_chain_written_anew_is_found_by_who_noted_a_head(home: Home) -> None:
    registered(home.workspace, "late")
    noted = home.workspace.audit.verify().head
    registered(home.workspace, "late", b"2")
    assert home.workspace.audit.verify(known_head=noted).intact
    edited(home, "DELETE FROM audit")
    assert not home.workspace.audit.verify().intact
    edited(home, "DELETE FROM audit_head")
    assert home.workspace.audit.verify().intact, "an empty chain holds by itself"
    found = home.workspace.audit.verify(known_head=noted)
    assert (found.intact, found.rows) == (False, 0)
    assert "written anew" in found.message
    with pytest.raises(Invalid, match="64 hex digits"):
        home.workspace.audit.verify(known_head="head")
