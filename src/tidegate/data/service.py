"""The room of data: tables committed as immutable versions, each checked against the dataset's contract."""

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tidegate.data.records import Contract, ContractRevision, Dataset, DatasetVersion, Manifest
from tidegate.data.rules import canonical_bytes, check_manifest, digest_of, refusal, stored_columns
from tidegate.events.records import Facts
from tidegate.kernel.clock import BusinessClock
from tidegate.kernel.context import actor
from tidegate.kernel.errors import Conflict, Invalid, NotFound
from tidegate.kernel.ids import IdFactory
from tidegate.kernel.names import Reference, check_name, parse_reference
from tidegate.kernel.objects import ObjectPlane
from tidegate.kernel.operation import Service, operation
from tidegate.kernel.pages import Page, decode_cursor, encode_cursor, page_size
from tidegate.lineage.records import Graph

if TYPE_CHECKING:
    import polars as pl

    from tidegate.data.reading import Table
    from tidegate.data.rows import Rows

_ATTEMPTS = 8
"""How often a commit is checked again because the contract changed meanwhile."""


class DataStore(Protocol):
    """The catalog's rows of datasets.

    Laws: (1) numbers of a dataset's versions are 1, 2, 3, … without gaps; (2) a version, once inserted, is never
    changed; (3) a dataset has no two versions of one digest; (4) the greatest revision of a contract is in force.
    Writes belong inside an operation's transaction.
    """

    def hold(self, name: str) -> None:
        """Make the dataset if it is new, and keep other writers of it out until the transaction ends."""
        ...

    def add_version(self, version: DatasetVersion, manifest: Manifest) -> None:
        """Insert a version; the dataset is held."""
        ...

    def add_contract(self, revision: ContractRevision) -> None:
        """Insert a revision of the contract; the dataset is held."""
        ...

    def contract(self, name: str) -> ContractRevision | None:
        """The contract in force."""
        ...

    def contracts(self, name: str, before: int, limit: int) -> list[ContractRevision]:
        """Revisions below a number, greatest first."""
        ...

    def version(self, name: str, number: int | None) -> DatasetVersion | None:
        """A version, the newest where no number is given."""
        ...

    def with_digest(self, prefix: str, name: str | None = None) -> list[DatasetVersion]:
        """Of each of up to two digests that begin like this, the version that was first."""
        ...

    def versions(self, name: str, before: int, limit: int) -> list[DatasetVersion]:
        """Versions below a number, greatest first."""
        ...

    def datasets(self, after: str, limit: int) -> list[Dataset]:
        """Datasets by name, after a name."""
        ...


class Data(Service):
    """Datasets: named tables in immutable versions, and the contract that each version keeps."""

    room: ClassVar[str] = "data"

    def __init__(
        self,
        *,
        store: DataStore,
        objects: ObjectPlane,
        clock: BusinessClock,
        ids: IdFactory,
        facts: Facts,
        graph: Graph,
    ) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._facts = facts

    def commit(self, name: str, source: Any, *, contract: Contract | None = None, note: str = "") -> DatasetVersion:
        """Make a version of a Polars or pandas frame, or of the Parquet or CSV file at a path.

        The first commit teaches the contract, unless one is given; later ones are checked against the one in force.
        The same content again answers the version that exists. Raises `Invalid` for what is damaged or breaks the
        contract, with the columns, rules and rows in ``details["violations"]``; nothing is registered then.
        """
        from tidegate.data.reading import read_table

        check_name(name)
        table = read_table(source)
        for _ in range(_ATTEMPTS):
            in_force = self._in_force(name)
            revision = in_force.revision if in_force else 0
            wanted = contract or (in_force.contract if in_force else None)
            frame, kept = _checked(name, table, wanted, 0 if contract else revision)
            manifest = self._put(frame, kept)
            with contextlib.suppress(Conflict):
                return self.register(
                    name, manifest=manifest, contract=kept, revision=revision, note=note, source=table.source
                )
        raise Conflict(f"the contract of {name} changed {_ATTEMPTS} times during this commit; try again")

    def infer(self, source: Any) -> Contract:
        """The contract that a first commit of this frame or file would teach; nothing is stored."""
        from tidegate.data.reading import read_table

        return _checked("the data", read_table(source), None, 0)[1]

    def frame(self, reference: "str | DatasetVersion", columns: Sequence[str] | None = None) -> "pl.DataFrame":
        """The rows of a version, all columns or some. Raises `NotFound`, `Invalid` for a column that is absent."""
        from tidegate.data.fragments import read_fragments

        version = self._version(reference)
        if columns is not None:
            for column in columns:
                version.contract.field(column)
        return read_fragments(version.fragments, self._objects, columns)

    def rows(
        self,
        reference: "str | DatasetVersion",
        *,
        features: Sequence[str],
        label: str | None = None,
        order_by: str | None = None,
    ) -> "Rows":
        """The rows of a version as a model takes them: matrix, labels, and the digest that names them."""
        from tidegate.data.rows import choose_rows

        version = self._version(reference)
        frame = self.frame(version)
        return choose_rows(frame, version, features=features, label=label, order_by=order_by)

    @operation("POST /data/{name}/versions", role="contributor", audit="change")
    def register(
        self,
        name: str,
        *,
        manifest: Manifest,
        contract: Contract,
        revision: int,
        note: str = "",
        source: str = "",
    ) -> DatasetVersion:
        """Make a version of fragments that are already stored.

        ``revision`` is the contract's that was in force when the rows were checked, 0 for none: raises `Conflict`
        when another one is in force now. The same content again answers the version that exists.
        """
        check_name(name)
        check_manifest(manifest, contract)
        self._store.hold(name)
        self._require_objects(name, manifest)
        in_force = self._agree(name, contract, revision, note)
        digest = digest_of(manifest)
        existing = self._store.with_digest(digest, name)
        if existing:
            return existing[0]
        newest = self._store.version(name, None)
        version = DatasetVersion(
            name=name,
            number=newest.number + 1 if newest else 1,
            digest=digest,
            rows=manifest.rows,
            contract=in_force.contract,
            contract_revision=in_force.revision,
            fragments=manifest.fragments,
            created_at=self._clock.now(),
            created_by=actor(),
            note=note,
            source=source,
        )
        self._store.add_version(version, manifest)
        self._facts.append("tidegate.data.committed", str(version), digest=digest, rows=version.rows)
        return version

    @operation("PUT /data/{name}/contract", role="contributor", audit="change")
    def set_contract(self, name: str, contract: Contract, *, note: str = "") -> ContractRevision:
        """Put another contract in force; versions keep the one that they were checked against.

        The columns' stored types may change with it: the next commit is checked against all of it.
        """
        if self._store.version(name, None) is None:
            raise NotFound(f"there is no dataset {name!r}: its first commit makes it", name=name)
        self._store.hold(name)
        current = self._store.contract(name)
        return self._agree(name, contract, current.revision if current else 0, note)

    @operation("GET /data/{name}/contract", role="viewer", audit="none")
    def contract(self, name: str) -> ContractRevision:
        """The contract in force."""
        found = self._store.contract(name)
        if found is None:
            raise NotFound(f"there is no dataset {name!r}: its first commit makes it", name=name)
        return found

    @operation("GET /data/{name}/contracts", role="viewer", audit="none")
    def contracts(self, name: str, *, limit: int = 100, cursor: str = "") -> Page[ContractRevision]:
        """Every contract that was in force, the newest first."""
        key = decode_cursor(cursor, (int,))
        found = self._store.contracts(name, key[0] if key else 2**31 - 1, page_size(limit) + 1)
        more = encode_cursor(found[limit - 1].revision) if len(found) > limit else None
        return Page(found[:limit], more)

    @operation("GET /data/{name}/versions/{number}", role="viewer", audit="none")
    def get(self, name: str, number: int) -> DatasetVersion:
        """One version of a dataset."""
        found = self._store.version(name, number)
        if found is None:
            raise NotFound(f"there is no version {name}/{number}", name=name, number=number)
        return found

    @operation("GET /data/versions", role="viewer", audit="none")
    def resolve(self, reference: str) -> DatasetVersion:
        """The version that a reference names: `flights` (the newest), `flights/7`, or 12 digits or more of a digest."""
        parsed = parse_reference(reference)
        if parsed.alias is not None:
            raise Invalid(f"{reference!r}: datasets have no aliases; name the version, as in {parsed.name}/1")
        found = self._store.version(parsed.name, parsed.number)
        if found is None and parsed.digest is not None:
            found = self._by_digest(parsed)
        if found is None:
            raise NotFound(f"there is no dataset version {reference!r}; data.list shows what there is", name=reference)
        return found

    @operation("GET /data/{name}/versions", role="viewer", audit="none")
    def versions(self, name: str, *, limit: int = 100, cursor: str = "") -> Page[DatasetVersion]:
        """The versions of a dataset, the newest first."""
        key = decode_cursor(cursor, (int,))
        found = self._store.versions(name, key[0] if key else 2**31 - 1, page_size(limit) + 1)
        more = encode_cursor(found[limit - 1].number) if len(found) > limit else None
        return Page(found[:limit], more)

    @operation("GET /data", role="viewer", audit="none")
    def list(self, *, limit: int = 100, cursor: str = "") -> Page[Dataset]:
        """The datasets, by name."""
        key = decode_cursor(cursor, (str,))
        found = self._store.datasets(key[0] if key else "", page_size(limit) + 1)
        more = encode_cursor(found[limit - 1].name) if len(found) > limit else None
        return Page(found[:limit], more)

    def _version(self, reference: "str | DatasetVersion") -> DatasetVersion:
        return reference if isinstance(reference, DatasetVersion) else self.resolve(reference)

    def _in_force(self, name: str) -> ContractRevision | None:
        with contextlib.suppress(NotFound):
            return self.contract(name)
        return None

    def _put(self, frame: "pl.DataFrame", contract: Contract) -> Manifest:
        from tidegate.data.fragments import write_fragments

        manifest = Manifest(stored_columns(contract), write_fragments(frame, self._objects))
        self._objects.put(canonical_bytes(manifest))
        return manifest

    def _require_objects(self, name: str, manifest: Manifest) -> None:
        """Raises `Invalid` unless the fragments are stored; those of the newest version are known to be."""
        newest = self._store.version(name, None)
        known = set(newest.fragments) if newest else set()
        for fragment in manifest.fragments:
            if fragment not in known and not self._objects.exists(fragment.digest):
                raise Invalid(
                    f"fragment {fragment.digest} of {name} is not stored: put it on the object plane first",
                    digest=fragment.digest,
                )

    def _agree(self, name: str, contract: Contract, revision: int, note: str) -> ContractRevision:
        """The revision of this contract, put in force if it is not."""
        current = self._store.contract(name)
        if (current.revision if current else 0) != revision:
            raise Conflict(f"the contract of {name} changed while the data was checked: commit it again", name=name)
        if current is not None and current.contract == contract:
            return current
        made = ContractRevision(
            name=name,
            revision=revision + 1,
            contract=contract,
            digest=digest_of(contract),
            created_at=self._clock.now(),
            created_by=actor(),
            note=note,
        )
        self._store.add_contract(made)
        self._facts.append("tidegate.data.contract_set", name, revision=made.revision, digest=made.digest)
        return made

    def _by_digest(self, reference: Reference) -> DatasetVersion | None:
        found = self._store.with_digest(reference.digest or "")
        if len(found) > 1:
            both = " and ".join(map(str, found))
            raise Invalid(f"{reference.name!r} names more than one version, for instance {both}: give the name")
        return found[0] if found else None


def _checked(name: str, table: "Table", contract: Contract | None, revision: int) -> "tuple[pl.DataFrame, Contract]":
    """The rows in stored form and the contract that they keep. Raises `Invalid` where they keep none."""
    from tidegate.data.canonical import canonical
    from tidegate.data.checks import summarise, violations
    from tidegate.data.rules import infer_contract
    from tidegate.data.spelling import typed

    spelt = typed(table.frame, contract) if table.spelt else None
    converted = canonical(spelt.frame if spelt else table.frame, contract)
    broken = [*(spelt.violations if spelt else ()), *converted.violations]
    if contract is None:
        contract = infer_contract(summarise(converted.frame, converted.kinds)) if not broken else None
    if contract is not None:
        sound = converted.frame.drop([one.column for one in broken], strict=False)
        broken += violations(sound, contract)
    if broken or contract is None:
        raise refusal(name, broken, revision)
    return converted.frame, contract
