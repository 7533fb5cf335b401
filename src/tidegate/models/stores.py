"""What the services of models ask of the catalog."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from tidegate.models.records import (
    Alias,
    Attestation,
    Draft,
    DraftMetric,
    DraftUse,
    Model,
    ModelVersion,
    Stage,
    StageRules,
)
from tidegate.models.search import DraftSearch, Found
from tidegate.runs.records import Artifact
from tidegate.runs.search.paging import Position


class VersionStore(Protocol):
    """Where versions, attestations, aliases and policies are kept.

    Laws:

    1. **Turns.** From `claim` to the end of the ambient transaction nobody else passes `claim`: what was read after
       it still holds at the commit.
    2. **Newest first.** Versions and attestations come in the reverse order of their commits.
    """

    def claim(self) -> None:
        """Wait for this transaction's turn."""
        ...

    def add(self, version: ModelVersion) -> None:
        """Add a version, without its tags."""
        ...

    def latest(self, name: str) -> ModelVersion | None:
        """The version with the greatest number."""
        ...

    def numbered(self, name: str, number: int) -> ModelVersion | None:
        """The version of that number."""
        ...

    def aliased(self, name: str, alias: str) -> ModelVersion | None:
        """The version that the alias points at."""
        ...

    def with_digest(self, prefix: str) -> list[ModelVersion]:
        """At most two versions whose digest begins so."""
        ...

    def same(self, name: str, digest: str) -> ModelVersion | None:
        """The version of a model that has this digest."""
        ...

    def versions(self, name: str, before: int, limit: int) -> list[ModelVersion]:
        """Versions with a smaller number."""
        ...

    def standing(self, name: str, stage: Stage) -> list[ModelVersion]:
        """The versions of a model that stand in a stage."""
        ...

    def write(self, version: ModelVersion) -> None:
        """Write stage, note and moment of a version that is there."""
        ...

    def remove(self, version: ModelVersion) -> None:
        """Remove a version, with its tags, its aliases and what was attested of it."""
        ...

    def set_tags(self, version: ModelVersion, given: Mapping[str, str]) -> None:
        """Set tags of a version."""
        ...

    def delete_tag(self, version: ModelVersion, tag: str) -> bool:
        """Delete a tag of a version; whether it was there."""
        ...

    def attest(self, attestation: Attestation) -> None:
        """Add an attestation."""
        ...

    def attestations(self, subject: str, before: str, limit: int) -> list[Attestation]:
        """Attestations of a digest with a smaller id (empty: all)."""
        ...

    def aliases(self, name: str) -> list[Alias]:
        """Every alias of a model, by alias."""
        ...

    def point(self, alias: Alias) -> None:
        """Set an alias, new or known."""
        ...

    def unpoint(self, name: str, alias: str) -> None:
        """Remove an alias."""
        ...

    def policy(self, name: str, stage: Stage) -> StageRules | None:
        """The policy that somebody set for a stage."""
        ...

    def keep_policy(self, kept: StageRules) -> None:
        """Set the policy of a stage."""
        ...


class RegistryStore(Protocol):
    """Where models are kept: the names, and what people say of them.

    Further laws:

    3. **Numbers.** The versions of a name are numbered 1, 2, 3, … in the order of their commits; the number of a
       version that was deleted is never given again while the model is there.
    """

    def add(self, model: Model) -> None:
        """Add a model without versions, with its tags."""
        ...

    def model(self, name: str) -> Model | None:
        """The model of this name."""
        ...

    def models(self, after: str, limit: int) -> list[Model]:
        """Models by name, those after this one."""
        ...

    def take_number(self, name: str, at: datetime) -> int | None:
        """The number of the model's next version, which changes it at this moment; None where there is no model."""
        ...

    def write(self, model: Model) -> None:
        """Write owner, note and moment of a model that is there."""
        ...

    def rename(self, name: str, to: str) -> None:
        """Give a model, and all that has its name, another one that nothing has."""
        ...

    def has_policies(self, name: str) -> bool:
        """Whether somebody set a policy of a stage for this name."""
        ...

    def remove(self, name: str) -> None:
        """Remove a model that has no versions, and its tags and aliases. The policies of its name stay."""
        ...

    def set_tags(self, name: str, given: Mapping[str, str]) -> None:
        """Set tags of a model."""
        ...

    def delete_tag(self, name: str, tag: str) -> bool:
        """Delete a tag of a model; whether it was there."""
        ...

    def newest(self, name: str) -> list[ModelVersion]:
        """The version of the greatest number in each stage that has one, by number."""
        ...


class DraftStore(Protocol):
    """Where drafts are kept, and which run left or took which."""

    def add(self, draft: Draft) -> None:
        """Add a draft without params, tags, metrics and files."""
        ...

    def get(self, draft_id: str) -> Draft | None:
        """A draft with all that belongs to it."""
        ...

    def hold(self, draft_id: str) -> Draft | None:
        """A draft that nobody else changes until the transaction ends."""
        ...

    def touch(self, draft_id: str, at: datetime) -> bool:
        """Note when a draft was changed, which nobody else does until the transaction ends; whether it is there."""
        ...

    def write(self, draft: Draft) -> None:
        """Write status and moment of a draft that is there."""
        ...

    def remove(self, draft_id: str) -> None:
        """Remove a draft and all that belongs to it."""
        ...

    def put_texts(self, draft_id: str, part: Literal["param", "tag"], given: Mapping[str, str]) -> None:
        """Set params, or tags."""
        ...

    def delete_tag(self, draft_id: str, name: str) -> bool:
        """Delete a tag; whether it was there."""
        ...

    def put_files(self, draft_id: str, given: Iterable[Artifact]) -> None:
        """Set files by path."""
        ...

    def put_metrics(self, draft_id: str, given: Iterable[DraftMetric]) -> None:
        """Add measurements; the same one again is one."""
        ...

    def put_use(self, use: DraftUse) -> None:
        """Note that a run left or took a draft."""
        ...

    def uses(self, run_ids: Sequence[str]) -> list[DraftUse]:
        """What runs left and took, by run, in the order of step and id."""
        ...

    def page(self, search: DraftSearch, after: Position | None, limit: int) -> Found[Draft]:
        """Drafts after a position, each with its own."""
        ...
