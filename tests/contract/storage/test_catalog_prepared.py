"""Prepared statements do what SQLAlchemy's own execution does, on SQLite and on PostgreSQL."""

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from tests.contract.storage.catalog_home import counters, one_group, sequence
from tidegate.kernel.errors import Invalid
from tidegate.storage.catalog import Catalog
from tidegate.storage.text import among

kinds = sa.Table(
    "test_kinds",
    sa.MetaData(),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("truth", sa.Boolean),
    sa.Column("bytes", sa.LargeBinary),
    sa.Column("number", sa.Float(53)),
    sa.Column("more", sa.JSON),
)


KINDS = [("a", True, b"\x00\xff", 0.1, {"a": [1, None]}), ("b % ü'\"", None, None, None, None)]
"""Rows of values of every kind."""


def put_kinds(catalog: Catalog) -> None:
    """Make the table of all kinds, with its rows."""
    insert = catalog.prepared(kinds.insert())

    def work() -> None:
        with catalog.connect() as connection:
            kinds.create(connection)
        for row in KINDS:
            insert(**dict(zip(kinds.columns.keys(), row, strict=True)))

    catalog.write(work)


def all_of(catalog: Catalog, table: sa.Table) -> list[tuple[object, ...]]:
    with catalog.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]


def test_statements_change_what_sqlalchemy_would_change_and_say_how_many_rows(catalog: Catalog) -> None:
    insert = catalog.prepared(catalog.insert(counters).on_conflict_do_nothing())
    move = catalog.prepared(counters.update().where(counters.c.name == sa.bindparam("which")))
    raise_all = catalog.prepared(counters.update().where(counters.c.value > 1).values(value=counters.c.value + 10))
    remove = catalog.prepared(counters.delete().where(counters.c.name == sa.bindparam("which")))
    number = catalog.prepared(sequence.insert())

    def work() -> list[int]:
        changed = [insert(name="a", value=1), insert(name="b % ü'\"", value=2), insert(name="a", value=7)]
        changed += [move(which="a", value=5), move(which="none", value=5), raise_all(), remove(which="a")]
        return [*changed, number(writer="w", number=1), number(writer="w", number=2)]

    assert catalog.write(work) == [1, 1, 0, 1, 0, 2, 1, 1, 1]
    assert all_of(catalog, counters) == [("b % ü'\"", 12)]
    assert [row[1:] for row in all_of(catalog, sequence)] == [("w", 1), ("w", 2)]


def test_many_rows_go_at_once_and_all_or_none_of_them(catalog: Catalog) -> None:
    insert = catalog.prepared(catalog.insert(counters).on_conflict_do_nothing())
    move = catalog.prepared(counters.update().where(counters.c.name == sa.bindparam("which")))
    strict = catalog.prepared(counters.insert())
    assert catalog.write(lambda: insert.many([{"name": name, "value": 1} for name in "abca"])) == 3
    assert catalog.write(lambda: move.many([{"which": name, "value": 2} for name in "axb"])) == 2
    assert catalog.write(lambda: insert.many([])) == 0
    with pytest.raises(sa.exc.IntegrityError):
        catalog.write(lambda: strict.many([{"name": name, "value": 3} for name in "dea"]))
    assert all_of(catalog, counters) == [("a", 2), ("b", 2), ("c", 1)]
    with pytest.raises(RuntimeError, match=r"inside write"):
        insert.many([{"name": "f", "value": 1}])


def test_deferred_rows_are_there_for_whatever_comes_next(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())
    move = catalog.prepared(counters.update().where(counters.c.name == sa.bindparam("which")))
    known = catalog.query(sa.select(counters.c.value).where(counters.c.name == sa.bindparam("which")))

    def work() -> list[object]:
        insert.defer([{"name": "a", "value": 1}])
        seen: list[object] = [known(which="a")]
        insert.defer([{"name": name, "value": 1} for name in "bc"])
        insert.defer([])
        seen.append(move(which="c", value=3))
        move.defer([{"which": name, "value": 2} for name in "ab"])
        return [*seen, all_of(catalog, counters)]

    assert catalog.write(work) == [[(1,)], 1, [("a", 2), ("b", 2), ("c", 3)]]
    catalog.write(lambda: move.defer([{"which": "a", "value": 9}]))
    assert all_of(catalog, counters) == [("a", 9), ("b", 2), ("c", 3)]
    with pytest.raises(RuntimeError, match=r"inside write"):
        insert.defer([{"name": "f", "value": 1}])


def test_a_deferred_row_that_fails_takes_its_own_work_back_and_no_other(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())

    def put(name: str) -> None:
        insert.defer([{"name": name, "value": 1}])

    catalog.write(lambda: put("a"))
    with pytest.raises(sa.exc.IntegrityError):
        catalog.write(lambda: put("a"))
    first, twice, last = one_group(catalog, [lambda: put("b"), lambda: put("a"), lambda: put("c")])
    assert (first.exception(), type(twice.exception()), last.exception()) == (None, sa.exc.IntegrityError, None)
    assert all_of(catalog, counters) == [("a", 1), ("b", 1), ("c", 1)]


def test_what_is_deferred_and_what_begins_a_transaction_costs_no_round_trip(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    if catalog.dialect == "sqlite":
        pytest.skip("SQLite has no way to save")
    insert = catalog.prepared(counters.insert())
    move = catalog.prepared(counters.update().where(counters.c.name == sa.bindparam("which")))
    known = catalog.query(sa.select(counters.c.value).where(counters.c.name == sa.bindparam("which")))
    catalog.write(lambda: insert(name="a", value=1))
    dialect: Any = catalog._dialect
    run, trips = dialect._run, list[str]()

    def counted(connection: sa.Connection, statement: str, *parameters: Any, **how: Any) -> Any:
        trips.append(statement.split()[0])
        return run(connection, statement, *parameters, **how)

    def work() -> None:
        assert known(which="a") == [(1,)]
        insert.defer([{"name": name, "value": 1} for name in "bc"])
        move.defer([{"which": "b", "value": 2}])

    monkeypatch.setattr(dialect, "_run", counted)
    catalog.write(work)
    assert known(which="b") == [(2,)]
    assert trips == ["SELECT", "COMMIT", "SELECT"]


def test_a_nested_write_takes_back_what_it_deferred_and_nothing_else(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())

    def put(*names: str, fails: bool = False) -> None:
        insert.defer([{"name": name, "value": 1} for name in names])
        if fails:
            raise LookupError

    def work() -> None:
        put("a")
        for names, error in ((("b",), LookupError), (("a", "c"), sa.exc.IntegrityError)):
            with pytest.raises(error):
                catalog.write(lambda names=names, error=error: put(*names, fails=error is LookupError))  # type: ignore[misc]
        catalog.write(lambda: put("d"))

    catalog.write(work)
    assert all_of(catalog, counters) == [("a", 1), ("d", 1)]
    with pytest.raises(LookupError):
        catalog.write(lambda: put("e", fails=True))
    assert all_of(catalog, counters) == [("a", 1), ("d", 1)]


def test_values_of_every_kind_come_back_as_they_were_given(catalog: Catalog) -> None:
    put_kinds(catalog)
    assert all_of(catalog, kinds) == KINDS


def test_a_statement_that_fails_takes_its_own_work_back_and_says_what_sqlalchemy_says(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())

    def twice() -> None:
        insert(name="b", value=1)
        insert(name="b", value=2)

    catalog.write(lambda: insert(name="a", value=1))
    with pytest.raises(sa.exc.IntegrityError):
        catalog.write(twice)
    assert all_of(catalog, counters) == [("a", 1)]


def test_what_cannot_be_prepared_is_refused(catalog: Catalog) -> None:
    with pytest.raises(RuntimeError, match="belongs inside write"):
        catalog.prepared(counters.insert())(name="a", value=1)
    refused: list[sa.UpdateBase] = [
        counters.insert().returning(counters.c.value),
        counters.update().where(counters.c.name.in_(["a"])),
        counters.delete(),  # which takes no values
    ]
    for statement in refused:
        with pytest.raises(TypeError, match=r"cannot be prepared|has no parameter"):
            catalog.write(lambda statement=statement: catalog.prepared(statement)(name="a", value=1))  # type: ignore[misc]
    insert = catalog.prepared(counters.insert())
    with pytest.raises(KeyError, match="value"):
        catalog.write(lambda: [insert(name="a", value=1), insert(name="b")])
    assert all_of(catalog, counters) == []


def test_values_that_no_column_holds_are_invalid(catalog: Catalog) -> None:
    if catalog.dialect == "sqlite":
        pytest.skip("SQLite holds anything")
    insert = catalog.prepared(counters.insert())
    with pytest.raises(Invalid):
        catalog.write(lambda: insert(name="a" * 65, value=1))


def test_a_query_sees_what_sqlalchemy_sees(catalog: Catalog) -> None:
    put_kinds(catalog)
    every = catalog.query(sa.select(kinds).order_by(kinds.c.key))
    assert every() == all_of(catalog, kinds)
    one = catalog.query(sa.select(kinds.c.key, kinds.c.truth).where(kinds.c.key == sa.bindparam("which")))
    assert one(which="a") == [("a", True)]
    assert one(which="a")[0].truth is True
    assert one(which="none") == []
    count = catalog.query(sa.select(sa.func.count().label("rows")).where(kinds.c.truth.is_(None)))
    assert count()[0].rows == 1


def test_a_query_sees_its_own_transaction_and_nobody_elses(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())
    known = catalog.query(sa.select(counters.c.value).where(counters.c.name == sa.bindparam("which")))
    apart: list[list[tuple[int]]] = []

    def work() -> list[tuple[int]]:
        insert(name="a", value=1)
        other = threading.Thread(target=lambda: apart.append(known(which="a")))
        other.start()
        other.join()
        return known(which="a")

    assert known(which="a") == []
    assert catalog.write(work) == [(1,)]
    assert apart == [[]]
    assert known(which="a") == [(1,)]
    catalog.write(lambda: insert(name="b", value=2))
    assert known(which="b") == [(2,)]


def test_a_query_that_fails_or_cannot_be_prepared_says_so(catalog: Catalog) -> None:
    with pytest.raises(TypeError, match="cannot be prepared"):
        catalog.query(sa.select(counters.c.value).where(counters.c.name.in_(["a"])))()
    missing = sa.Table("test_nowhere", sa.MetaData(), sa.Column("key", sa.String(8)))
    with pytest.raises(sa.exc.DBAPIError):
        catalog.query(sa.select(missing.c.key))()
    assert catalog.query(sa.select(counters.c.value))() == []


def test_among_takes_any_number_of_texts_as_one_parameter(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())
    names = [f"n{number}" for number in range(2000)] + ["'", '"', "\\", "ü", "{,}"]
    catalog.write(lambda: insert.many([{"name": name, "value": 1} for name in names]))
    for some in ([], ["n7"], ["'", '"', "\\", "ü", "{,}", "x"], names):
        query = sa.select(counters.c.name).where(among(counters.c.name, some))
        with catalog.connect() as connection:
            found = connection.execute(query).scalars().all()
            others = connection.execute(sa.select(counters.c.name).where(sa.not_(among(counters.c.name, some))))
            assert len(others.all()) == len(names) - len(found)
        assert sorted(found) == sorted(set(some) & set(names))


def test_texts_among_may_be_a_parameter_of_a_statement(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())
    catalog.write(lambda: insert.many([{"name": name, "value": 1} for name in ("a", "b", "ü'")]))
    some = catalog.query(
        sa.select(counters.c.name).where(among(counters.c.name, named="names")).order_by(counters.c.name)
    )
    assert [some(names=names) for names in (["ü'", "a", "x"], [], ["b"])] == [[("a",), ("ü'",)], [], [("b",)]]


def test_several_queries_find_what_sqlalchemy_finds_in_one_snapshot(catalog: Catalog) -> None:
    put_kinds(catalog)
    key = kinds.c.key == sa.bindparam("which")
    both = catalog.queries(sa.select(kinds).where(key), sa.select(kinds.c.key, kinds.c.bytes).where(key))
    assert both(which="a") == [[KINDS[0]], [("a", b"\x00\xff")]]
    assert both(which="none") == [[], []]

    value = sa.select(counters.c.value).where(counters.c.name == sa.bindparam("which"))
    insert, twice = catalog.prepared(counters.insert()), catalog.queries(value, value)
    move = catalog.prepared(counters.update().where(counters.c.name == "a").values(value=counters.c.value + 1))
    catalog.write(lambda: insert(name="a", value=0))
    done = threading.Event()

    def count() -> None:
        for _ in range(50):
            catalog.write(move)
        done.set()

    mover = threading.Thread(target=count)
    mover.start()
    while not done.is_set():
        one, other = twice(which="a")
        assert one == other
    mover.join()
    assert twice(which="a") == [[(50,)], [(50,)]]

    def work() -> list[list[Any]]:
        insert.soon(name="b", value=7)
        return twice(which="b")

    assert catalog.write(work) == [[(7,)], [(7,)]]


def test_several_queries_of_which_one_fails_leave_nothing_open(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())
    name = sa.bindparam("which", type_=sa.String)
    both = catalog.queries(
        sa.select(counters.c.value).where(counters.c.name != name), sa.select((counters.c.name + name).label("longer"))
    )
    missing = sa.Table("test_nowhere", sa.MetaData(), sa.Column("key", sa.String(8)))
    wrong = catalog.queries(sa.select(counters.c.value), sa.select(missing.c.key))
    for number in range(3):
        with pytest.raises(UnicodeEncodeError):
            both(which="\ud800")
        with pytest.raises(sa.exc.DBAPIError):
            wrong()
        catalog.write(lambda number=number: insert(name=str(number), value=number))  # type: ignore[misc]
        assert len(both(which="x")[0]) == number + 1


def test_a_change_that_tells_its_rows_belongs_inside_write(catalog: Catalog) -> None:
    insert = catalog.prepared(counters.insert())
    move = counters.update().where(counters.c.name == sa.bindparam("which")).values(value=counters.c.value + 1)
    moved = catalog.returning(move.returning(counters.c.name, counters.c.value))
    catalog.write(lambda: insert(name="a", value=1))
    assert catalog.write(lambda: [moved(which="a"), moved(which="none"), moved(which="a")[0].value]) == [
        [("a", 2)],
        [],
        3,
    ]
    with pytest.raises(RuntimeError, match="belongs inside write"):
        moved(which="a")
    assert all_of(catalog, counters) == [("a", 3)]


@pytest.mark.parametrize("size", [1, 2, 500])
def test_rows_by_columns_are_those_rows(catalog: Catalog, size: int) -> None:
    names, values = [f"n{number:03}" for number in range(size)], list(range(size))
    insert = catalog.insert(counters)
    again = insert.on_conflict_do_update(
        index_elements=["name"], set_={"value": insert.excluded.value + counters.c.value}
    )
    for statement, times in ((counters.insert(), 1), (insert.on_conflict_do_nothing(), 1), (again, 2)):
        put = catalog.prepared(statement)
        catalog.write(lambda put=put: put.defer_columns({"value": values, "name": names}))  # type: ignore[misc]
        assert all_of(catalog, counters) == [(name, one * times) for name, one in zip(names, values, strict=True)]
    constant = catalog.prepared(counters.insert().values(value=1))
    with pytest.raises(TypeError, match="takes no columns"):
        catalog.write(lambda: constant.defer_columns({"name": ["x", "y"]}))
