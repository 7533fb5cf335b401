"""Models as names: who answers for them, what is said of them, which alias points where."""

from collections.abc import Mapping

import msgspec

from tidegate.kernel.context import actor
from tidegate.kernel.errors import AlreadyExists, Conflict, NotFound
from tidegate.kernel.names import check_model_name, check_name
from tidegate.kernel.operation import operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.models import rules
from tidegate.models.records import Alias, Model, ModelVersion
from tidegate.models.room import ModelRoom
from tidegate.models.search import search_models
from tidegate.runs.rules import check_tags


class Registry(ModelRoom):
    """The operations on models: names with owner, note, tags and aliases."""

    room = "models"

    @operation("POST /models", role="contributor", audit="change")
    def create(
        self,
        name: str,
        *,
        note: str = "",
        owner: str = "",
        tags: dict[str, str] = {},  # noqa: B006 - never changed
    ) -> Model:
        """Make a model without versions. Whoever makes it owns it, unless an owner is named.

        Raises `AlreadyExists` where there is one of this name.
        """
        check_model_name(name)
        self._store.claim()
        if self._registry.model(name) is not None:
            raise AlreadyExists(f"there is a model {name!r} already: register a version of it", name=name)
        return self._made(name, note, owner, tags)

    @operation("GET /models/{name}/about", role="viewer", audit="none")
    def model(self, name: str) -> Model:
        """One model: owner, note, tags, aliases."""
        return self._model(name)

    @operation("PUT /models/{name}", role="contributor", audit="change")
    def update(self, name: str, *, note: str | None = None, owner: str | None = None) -> Model:
        """Say something else of a model; what is not given stays."""
        self._store.claim()
        changes = {field: text for field, text in (("note", note), ("owner", owner)) if text is not None}
        rules.check_note(changes.get("note", ""))
        if owner is not None:
            check_name(owner, "owner")
        self._touch(self._model(name), **changes)
        return self._model(name)

    @operation("POST /models/{name}/rename", role="maintainer", audit="change")
    def rename(self, name: str, *, to: str) -> Model:
        """Give a model another name; versions, tags, aliases and policies go with it.

        Raises `Refused` where a version is in production or was deployed: predictions lead back to its name.
        """
        check_model_name(to)
        self._store.claim()
        model = self._model(name)
        if to == name:
            return model
        if self._registry.model(to) is not None or self._registry.has_policies(to):
            raise AlreadyExists(f"the name {to!r} is taken, by a model or by the policy of a stage", name=to)
        rules.refuse_needed(f"{name!r} keeps its name", self._needs(self._versions(name)))
        self._touch(model)
        self._registry.rename(name, to)
        self._facts.append("tidegate.models.renamed", to, before=name)
        return self._model(to)

    @operation("POST /models/{name}/delete", role="maintainer", audit="change")
    def delete(self, name: str) -> Model:
        """Delete a model with its versions, tags and aliases; returns it as it was.

        The policies of its name stay, for whoever takes it next. Raises `Refused` where a version is in production or
        was deployed.
        """
        self._store.claim()
        model, versions = self._model(name), self._versions(name)
        rules.refuse_needed(f"{name!r} is not deleted", self._needs(versions))
        for version in versions:
            self._store.remove(version)
        self._registry.remove(name)
        self._facts.append("tidegate.models.deleted", name, versions=len(versions))
        return model

    @operation("POST /models/{name}/tags", role="contributor", audit="change")
    def set_tags(self, name: str, *, tags: dict[str, str]) -> Model:
        """Set tags of a model; a tag may be set again."""
        check_tags(tags)
        self._store.claim()
        self._touch(self._model(name))
        self._registry.set_tags(name, tags)
        return self._model(name)

    @operation("POST /models/{name}/tags/delete", role="contributor", audit="change")
    def delete_tag(self, name: str, *, tag: str) -> Model:
        """Delete a tag of a model."""
        self._store.claim()
        self._touch(self._model(name))
        if not self._registry.delete_tag(name, tag):
            raise NotFound(f"model {name!r} has no tag {tag!r}", tag=tag)
        return self._model(name)

    @operation("PUT /models/{name}/aliases/{alias}", role="maintainer", audit="change")
    def set_alias(self, name: str, alias: str, *, number: int, expected: int | None = None) -> Alias:
        """Point an alias at a version.

        With ``expected``, only if it points at that version now (0: at none); otherwise `Conflict` is raised.
        """
        check_name(alias, "alias")
        self._store.claim()
        version = self._numbered(name, number)
        current = self._store.aliased(name, alias)
        stands = 0 if current is None else current.number
        if expected is not None and expected != stands:
            at = f"{name}/{stands}" if stands else "no version"
            raise Conflict(f"{name}@{alias} points at {at}, not at {expected}: nothing was changed", current=stands)
        pointed = Alias(name=name, alias=alias, number=number, moved_at=self._clock.now(), moved_by=actor())
        if stands != number:
            self._store.point(pointed)
            self._facts.append(
                "tidegate.models.aliased", version.reference, alias=alias, before=stands, digest=version.digest
            )
        return pointed

    @operation("POST /models/{name}/aliases/{alias}/delete", role="maintainer", audit="change")
    def delete_alias(self, name: str, alias: str) -> Model:
        """Delete an alias. Raises `Refused` for the champion that was deployed: a deployment or a rollout moves it."""
        self._store.claim()
        model, version = self._model(name), self._store.aliased(name, alias)
        if version is None:
            raise NotFound(f"model {name!r} has no alias {alias!r}; it has {', '.join(model.aliases) or 'none'}")
        rules.refuse_unpointing(version, alias, self._deployments(version))
        self._store.unpoint(name, alias)
        self._facts.append(
            "tidegate.models.aliased", version.reference, alias=alias, before=version.number, digest=version.digest
        )
        return self._model(name)

    @operation("GET /models/{name}/aliases", role="viewer", audit="none")
    def aliases(self, name: str) -> tuple[Alias, ...]:
        """The aliases of a model, by alias."""
        return tuple(self._store.aliases(name))

    @operation("GET /models/{name}/newest", role="viewer", audit="none")
    def newest(self, name: str) -> tuple[ModelVersion, ...]:
        """The newest version in each stage that has one, by number."""
        self._model(name)
        return tuple(self._registry.newest(name))

    @operation("POST /models/search", role="viewer", audit="none", transaction=False)
    def search(
        self, filter: str = "", *, order_by: tuple[str, ...] = (), limit: int = 100, cursor: str = ""
    ) -> Page[Model]:
        """Models of which a filter is true, such as ``name LIKE 'late%' AND tags.team = 'ops'``; by name.

        Attributes: name, owner, note, created_at, updated_at.
        """
        return search_models(self._searches, filter, order_by, limit, cursor)

    @operation("GET /models", role="viewer", audit="none")
    def list(self, *, limit: int = 100, cursor: str = "") -> Page[Model]:
        """Models, by name."""
        key = decode_cursor(cursor, (str,))
        found = self._registry.models(key[0] if key else "", page_size(limit) + 1)
        return Page(found[:limit], encode_cursor(found[limit - 1].name) if len(found) > limit else None)

    def _made(self, name: str, note: str = "", owner: str = "", tags: Mapping[str, str] | None = None) -> Model:
        """A new model, inside a transaction whose turn it is."""
        rules.check_note(note)
        check_tags(tags or {})
        now = self._clock.now()
        model = Model(
            name=name,
            owner=check_name(owner, "owner") if owner else actor(),
            note=note,
            tags=dict(tags or {}),
            created_at=now,
            created_by=actor(),
            updated_at=now,
        )
        self._registry.add(model)
        self._facts.append("tidegate.models.created", name, owner=model.owner)
        return model

    def _touch(self, model: Model, **changes: str) -> None:
        self._registry.write(msgspec.structs.replace(model, updated_at=self._clock.now(), **changes))

    def _versions(self, name: str) -> "tuple[ModelVersion, ...]":
        return tuple(self._store.versions(name, 2**31 - 1, 2**31 - 1))

    def _needs(self, versions: "tuple[ModelVersion, ...]") -> "tuple[str, ...]":
        """Why some of the versions cannot go: each reason a sentence."""
        return tuple(need for one in versions for need in rules.needs_of(one, self._deployments(one)))
