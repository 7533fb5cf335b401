"""The table of models: the names that versions have, and what people say of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tidegate.kernel.clock import from_micros, to_micros
from tidegate.models.records import Model, ModelVersion
from tidegate.models.store import (
    OF_MODEL,
    aliases,
    drop_tag,
    policies,
    put_tags,
    read_tags,
    read_versions,
    tags,
    versions,
)
from tidegate.storage.catalog import Catalog
from tidegate.storage.schema import Micros, table

models = table(
    "model",
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("numbered", sa.Integer, nullable=False),  # the greatest number that a version of it ever had
    sa.Column("created_at", Micros, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", Micros, nullable=False),
    room="models",
)

COUNT = (
    sa.select(sa.func.count()).select_from(versions).where(versions.c.name == models.c.name).scalar_subquery()
).label("versions")
"""How many versions a row of `models` has."""


class SqlRegistry:
    """Models in the catalog. Keeps the laws of `RegistryStore`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        name = sa.bindparam("name", type_=sa.String)
        self._insert = catalog.prepared(models.insert())
        self._one = catalog.queries(
            sa.select(models, COUNT).where(models.c.name == name),
            sa.select(tags).where(tags.c.name == name, tags.c.number == OF_MODEL).order_by(tags.c.tag),
            sa.select(aliases.c.alias, aliases.c.number).where(aliases.c.name == name).order_by(aliases.c.alias),
        )
        own = models.update().where(models.c.name == sa.bindparam("model"))
        raised = {"numbered": models.c.numbered + 1, "updated_at": sa.bindparam("at")}
        self._raise = catalog.returning(own.values(raised).returning(models.c.numbered))

    def claim(self) -> None:
        """Wait for this transaction's turn."""
        self._catalog.serialise()

    def add(self, model: Model) -> None:
        """Add a model without versions."""
        self._insert.soon(
            name=model.name,
            owner=model.owner,
            note=model.note,
            numbered=0,
            created_at=to_micros(model.created_at),
            created_by=model.created_by,
            updated_at=to_micros(model.updated_at),
        )
        self.set_tags(model.name, model.tags)

    def model(self, name: str) -> Model | None:
        """The model of this name."""
        found, tagged, pointed = self._one(name=name)
        if not found:
            return None
        return _model(found[0], {row.tag: row.text for row in tagged}, {row.alias: row.number for row in pointed})

    def models(self, after: str, limit: int) -> list[Model]:
        """Models by name, those after this one."""
        return self.read(sa.select(models, COUNT).where(models.c.name > after).order_by(models.c.name).limit(limit))

    def take_number(self, name: str, at: datetime) -> int | None:
        """The number of the model's next version, which changes it at this moment; None where there is no model."""
        found = self._raise(model=name, at=to_micros(at))
        return found[0].numbered if found else None

    def write(self, model: Model) -> None:
        """Write owner, note and moment of a model that is there."""
        moment = to_micros(model.updated_at)
        changes = {"owner": model.owner, "note": model.note, "updated_at": moment}
        self._run(models.update().where(models.c.name == model.name).values(changes))

    def rename(self, name: str, to: str) -> None:
        """Give a model, and all that has its name, another one that nothing has."""
        for each in (models, versions, tags, aliases, policies):
            self._run(each.update().where(each.c.name == name).values(name=to))

    def has_policies(self, name: str) -> bool:
        """Whether somebody set a policy of a stage for this name."""
        with self._catalog.connect() as connection:
            return connection.execute(sa.select(policies.c.stage).where(policies.c.name == name)).first() is not None

    def remove(self, name: str) -> None:
        """Remove a model that has no versions, and its tags and aliases. The policies of its name stay."""
        for each in (models, tags, aliases):
            self._run(each.delete().where(each.c.name == name))

    def set_tags(self, name: str, given: Mapping[str, str]) -> None:
        """Set tags of a model."""
        with self._catalog.connect() as connection:
            put_tags(connection, self._catalog, name, OF_MODEL, given)

    def delete_tag(self, name: str, tag: str) -> bool:
        """Delete a tag of a model; whether it was there."""
        with self._catalog.connect() as connection:
            return drop_tag(connection, name, OF_MODEL, tag)

    def newest(self, name: str) -> list[ModelVersion]:
        """The version of the greatest number in each stage that has one."""
        last = sa.select(sa.func.max(versions.c.number)).where(versions.c.name == name).group_by(versions.c.stage)
        query = sa.select(versions).where(versions.c.name == name, versions.c.number.in_(last))
        with self._catalog.connect() as connection:
            return read_versions(connection, query.order_by(versions.c.number))

    def read(self, query: sa.Select[Any]) -> list[Model]:
        """The models of a query over `models` and the count of their versions."""
        with self._catalog.connect() as connection:
            rows = connection.execute(query).all()
            names = [row.name for row in rows]
            tagged = read_tags(connection, [(name, OF_MODEL) for name in names])
            pointed = _pointed(connection, names)
        return [_model(row, tagged.get((row.name, OF_MODEL), {}), pointed.get(row.name, {})) for row in rows]

    def _run(self, statement: sa.Executable) -> None:
        with self._catalog.connect() as connection:
            connection.execute(statement)


def _pointed(connection: sa.Connection, names: Sequence[str]) -> dict[str, dict[str, int]]:
    """The aliases of models, by name and alias."""
    found: dict[str, dict[str, int]] = {}
    query = sa.select(aliases.c.name, aliases.c.alias, aliases.c.number).where(aliases.c.name.in_(names))
    for name, alias, number in connection.execute(query.order_by(aliases.c.alias)):
        found.setdefault(name, {})[alias] = number
    return found


def _model(row: Any, tagged: dict[str, str], pointed: dict[str, int]) -> Model:
    return Model(
        name=row.name,
        owner=row.owner,
        note=row.note,
        tags=tagged,
        versions=row.versions,
        aliases=pointed,
        created_at=from_micros(row.created_at),
        created_by=row.created_by,
        updated_at=from_micros(row.updated_at),
    )
