"""What a directory of MLflow says of itself: its flavors and dependencies, what it takes and gives, an example.

Its file MLmodel is somebody's YAML, and no parser of YAML is asked: it is read line by line, as MLflow writes it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tidegate.kernel.errors import Invalid
from tidegate.kernel.schema import Column, Kind
from tidegate.models.logging import EXAMPLE_ROWS
from tidegate.models.records import PYFUNC, UNSIGNED, Cell, Manifest
from tidegate.models.signature import Encoder, Label, Signature, Task

FORMAT: Final = "mlflow"
"""The format of a version whose files are a directory as MLflow makes it."""

FLAVOR: Final = "python_function"
"""The flavor of directories that a process of its own can answer for."""

DESCRIPTION: Final = "MLmodel"
"""The file in which such a directory says what it holds."""

MOST_READ: Final = 1 << 20
"""Bytes of each file that says something; of a larger one nothing is read."""

MOST_COLUMNS: Final = 10_000
MOST_LISTED: Final = 200

Read = Callable[[str], bytes]
"""Reads a file of the directory; of one that is not there, or larger than `MOST_READ`, nothing."""

_REMEDY: Final = "; give the whole signature"
_ENTRY: Final = re.compile(r" {2}([A-Za-z_][\w.]{0,60}):(.*)")
_QUOTED: Final = re.compile(r"'((?:[^']|'')*)'")
_PYTHON: Final = re.compile(r" {4}python_version: ['\"]?([\d.]{1,20})['\"]?")
_REQUIREMENT: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,80}(\[[\w,-]{1,80}\])?([=<>!~]=?[\w.*+!=<>~,-]{1,80})?")
_KINDS: Final[Mapping[str, Kind]] = {
    "integer": "number",
    "long": "number",
    "float": "number",
    "double": "number",
    "boolean": "boolean",
}
_REAL: Final = re.compile(r"float(\d\d)?|double")
_TRUTH: Final = ("bool", "boolean")


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]


class _Spec(msgspec.Struct, rename={"tensor": "tensor-spec"}):
    """One column, or one tensor, of what a model takes or gives."""

    type: str
    name: str | None = None
    required: bool = True
    optional: bool = False
    tensor: _Tensor | None = None


_read_specs = msgspec.json.Decoder(list[_Spec]).decode


def described(manifest: Manifest, read: Read, classes: tuple[Label, ...] = ()) -> Manifest:
    """The manifest with all that its directory says: facts, and the signature by which it may be answered.

    ``classes`` are what it answers, where it says all but that. Why there is no signature, the fact `UNSIGNED` says.
    Raises `Invalid` only where there are ``classes``, and no signature for all that.
    """
    sections = _sections(read(DESCRIPTION))
    facts = _facts(sections, read) | manifest.facts
    plain = msgspec.structs.replace(manifest, facts=facts)
    told = {name: _text(lines) for name, lines in sections.get("signature", {}).items()}
    try:
        if FLAVOR not in sections.get("flavors", {}) or not told.get("inputs"):
            raise Invalid(f"its {DESCRIPTION} holds no signature{_REMEDY}", field="signature")
        signature = signature_of(told["inputs"], told.get("outputs", ""), classes)
    except Invalid as error:
        if classes:
            raise
        return msgspec.structs.replace(plain, facts={UNSIGNED: error.message} | facts) if told else plain
    path = _text(sections.get("saved_input_example_info", {}).get("artifact_path", []))
    example = example_rows(read(path), signature) if path else ()
    return signed(plain, signature, example)


def signed(manifest: Manifest, signature: Signature, example: tuple[dict[str, Cell], ...]) -> Manifest:
    """The manifest of a directory that a process of its own may answer, by this signature."""
    facts = {name: text for name, text in manifest.facts.items() if name != UNSIGNED}
    return msgspec.structs.replace(manifest, signature=signature, runtime=PYFUNC, example=example, facts=facts)


def signature_of(inputs: str, outputs: str, classes: tuple[Label, ...] = ()) -> Signature:
    """The signature that MLflow's two lists of columns, as JSON, amount to. Raises `Invalid` where they do not tell it.

    What is not required is nullable. What is missing is refused, as MLflow does it.
    """
    columns = tuple(_columns(_specs(inputs)))
    task, answers = _task(_specs(outputs), classes)
    return Signature(columns=columns, task=task, classes=answers, missing_feature="refuse")


def example_rows(content: bytes, signature: Signature) -> tuple[dict[str, Cell], ...]:
    """The first rows of an input example, in any of MLflow's forms; none where they do not fit the signature."""
    names = [column.name for column in signature.columns]
    try:
        given = json.loads(content)  # with NaN, which is no JSON
        if isinstance(given, dict) and isinstance(given.get("data"), list):
            names, given = given["columns"], given["data"]
        elif isinstance(given, dict):
            given = [given]
        listed = [row if isinstance(row, dict) else dict(zip(names, row, strict=True)) for row in given[:EXAMPLE_ROWS]]
        rows = tuple({name: _cell(value) for name, value in row.items()} for row in listed)
        Encoder(signature).encode(rows)
    except (ValueError, TypeError, KeyError, RecursionError, Invalid):
        return ()
    return rows


def _facts(sections: Mapping[str, Mapping[str, list[str]]], read: Read) -> dict[str, str]:
    """For people to read: flavors, and the Python and the packages that it was made with."""
    flavors = sections.get("flavors", {})
    python = next((found[1] for line in flavors.get(FLAVOR, ()) if (found := _PYTHON.fullmatch(line))), "")
    lines = (line.strip() for line in read("requirements.txt").decode("utf-8", "replace").split("\n"))
    asked = [line for line in lines if _REQUIREMENT.fullmatch(line)][:MOST_LISTED]
    facts = {"flavors": ", ".join(list(flavors)[:20]), "python": python, "dependencies": " ".join(asked)}
    return {name: text for name, text in facts.items() if text}


def _sections(description: bytes) -> dict[str, dict[str, list[str]]]:
    """The lines of each entry of each part at the left edge, such as ``signature`` and its ``inputs``."""
    sections: dict[str, dict[str, list[str]]] = {}
    entries: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in description.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        if not line.startswith(" "):
            entries, lines = {}, []
            sections[line.partition(":")[0]] = entries
        elif found := _ENTRY.fullmatch(line):
            lines = entries[found[1]] = [found[2]]
        else:
            lines.append(line)
    return sections


def _text(lines: Sequence[str]) -> str:
    """A scalar as its lines say it: plain, or in single quotes; empty for null, and for any other."""
    text = " ".join(line.strip() for line in lines).strip()
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1].replace("''", "'")
    return "" if text == "null" or text[:1] in ("'", '"', "{", "[", "|", ">", "&", "*", "!") else text


def _specs(text: str) -> list[_Spec]:
    try:
        return _read_specs(text) if text else []
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(f"the signature in its {DESCRIPTION} is not understood: {error}{_REMEDY}") from error


def _columns(specs: Sequence[_Spec]) -> Iterable[Column]:
    """The columns, named ``x0``, ``x1``, … where they have no names."""
    matrix = specs[0].tensor if len(specs) == 1 and specs[0].name is None else None
    width = matrix.shape[1] if matrix and len(matrix.shape) == 2 else 0
    if matrix and re.fullmatch(r"(float|u?int)\d\d?", matrix.dtype) and 0 < width <= MOST_COLUMNS:
        yield from (Column(f"x{at}", "number", matrix.dtype.startswith("float")) for at in range(width))
        return
    for at, spec in enumerate(specs):
        name, kind = spec.name or f"x{at}", _KINDS.get(spec.type)
        if kind is None:
            said = "text, and not which categories there are" if spec.type == "string" else f"of type {spec.type[:40]}"
            raise Invalid(f"its {DESCRIPTION} says that column {name[:80]!r} is {said}{_REMEDY}")
        yield Column(name, kind, spec.optional or not spec.required)


def _task(specs: Sequence[_Spec], classes: tuple[Label, ...]) -> tuple[Task, tuple[Label, ...]]:
    if classes:
        return "classification", classes
    if len(specs) != 1:
        said = "says that it answers several columns" if specs else "does not say what it answers"
        raise Invalid(f"its {DESCRIPTION} {said}{_REMEDY}")
    shape = specs[0].tensor.shape if specs[0].tensor else [-1]
    kind = specs[0].tensor.dtype if specs[0].tensor else specs[0].type
    if shape in ([-1], [-1, 1]):
        if _REAL.fullmatch(kind):
            return "regression", ()
        if kind in _TRUTH:
            return "classification", (False, True)
    what = kind[:40] if shape in ([-1], [-1, 1]) else f"{kind[:40]} of shape {shape[:8]}"
    raise Invalid(f"its {DESCRIPTION} says that it answers {what}, and not which classes there are: give classes")


def _cell(value: Any) -> Cell:
    """A value as it is kept; raises `TypeError` for what is none of a row's."""
    if value is None or isinstance(value, str | bool):
        return value
    if not isinstance(value, int | float):
        raise TypeError
    return None if value != value else float(value)
