"""Drafts: the files of models that runs leave; and how drafts, and artifacts of runs, become versions."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from tidegate.data.records import Origin
from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock, Instant, business_time
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.objects import ObjectPlane, parse_digest
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page
from tidegate.models import draft_rules, mlmodel
from tidegate.models.records import DRAFT, Cell, Draft, DraftMetric, DraftUse, Manifest, ModelVersion
from tidegate.models.search import draft_search, read_drafts
from tidegate.models.service import Models
from tidegate.models.signature import Label, Signature
from tidegate.models.stores import DraftStore
from tidegate.runs.experiments import Experiments
from tidegate.runs.records import Artifact, Logged, Metric, Run, Value
from tidegate.runs.rules import check_artifact_name, check_tags
from tidegate.runs.service import Runs


class Drafts(Service):
    """Drafts: files of models that runs left, which become versions."""

    room: ClassVar[str] = "drafts"
    uses: ClassVar[tuple[str, ...]] = ("experiments", "runs", "models")
    _experiments: Experiments
    _runs: Runs
    _models: Models

    def __init__(
        self, *, store: DraftStore, objects: ObjectPlane, clock: BusinessClock, ids: IdFactory, facts: Facts
    ) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._ids = ids
        self._facts = facts

    @operation("POST /drafts", role="contributor", audit="change")
    def create(
        self,
        experiment: str,
        name: str,
        *,
        run_id: str = "",
        kind: str = "",
        params: dict[str, str] = {},  # noqa: B006 - never changed
        tags: dict[str, str] = {},  # noqa: B006 - never changed
    ) -> Draft:
        """Begin a draft in an experiment, by its id or name; it is pending until it is finished."""
        group = self._experiments.ensured(experiment)
        if group.deleted_at is not None:
            raise Conflict(f"experiment {group.name!r} is deleted: restore it first", experiment=group.id)
        draft_rules.check_draft(name, kind)
        if run_id:
            self._runs.get(run_id)
        now = self._clock.now()
        draft = Draft(
            id=self._ids.new(now),
            name=name,
            experiment_id=group.id,
            run_id=run_id or None,
            kind=kind,
            status="pending",
            created_at=now,
            created_by=actor(),
            updated_at=now,
        )
        self._store.add(draft)
        self._write(draft, params, tags)
        self._facts.append("tidegate.drafts.created", draft.id, experiment=group.id, run=run_id)
        return self.get(draft.id)

    @operation("GET /drafts/{draft_id}", role="viewer", audit="none")
    def get(self, draft_id: str) -> Draft:
        """One draft, with its params, tags, metrics and files."""
        return _there(self._store.get(draft_id), draft_id)

    @operation("POST /drafts/{draft_id}/log", role="contributor", audit="summary")
    def log(
        self,
        draft_id: str,
        *,
        params: dict[str, str] = {},  # noqa: B006 - never changed
        tags: dict[str, str] = {},  # noqa: B006 - never changed
        metrics: tuple[DraftMetric, ...] = (),
        files: tuple[Artifact, ...] = (),
    ) -> Draft:
        """Tell a draft more, all of it or nothing.

        A tag or a file may be set again, a parameter keeps its value.
        """
        draft = self._held(draft_id)
        self._write(draft, params, tags)
        draft_rules.check_metrics(metrics)
        for file in files:
            self._require_object(file)
        now = self._clock.now()
        self._store.put_metrics(draft.id, [_dated(metric, now) for metric in metrics])
        self._store.put_files(draft.id, files)
        self._store.write(msgspec.structs.replace(draft, updated_at=now))
        return self.get(draft_id)

    @operation("POST /drafts/measure", role="contributor", audit="summary")
    def measure(
        self,
        run_id: str,
        *,
        measured: dict[str, tuple[DraftMetric, ...]],
        params: dict[str, Value] = {},  # noqa: B006 - never changed
        metrics: tuple[Metric, ...] = (),
        tags: dict[str, str] = {},  # noqa: B006 - never changed
        late: bool = False,
    ) -> Logged:
        """Tell a run more, as `runs.log`, and drafts, by their ids, what it measured of them: all of it or nothing."""
        now = self._clock.now()
        for draft_id, several in sorted(measured.items()):
            draft_rules.check_metrics(several)
            if not self._store.touch(draft_id, now):
                raise _absent(draft_id)
            dated = (_dated(metric, now) for metric in several)
            self._store.put_metrics(draft_id, [msgspec.structs.replace(metric, run_id=run_id) for metric in dated])
        return self._runs.log(run_id, params=params, metrics=metrics, tags=tags, late=late)

    @operation("POST /drafts/{draft_id}/finish", role="contributor", audit="change")
    def finish(self, draft_id: str, *, status: Literal["ready", "failed"] = "ready") -> Draft:
        """Say that all of a draft is there, or that it failed."""
        draft = msgspec.structs.replace(self._held(draft_id), status=status, updated_at=self._clock.now())
        self._store.write(draft)
        self._facts.append("tidegate.drafts.finished", draft.id, status=status)
        return draft

    @operation("POST /drafts/{draft_id}/tags/delete", role="contributor", audit="change")
    def delete_tag(self, draft_id: str, *, tag: str) -> Draft:
        """Delete a tag of a draft."""
        draft = self._held(draft_id)
        if not self._store.delete_tag(draft.id, tag):
            raise NotFound(f"draft {draft_id} has no tag {tag!r}", tag=tag)
        self._store.write(msgspec.structs.replace(draft, updated_at=self._clock.now()))
        return self.get(draft_id)

    @operation("POST /drafts/{draft_id}/delete", role="contributor", audit="change")
    def delete(self, draft_id: str) -> Draft:
        """Delete a draft for good; returns it as it was.

        Versions that were made of it keep their files.
        """
        draft = self._held(draft_id)
        self._store.remove(draft.id)
        self._facts.append("tidegate.drafts.deleted", draft.id, name=draft.name)
        return draft

    @operation("POST /drafts/{draft_id}/runs", role="contributor", audit="summary")
    def link(
        self, draft_id: str, *, run_id: str, role: Literal["input", "output"] = "output", step: int = 0
    ) -> DraftUse:
        """Note that a run left a draft (`output`) or took it (`input`)."""
        draft_rules.check_step(step)
        use = DraftUse(draft_id=self.get(draft_id).id, run_id=self._runs.get(run_id).id, role=role, step=step)
        self._store.put_use(use)
        return use

    @operation("POST /drafts/uses", role="viewer", audit="none", transaction=False)
    def of_runs(self, run_ids: tuple[str, ...]) -> tuple[DraftUse, ...]:
        """Which drafts runs left, and which they took."""
        return tuple(self._store.uses(run_ids))

    @operation("POST /drafts/search", role="viewer", audit="none", transaction=False)
    def search(
        self,
        filter: str = "",
        *,
        experiments: tuple[str, ...] = (),
        datasets: tuple[tuple[str, str], ...] = (),
        order_by: tuple[str, ...] = (),
        limit: int = 100,
        cursor: str = "",
    ) -> Page[Draft]:
        """Drafts of some experiments, by ids or names, of which a filter is true; the newest first.

        Attributes: id, name, experiment_id, run_id, kind, status, created_at, updated_at; also params, tags and
        metrics. ``datasets`` are pairs of name and digest (empty: any): only what was measured on one of them counts.
        """
        ids = tuple(self._experiments.get(one).id for one in experiments)
        if not ids:
            raise Invalid("drafts are searched for in experiments: name at least one", field="experiments")
        return read_drafts(self._store.page, draft_search(filter, ids, order_by, datasets), limit, cursor)

    @operation("POST /drafts/adopt", role="contributor", audit="change")
    def adopt(
        self,
        name: str,
        *,
        draft_id: str = "",
        run_id: str = "",
        path: str = "",
        version: str = "",
        facts: dict[str, str] = {},  # noqa: B006 - never changed
        note: str = "",
        tags: dict[str, str] = {},  # noqa: B006 - never changed
        signature: Signature | None = None,
        example: tuple[dict[str, Cell], ...] = (),
        classes: tuple[Label, ...] = (),
    ) -> ModelVersion:
        """Make a version of a draft, of a run's artifacts below a path, or of another version.

        Where a run has no artifacts at the path, the draft of that name that it left is meant. The files stay as
        they are, named by their digests: no process opens them, and no server loads what is not in one of our formats.
        ``facts`` are kept beside what is found, such as where a client says that it came from.
        A directory of MLflow that says what it takes and gives is answered by a process of its own, once an admin
        trusts the version: `models.trust`. Where it says all but the ``classes`` that it answers, give them; where it
        says less, or wrongly, the whole ``signature``, and perhaps an ``example``.
        """
        if sum(map(bool, (draft_id, run_id and not draft_id, version))) != 1:
            raise Invalid("say one of draft_id, run_id and version: what is to become a version", field="draft_id")
        if version:
            manifest = msgspec.structs.replace(self._models.resolve(version).manifest, name=name)
        else:
            manifest = self._found(name, draft_id, run_id, path, facts)
        draft_rules.check_told(manifest, signature, example, classes)
        if manifest.signature is None and manifest.format == mlmodel.FORMAT:
            files = manifest.files
            manifest = mlmodel.described(manifest, lambda file: self._read(files.get(file, "")), classes)
        if signature is not None:
            manifest = draft_rules.answering(manifest, signature, example)
        return self._models.register(name, manifest, note=note, tags=tags)

    def _found(self, name: str, draft_id: str, run_id: str, path: str, facts: Mapping[str, str]) -> Manifest:
        """What a draft, or a run at a path, has for a version."""
        draft = self.get(draft_id) if draft_id else None
        left_by = run_id if draft is None else draft.run_id or run_id
        run = self._runs.get(left_by) if left_by else None
        files: tuple[Artifact, ...] = ()
        if draft is None and run is not None:
            files = draft_rules.below(run.artifacts, path)
            draft = None if files else self._left(run, path)
        if draft is None:
            return self._manifest(name, files, run, {**facts, "path": path})
        return self._manifest(name, draft.files, run, {**facts, DRAFT: draft.id})

    def _held(self, draft_id: str) -> Draft:
        return _there(self._store.hold(draft_id), draft_id)

    def _left(self, run: Run, name: str) -> Draft | None:
        """The draft of a name that a run left, if there is one."""
        if not name or set(name) & set("/'"):
            return None
        left = f"name = '{name}' AND run_id = '{run.id}'"
        return next(iter(self.search(left, experiments=(run.experiment_id,), limit=1).items), None)

    def _manifest(self, name: str, files: tuple[Artifact, ...], run: Run | None, facts: Mapping[str, str]) -> Manifest:
        if not files:
            raise Invalid("there are no files to make a version of: log the model first", field="source")
        return Manifest(
            name=name,
            format=mlmodel.FORMAT,
            runtime="",
            files={one.name: one.digest for one in files},
            facts=dict(facts),
            origins=_origins(run),
            run_id=None if run is None else run.id,
        )

    def _read(self, digest: str) -> bytes:
        """A small object; nothing where it is not there, or not small."""
        kept = digest and self._objects.exists(digest)
        return self._objects.get(digest) if kept and self._objects.stat(digest).size <= mlmodel.MOST_READ else b""

    def _write(self, draft: Draft, params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        draft_rules.check_params(params, draft.params)
        check_tags(tags)
        self._store.put_texts(draft.id, "param", params)
        self._store.put_texts(draft.id, "tag", tags)

    def _require_object(self, file: Artifact) -> None:
        check_artifact_name(file.name)
        parse_digest(file.digest, f"file {file.name!r}")
        if file.bytes < 0 or not self._objects.exists(file.digest):
            raise Invalid(f"file {file.name!r}: its object is not stored: put it first", digest=file.digest)


def _there(draft: Draft | None, draft_id: str) -> Draft:
    if draft is None:
        raise _absent(draft_id)
    return draft


def _absent(draft_id: str) -> NotFound:
    return NotFound(f"there is no draft {draft_id[:140]!r}; drafts.search shows those there are")


def _dated(metric: DraftMetric, now: Instant) -> DraftMetric:
    at = now if metric.at is None else business_time(metric.at, "at")
    return msgspec.structs.replace(metric, at=at)


def _origins(run: Run | None) -> tuple[Origin, ...]:
    """The dataset versions of ours that went into a run."""
    given = () if run is None else run.inputs
    return tuple(Origin(one.digest, one.label) for one in given if one.foreign is None)
