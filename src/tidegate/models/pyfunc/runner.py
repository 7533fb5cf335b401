"""Runs in an interpreter that is not ours, with nothing of Tidegate: loads one directory by MLflow and answers rows.

`child.Child` starts it as `python -I runner.py LIMITS` in an empty folder beside `model/`. A frame either way is
`TGPF`, a number that an answer repeats, a length, and so many bytes of JSON. Python 3.9 or newer.
"""

import importlib
import json
import math
import os
import resource
import struct
import sys
from typing import Any, BinaryIO

HEADER = struct.Struct("<4sII")
MAGIC = b"TGPF"
MOST_TOLD = 2000


def limit(limits: "dict[str, int]") -> None:
    """Take the limits upon this process; what it starts inherits them."""
    bytes_ = limits["megabytes"] << 20
    resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))
    allow(limits["loading_seconds"])


def allow(seconds: int) -> None:
    """So many more seconds of CPU until the system ends this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + seconds, most))


def framed(columns: "dict[str, list[Any]]", schema: Any) -> Any:
    """The columns as the model's own schema wants them, where it says and where nothing is lost."""
    pandas = importlib.import_module("pandas")
    frame = pandas.DataFrame(columns)
    if schema is None:
        return frame
    if schema.is_tensor_spec():
        only = schema.inputs[0]
        return frame if len(schema.inputs) > 1 or only.name else frame.to_numpy(dtype=only.type)
    if not schema.has_input_names():
        return frame
    for column in schema.inputs:
        kind = getattr(column.type, "name", "")
        if column.name not in frame.columns or kind not in ("integer", "long", "float", "double"):
            continue
        values = frame[column.name].astype("float64")
        whole = kind in ("float", "double") or bool((values == values.round()).all())
        frame[column.name] = values.astype(column.type.to_numpy()) if whole else values
    return frame


def plain(answer: Any) -> Any:
    """What a model answers as lists of JSON's values: one a row, or one list a row. NaN and infinities are null."""
    if hasattr(answer, "columns") and hasattr(answer, "to_numpy"):
        answer = answer.iloc[:, 0] if len(answer.columns) == 1 else answer.to_numpy()
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if isinstance(answer, (list, tuple)):
        listed = [plain(one) for one in answer]
        lonely = bool(listed) and all(isinstance(one, list) and len(one) == 1 for one in listed)
        return [one[0] for one in listed] if lonely else listed
    if isinstance(answer, float) and not math.isfinite(answer):
        return None
    return answer


def send(answers: BinaryIO, number: int, message: "dict[str, Any]") -> None:
    """Answer the question of this number."""
    content = json.dumps(message, allow_nan=False).encode()
    answers.write(HEADER.pack(MAGIC, number, len(content)) + content)
    answers.flush()


def told(error: BaseException) -> "dict[str, Any]":
    """An error as it is answered."""
    return {"error": f"{type(error).__name__}: {error}"[:MOST_TOLD]}


def serve(questions: BinaryIO, answers: BinaryIO, limits: "dict[str, int]") -> int:
    """Load the model, and answer until there are no more questions."""
    try:
        limit(limits)
        model = importlib.import_module("mlflow.pyfunc").load_model("../model")
        schema = None if model.metadata is None else model.metadata.get_input_schema()
        send(answers, 0, {"values": []})
    except BaseException as error:  # noqa: BLE001 - a model that is imported may raise SystemExit, too
        send(answers, 0, told(error))
        return 1
    while True:
        header = questions.read(HEADER.size)
        if len(header) < HEADER.size:
            return 0
        _, number, length = HEADER.unpack(header)
        asked = json.loads(questions.read(length))
        allow(limits["seconds"])
        try:
            message = {"values": plain(model.predict(framed(asked["columns"], schema)))}
            send(answers, number, message)
        except BaseException as error:  # noqa: BLE001 - whatever the model raises is its answer
            send(answers, number, told(error))


def main() -> int:
    """Keep the pipes for frames: what a model prints goes to standard error, and it reads nothing."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    return serve(questions, answers, json.loads(sys.argv[1]))


if __name__ == "__main__":
    sys.exit(main())
