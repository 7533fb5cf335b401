"""The laws of a child process, with real processes that behave in every bad way."""

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tidegate.kernel.errors import Unavailable
from tidegate.models.pyfunc.child import MOST_ANSWER, MOST_IN_LINE, Child, Interpreter

HEAD = """
import os, struct, sys, time
HEADER = struct.Struct("<4sII")
def send(number, content, length=None):
    os.write(1, HEADER.pack(b"TGPF", number, len(content) if length is None else length) + content)
def asked():
    header = sys.stdin.buffer.read(HEADER.size)
    if not header:
        sys.exit(0)
    _, number, length = HEADER.unpack(header)
    return number, sys.stdin.buffer.read(length)
"""
ECHO = """
send(0, b"{}")
while True:
    number, text = asked()
    send(number, text)
"""

Begin = Callable[..., Child]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a child that runs a script; all are ended."""
    children: list[Child] = []

    def made(body: str, *, seconds: float = 5.0, python: str = sys.executable, head: str = HEAD) -> Child:
        script = tmp_path / f"script{len(children)}.py"
        script.write_text(head + body, encoding="utf-8")

        def fill(folder: Path) -> None:
            (folder / "weights").write_bytes(b"some")

        children.append(Child("late/1", fill, Interpreter(python=python, seconds=seconds), script))
        return children[-1]

    yield made
    for child in children:
        child.close()


def gone(process: int) -> bool:
    """Whether a process ended within some seconds."""
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


BAD = {
    "crash": ("asked(); os._exit(9)", "ended .exit code 9."),
    "signal": (f"asked(); os.kill(os.getpid(), {int(signal.SIGSEGV)})", "ended .SIGSEGV."),
    "words": ("asked(); sys.stderr.write('x' * 100_000 + 'it is broken'); sys.exit(1)", "last words: x+it is broken"),
    "hang": ("asked(); time.sleep(60)", "did not answer within 0.5 s"),
    "deaf": ("time.sleep(60)", "did not answer within 0.5 s"),
    "garbage": ("asked(); os.write(1, b'HTTP/1.1 200 OK\\r\\n\\r\\n'); time.sleep(60)", "what is no answer"),
    "another number": ("number, _ = asked(); send(number + 1, b'{}'); time.sleep(60)", "what is no answer"),
    "half an answer": ("number, _ = asked(); send(number, b'{', 100); time.sleep(60)", "did not answer within"),
    "huge": (f"number, _ = asked(); send(number, b'', {MOST_ANSWER + 1}); time.sleep(60)", "bytes, at most"),
    "a flood": ("number, _ = asked(); send(number, b'{}' * 9_000, 2); time.sleep(60)", "more than it was asked"),
    "early": ("sys.stdin.buffer.read(1); send(1, b'{}'); time.sleep(60)", "more than it was asked"),
    "closed": ("asked(); os.close(1); time.sleep(60)", "ended"),
}


@pytest.mark.parametrize("bad", BAD)
def test_law_1_whatever_a_child_does_is_an_error_and_it_is_ended(begin: Begin, bad: str) -> None:
    body, told = BAD[bad]
    child = begin(f"send(0, b'{{}}')\n{body}", seconds=0.5)
    child.start()
    process = child.process_id
    assert process is not None
    with pytest.raises(Unavailable, match=told) as caught:
        child.ask(b"?" * (200_000 if bad in ("deaf", "early") else 10))
    assert len(caught.value.message) < 3000
    assert child.process_id is None
    assert gone(process)


def test_law_1_what_it_started_ends_with_it(begin: Begin, tmp_path: Path) -> None:
    told = tmp_path / "grandchild"
    child = begin(
        f"""
import subprocess
send(0, b"{{}}")
asked()
started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(told)!r}, "w").write(str(started.pid))
os._exit(1)
"""
    )
    with pytest.raises(Unavailable, match="exit code 1"):
        child.ask(b"{}")
    assert gone(int(told.read_text(encoding="utf-8")))


def test_law_2_it_knows_nothing_of_where_it_came_from(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIDEGATE_TOKEN", "secret")
    secret = (tmp_path / "secret").open("w")
    os.set_inheritable(secret.fileno(), True)
    child = begin(
        """
import json, stat
send(0, b"{}")
number, _ = asked()
files = {str(one) for one in os.listdir("/proc/self/fd")}
send(number, json.dumps({"environment": dict(os.environ), "cwd": os.getcwd(), "files": len(files), "path": sys.path,
    "mode": stat.S_IMODE(os.stat("..").st_mode), "weights": open("../model/weights").read(),
    "session": os.getsid(0) == os.getpid()}).encode())
time.sleep(60)
""",
        seconds=5,
    )
    told = msgspec.json.decode(child.ask(b"{}"))
    folder = Path(told["cwd"]).parent
    assert set(told["environment"]) <= {
        "PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "MLFLOW_DISABLE_TELEMETRY", "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    }  # fmt: skip
    assert "secret" not in str(told)
    assert told["files"] == 4, "three pipes, and the folder that is being listed"
    assert (told["mode"], told["weights"], told["session"]) == (0o700, "some", True)
    assert folder.is_dir()
    child.close()
    assert not folder.exists()
    secret.close()


def test_law_3_the_next_question_starts_it_again(begin: Begin) -> None:
    child = begin('send(0, b"{}")\nnumber, text = asked()\nsend(number, text)\nasked()\nos._exit(1)')
    first = child.ask(b"one"), child.process_id
    with pytest.raises(Unavailable):
        child.ask(b"two")
    second = child.ask(b"three"), child.process_id
    assert (first[0], second[0]) == (b"one", b"three")
    assert first[1] != second[1]


def test_few_wait_in_line_and_others_are_told_at_once(begin: Begin, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    child = begin(
        f"""
send(0, b"{{}}")
while True:
    number, text = asked()
    while not os.path.exists({str(gate)!r}):
        time.sleep(0.01)
    send(number, text)
""",
        seconds=60,
    )
    answers: queue.Queue[bytes | Unavailable] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(child.ask(b"one"))
        except Unavailable as error:
            answers.put(error)

    threads = [threading.Thread(target=ask) for _ in range(MOST_IN_LINE + 4)]
    for thread in threads:
        thread.start()
    refused = [answers.get(timeout=30) for _ in range(4)]
    assert all("is busy" in str(one) for one in refused)
    gate.touch()
    assert [answers.get(timeout=30) for _ in range(MOST_IN_LINE)] == [b"one"] * MOST_IN_LINE
    for thread in threads:
        thread.join()


def test_questions_and_answers_of_any_size_go_through(begin: Begin) -> None:
    child = begin(ECHO, seconds=20)
    for size in (0, 1, 65_536, 3_000_000):
        assert child.ask(b"x" * size) == b"x" * size


def test_an_interpreter_that_is_none_is_said_so(begin: Begin, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot be started .No such file"):
        begin(ECHO, python=str(tmp_path / "nothing")).ask(b"")
    with pytest.raises(Unavailable, match="ended"):
        begin(ECHO, python="/bin/true").ask(b"")
    assert not list(tmp_path.glob("tidegate-model-*"))
