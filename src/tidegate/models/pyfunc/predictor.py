"""A trusted directory as a predictor: rows go to its process as named columns, answers come back as JSON."""

import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import blake3
import msgspec
import numpy as np

from tidegate.kernel.errors import Internal, Invalid, Refused, Unavailable
from tidegate.kernel.schema import Column
from tidegate.models.formats.protocol import Matrix, Outputs
from tidegate.models.pyfunc.child import Child, Interpreter
from tidegate.models.signature import Label, Signature
from tidegate.runs.rules import check_artifact_name

TRUST_SECONDS: Final = 2.0
"""How long a trust that was withdrawn may still be believed."""

_Cell = str | int | float | bool | None

Stream = Callable[[str], Iterator[bytes]]
"""Reads an object in pieces."""


class _Answer(msgspec.Struct):
    values: list[_Cell | list[float | None]] | None = None
    error: str = ""


_read = msgspec.json.Decoder(_Answer).decode


class PyfuncPredictor:
    """Answers rows by a process that holds the directory; it is started where it does not run.

    ``fill`` writes the directory into a folder that is given: nothing of it is read here. ``trusted`` raises `Refused`
    where nobody lets it run: it is asked before the process is started, and every `TRUST_SECONDS` while it answers.
    """

    def __init__(
        self,
        what: str,
        signature: Signature,
        interpreter: Interpreter,
        *,
        fill: Callable[[Path], None],
        trusted: Callable[[], object],
    ) -> None:
        self._what = what
        self._columns = signature.columns
        self._signature = signature
        self._labels: dict[Label, Label] = {label: label for label in signature.classes}
        self._trusted = trusted
        self._asked = -TRUST_SECONDS
        self._child = Child(what, fill, interpreter)
        weakref.finalize(self, self._child.close)

    def start(self) -> None:
        """Start the process, and load the model. Raises `Refused`, and `Unavailable` with what it said."""
        self._require_trust()
        said = self._child.start()
        if said:
            answer = self._understood(said)
            if answer.error:
                self._child.close()
                raise Unavailable(
                    f"{self._what} was not loaded by its interpreter: {answer.error}; its file requirements.txt says "
                    "what must be installed there",
                    model=self._what,
                )

    def predict(self, matrix: Matrix) -> Outputs:
        """Answer a float32 matrix in signature order. Raises `Invalid` with what the model raised, `Unavailable`."""
        try:
            self.start()
        except Refused as error:
            self._child.close()
            raise Unavailable(error.message, **error.details) from error
        answer = self._understood(self._child.ask(msgspec.json.encode({"columns": self._named(matrix)})))
        if answer.error:
            raise Invalid(f"{self._what} does not answer these rows: {answer.error}", model=self._what)
        values = answer.values or []
        if len(values) != len(matrix):
            raise Invalid(f"{self._what} answered {len(values):,} values to {len(matrix):,} rows", model=self._what)
        return self._outputs(values)

    def _require_trust(self) -> None:
        now = time.monotonic()
        if self._child.process_id is None or now - self._asked >= TRUST_SECONDS:
            self._trusted()
            self._asked = now

    def _named(self, matrix: Matrix) -> dict[str, list[_Cell]]:
        return {column.name: _cells(column, matrix[:, at]) for at, column in enumerate(self._columns)}

    def _understood(self, content: bytes) -> _Answer:
        try:
            return _read(content)
        except msgspec.DecodeError as error:  # with that of a type that does not fit
            told = str(error)[:200]
            raise Invalid(
                f"{self._what} answers what is no number, text or boolean a row, nor a list of numbers a row: {told}",
                model=self._what,
            ) from error

    def _outputs(self, values: list[_Cell | list[float | None]]) -> Outputs:
        if not self._labels:
            return Outputs([self._number(value) for value in values])
        if values and isinstance(values[0], list):
            width = len(self._labels)
            if any(not isinstance(row, list) or len(row) != width for row in values):
                raise Invalid(f"{self._what} answers lists that are not of {width} probabilities", model=self._what)
            shares = np.array(values, dtype=np.float64)
            if np.isnan(shares).any() or (abs(shares.sum(axis=1) - 1) > 1e-3).any() or (shares < 0).any():
                raise Invalid(f"{self._what} answers lists of numbers that are no probabilities", model=self._what)
            return Outputs([self._signature.classes[at] for at in shares.argmax(axis=1).tolist()], shares)
        return Outputs([self._label(value) for value in values])

    def _number(self, value: object) -> float:
        if value is None:
            return float("nan")
        if isinstance(value, bool | str | list):
            raise Invalid(
                f"{self._what} answers a {type(value).__name__}, and its signature says that it is a regression: "
                "numbers, one a row",
                model=self._what,
            )
        return float(value)  # type: ignore[arg-type]  # what is left of the cells

    def _label(self, value: object) -> Label:
        if isinstance(value, str | int | float) and value in self._labels:
            return self._labels[value]
        listed = ", ".join(map(repr, self._signature.classes[:8]))
        raise Invalid(
            f"{self._what} answers {str(value)[:60]!r}, which is none of its signature's classes: {listed}",
            model=self._what,
        )


def _cells(column: Column, codes: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> list[_Cell]:
    """A column of the matrix as it was before it was coded; null where it is NaN."""
    if column.kind == "category":
        return [None if code != code else column.categories[int(code)] for code in codes.tolist()]
    if column.kind == "boolean":
        return [None if code != code else bool(code) for code in codes.tolist()]
    return [None if code != code else float(str(code)) for code in codes]  # the shortest decimal of a float32


def write_files(files: Mapping[str, str], stream: Stream, folder: Path) -> None:
    """The files of a directory, verified, below a new folder."""
    for name, digest in files.items():
        check_artifact_name(name)
        path = folder / name
        hasher = blake3.blake3()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                for piece in stream(digest):
                    hasher.update(piece)
                    file.write(piece)
        except OSError as error:
            raise Unavailable(f"file {name!r} cannot be written for the process: {error.strerror}") from error
        if hasher.hexdigest() != digest:
            raise Internal(f"the object of file {name!r} is damaged", digest=digest)
