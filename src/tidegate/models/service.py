"""Versions of models and the stage that each has reached: logging, loading, attesting, promoting."""

import functools
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from tidegate.kernel.clock import Instant
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.ids import parse_id
from tidegate.kernel.names import check_model_name, parse_reference
from tidegate.kernel.operation import operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.lineage.records import Edge, Node
from tidegate.models import cards, rules
from tidegate.models.card_markdown import markdown
from tidegate.models.card_page import page
from tidegate.models.evidence import ALL
from tidegate.models.loading import LoadedModel, load_apart, load_model, require_interpreter
from tidegate.models.logging import manifest_of
from tidegate.models.records import PYFUNC, Inputs, Manifest, ModelVersion, Stage, VersionDiff
from tidegate.models.registry import Registry
from tidegate.models.search import search_versions
from tidegate.models.signature import Policy
from tidegate.models.trust import Trust
from tidegate.runs.records import Run
from tidegate.runs.rules import check_tags
from tidegate.runs.service import Runs

MOST_SHOWN: Final = 50
"""Attestations on a card."""


class Models(Registry, Trust):
    """Models, their versions, and the stage that each has reached."""

    room = "models"
    uses = ("runs",)
    _runs: Runs

    def log(
        self,
        name: str,
        model: object,
        *,
        inputs: Inputs,
        run: Any = None,
        note: str = "",
        unknown_category: Policy = "null",
        missing_feature: Policy = "null",
    ) -> ModelVersion:
        """Keep a fitted model as a version of this name.

        ``inputs`` are its training rows: they give the signature, the example, the rows on which ONNX is verified,
        and the lineage. ``run`` is the run that made it, or its id. The same files from the same rows and run give the
        version that exists. Raises `Refused` for a model that no format keeps safely.
        """
        check_model_name(name)
        manifest = manifest_of(
            name,
            model,
            inputs=inputs,
            run_id=None if run is None else str(getattr(run, "id", run)),
            policies=(unknown_category, missing_feature),
            put=lambda content: self._objects.put(content).digest,
        )
        return self.register(name, manifest, note=note)

    def load(self, reference: str | ModelVersion, *, python: str = "") -> LoadedModel:
        """A version ready to predict: in memory, or, a directory that is trusted, in a process of its own.

        ``python`` is the interpreter for such a process, else that of the setting ``pyfunc_python``. Raises `NotFound`,
        `Refused` for what nobody trusts, and `Unavailable` when its runtime is missing.
        """
        version = reference if isinstance(reference, ModelVersion) else self.resolve(reference)
        if version.runtime != PYFUNC:
            return load_model(version, self._objects.get)
        self.require_trust(version)
        chosen = msgspec.structs.replace(self._interpreter, python=python or self._interpreter.python)
        return load_apart(version, self._objects.stream, chosen, functools.partial(self.require_trust, version))

    def require_loadable(self, version: ModelVersion) -> None:
        """Raise `Refused` where this process would not run the version's code: nobody trusts it, or nothing runs it."""
        if version.runtime == PYFUNC:
            self.require_trust(version)
            require_interpreter(version, self._interpreter)

    @operation("POST /models/{name}/versions", role="contributor", audit="change")
    def register(
        self,
        name: str,
        manifest: Manifest,
        *,
        note: str = "",
        tags: dict[str, str] = {},  # noqa: B006 - never changed
    ) -> ModelVersion:
        """Make a version of files that are kept already; a name that nobody has makes the model.

        The same manifest again answers the version that it made the first time.
        """
        check_model_name(name)
        rules.check_manifest(name, manifest)
        rules.check_note(note)
        check_tags(tags)
        if manifest.run_id is not None:
            parse_id(manifest.run_id, "run_id")
        digest = rules.digest_of(manifest)
        self._store.claim()
        known = self._store.same(name, digest)
        if known is not None:
            return known
        absent = sorted(file for file, content in manifest.files.items() if not self._objects.exists(content))
        if absent:
            raise Invalid(f"the object of {', '.join(absent)} is not kept here: put it first", field="manifest.files")
        now = self._clock.now()
        version = ModelVersion(
            name=name,
            number=self._next_number(name, now),
            digest=digest,
            stage=rules.FIRST_STAGE,
            created_at=now,
            created_by=actor(),
            note=note,
            manifest=manifest,
            updated_at=now,
            tags=dict(tags),
        )
        self._store.add(version)
        self._store.set_tags(version, tags)
        for edge in _origins(version):
            self._graph.add(edge)
        self._facts.append("tidegate.models.registered", version.reference, digest=digest, run=manifest.run_id)
        return version

    @operation("GET /models/versions", role="viewer", audit="none")
    def resolve(self, reference: str) -> ModelVersion:
        """The version that a reference means: `name` (the latest), `name/7`, `name@alias` or a digest's prefix."""
        asked = parse_reference(reference)
        if asked.number is not None:
            return self._numbered(asked.name, asked.number)
        if asked.alias is not None:
            aliased = self._store.aliased(asked.name, asked.alias)
            if aliased is None:
                raise NotFound(f"model {asked.name!r} has no alias {asked.alias!r}", reference=reference)
            return aliased
        found = self._store.latest(asked.name)
        if found is not None:
            return found
        matches = self._store.with_digest(asked.digest) if asked.digest is not None else []
        if len(matches) > 1:
            raise Invalid(
                f"more than one version's digest begins with {reference}: give more digits", field="reference"
            )
        if not matches:
            raise NotFound(f"model {self._model(asked.name).name!r} has no version yet: models.log makes one")
        return matches[0]

    @operation("GET /models/{name}/versions/{number}", role="viewer", audit="none")
    def get(self, name: str, number: int) -> ModelVersion:
        """One version."""
        return self._numbered(name, number)

    @operation("GET /models/{name}/versions", role="viewer", audit="none")
    def versions(self, name: str, *, limit: int = 100, cursor: str = "") -> Page[ModelVersion]:
        """The versions of a model, newest first."""
        key = decode_cursor(cursor, (int,))
        found = self._store.versions(name, key[0] if key else 2**31 - 1, page_size(limit) + 1)
        if not found and key is None:
            self._model(name)
        return Page(found[:limit], encode_cursor(found[limit - 1].number) if len(found) > limit else None)

    @operation("POST /models/versions/search", role="viewer", audit="none", transaction=False)
    def search_versions(
        self, filter: str = "", *, order_by: tuple[str, ...] = (), limit: int = 100, cursor: str = ""
    ) -> Page[ModelVersion]:
        """Versions of which a filter is true, such as ``stage = 'staging' AND tags.team = 'ops'``; last changed first.

        Attributes: name, number, stage, run_id, draft_id, note, created_at, updated_at.
        """
        return search_versions(self._searches, filter, order_by, limit, cursor)

    @operation("GET /models/{name}/versions/{number}/card", role="viewer", audit="none")
    def card(self, name: str, number: int, *, form: Literal["markdown", "html"] = "markdown") -> str:
        """The card of a version, as Markdown or as a page.

        The Markdown has front matter as Hugging Face reads it. The page is HTML and stands on its own; a server
        has it at ``/api/v1/models/NAME/versions/NUMBER/card.html``, too.
        """
        version = self._numbered(name, number)
        attested = self._store.attestations(version.digest, "", MOST_SHOWN)
        told = cards.card(version, self._model(name), attested, self._run_of(version))
        return page(told) if form == "html" else markdown(told)

    @operation("GET /models/versions/diff", role="viewer", audit="none")
    def diff(self, before: str, after: str) -> VersionDiff:
        """What differs between two versions, by references: signature, files, data, code, params, metrics, tags."""
        first, second = self.resolve(before), self.resolve(after)
        found = cards.changes(*(cards.facts(one, self._run_of(one)) for one in (first, second)))
        return VersionDiff(before=first.reference, after=second.reference, changes=found)

    @operation("PUT /models/{name}/versions/{number}", role="contributor", audit="change")
    def update_version(self, name: str, number: int, *, note: str) -> ModelVersion:
        """Say something else of a version."""
        rules.check_note(note)
        self._store.claim()
        return self._written(self._numbered(name, number), note=note)

    @operation("POST /models/{name}/versions/{number}/tags", role="contributor", audit="change")
    def set_version_tags(self, name: str, number: int, *, tags: dict[str, str]) -> ModelVersion:
        """Set tags of a version; a tag may be set again."""
        check_tags(tags)
        self._store.claim()
        version = self._written(self._numbered(name, number))
        self._store.set_tags(version, tags)
        return self._numbered(name, number)

    @operation("POST /models/{name}/versions/{number}/tags/delete", role="contributor", audit="change")
    def delete_version_tag(self, name: str, number: int, *, tag: str) -> ModelVersion:
        """Delete a tag of a version."""
        self._store.claim()
        version = self._written(self._numbered(name, number))
        if not self._store.delete_tag(version, tag):
            raise NotFound(f"{version.reference} has no tag {tag!r}", tag=tag)
        return self._numbered(name, number)

    @operation("POST /models/{name}/versions/{number}/delete", role="maintainer", audit="change")
    def delete_version(self, name: str, number: int, *, with_aliases: bool = False) -> ModelVersion:
        """Delete a version, and what was attested of it; returns it as it was. Its number is not given again.

        Raises `Refused` where it is in production, was deployed, or an alias points at it; ``with_aliases`` deletes
        those, too.
        """
        self._store.claim()
        version = self._numbered(name, number)
        needs = rules.needs_of(version, self._deployments(version))
        pointing = [one.alias for one in self._store.aliases(name) if one.number == number]
        if not with_aliases:
            needs += [f"{name}@{alias} points at it (delete or move it first)" for alias in pointing]
        rules.refuse_needed(f"{version.reference} is not deleted", needs)
        self._store.remove(version)
        self._touch(self._model(name))
        self._facts.append(
            "tidegate.models.version_deleted", version.reference, digest=version.digest, aliases=pointing
        )
        return version

    @operation("POST /models/{name}/versions/{number}/stage", role="maintainer", audit="change")
    def promote(self, name: str, number: int, *, to: Stage, archive_others: bool = False) -> ModelVersion:
        """Move a version to another stage, if it has all that the stage's policy asks for.

        ``archive_others`` archives every other version of the model that stands there. Raises `Refused` naming
        everything that is missing, each with its remedy, and `Conflict` when the version stands there already.
        """
        self._store.claim()
        version = self._numbered(name, number)
        rules.check_move(version, to)
        others = self._store.standing(name, to) if archive_others and to != "archived" else []
        moved = self._moved(version, to)
        for other in others:
            self._moved(other, "archived")
        return moved

    def _next_number(self, name: str, at: Instant) -> int:
        number = self._registry.take_number(name, at)
        if number is not None:
            return number
        self._made(name)
        return self._next_number(name, at)

    def _run_of(self, version: ModelVersion) -> Run | None:
        """The run that made a version, if it is kept here: an id may come from elsewhere."""
        try:
            return None if version.run_id is None else self._runs.get(version.run_id)
        except NotFound:
            return None

    def _moved(self, version: ModelVersion, to: Stage) -> ModelVersion:
        asked = self._policy(version.name, to)
        attested = self._store.attestations(version.digest, "", ALL)
        rules.refuse_missing(version, to, rules.missing_for(asked.policy, version, attested, to))
        moved = self._written(version, stage=to)
        self._facts.append(
            "tidegate.models.promoted",
            version.reference,
            before=version.stage,
            to=to,
            policy=asked.digest,
            approvers=rules.approvers(version, attested),
        )
        return moved

    def _written(self, version: ModelVersion, **changes: str) -> ModelVersion:
        changed = msgspec.structs.replace(version, updated_at=self._clock.now(), **changes)
        self._store.write(changed)
        return changed


def _origins(version: ModelVersion) -> Iterator[Edge]:
    """What went into a version: its rows' datasets, and its run."""
    node = Node("model", version.digest, version.reference)
    for origin in version.manifest.origins:
        yield Edge(Node("dataset", origin.digest, origin.label), node, "training")
    if version.run_id is not None:
        yield Edge(Node("run", version.run_id, version.run_id), node, "produced")
