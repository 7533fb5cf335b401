"""A process of another interpreter that answers questions, whatever it does to itself."""

import collections
import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import IO, Final, NamedTuple, NoReturn, cast

import msgspec

from tidegate.kernel.errors import Unavailable
from tidegate.models.pyfunc import runner

LOADING_SECONDS: Final = 120.0
MOST_ANSWER: Final = 64 << 20
"""Bytes of an answer."""

MOST_IN_LINE: Final = 5
"""Threads that are asking, the first of them being answered: a process that hangs must not hold up all there are."""

_KEPT_WORDS: Final = 1500
"""Bytes of standard error that are kept, the last ones."""
_PIECE: Final = 1 << 16
_HEADER: Final = runner.HEADER
_LINGER_SECONDS: Final = 0.5
"""How long an end that was seen may take to be one, and the last words to arrive."""


Words = collections.deque[bytes]


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """Which Python runs a directory, and within which limits."""

    python: str = ""
    """The path of an interpreter in whose environment MLflow and the model's requirements are installed."""
    seconds: float = 30.0
    """Within which one question is answered; also the CPU seconds that it may take."""
    megabytes: int = 4096
    """Of address space."""


class _Running(NamedTuple):
    process: "subprocess.Popen[bytes]"
    questions: IO[bytes]
    answers: IO[bytes]
    end: IO[bytes] | None
    """Readable once the process has ended, where the system has such a thing."""


class Child:
    """A process that holds one model. Thread-safe: it is asked one thing at a time.

    Laws:

    1. **Unharmed.** A process that crashes, hangs, writes what is no answer, or too much, raises `Unavailable` in
       whoever asked, and is ended with all that it started in its session.
    2. **Alone.** It gets none of our environment, files or descriptors but its three pipes, a folder of its own that
       goes with it, and limits of memory, CPU and the size of files.
    3. **Anew.** The next question starts it again.

    ``what`` names it in errors; ``fill`` writes the model into the folder that it is given.
    """

    def __init__(
        self, what: str, fill: Callable[[Path], None], interpreter: Interpreter, script: Path = Path(runner.__file__)
    ) -> None:
        self._what = what
        self._fill = fill
        self._interpreter = interpreter
        self._script = script
        self._line = threading.BoundedSemaphore(MOST_IN_LINE)
        self._turn = threading.Lock()
        self._running: _Running | None = None
        self._folder = ""
        self._number = 0
        self._words: Words = collections.deque(maxlen=8)
        self._listener: threading.Thread | None = None

    def start(self) -> bytes:
        """Start the process where it does not run; returns what it said of it, or nothing."""
        with self._my_turn():
            return self._started()

    def ask(self, question: bytes) -> bytes:
        """The answer to a question. Raises `Unavailable`."""
        with self._my_turn():
            self._started()
            running = self._running
            if running is None:
                raise Unavailable(f"the process of {self._what} is closed")
            self._number = self._number % 0xFFFFFFFF + 1
            frame = _HEADER.pack(runner.MAGIC, self._number, len(question)) + question
            return self._exchange(running, frame, self._number, self._interpreter.seconds)

    def close(self) -> None:
        """End the process; one that is being asked ends with its pipes, when this process does."""
        if self._turn.acquire(timeout=1.0):
            try:
                self._end()
            finally:
                self._turn.release()

    @property
    def process_id(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._running is None else self._running.process.pid

    @contextlib.contextmanager
    def _my_turn(self) -> Iterator[None]:
        busy = f"the process of {self._what} is busy with other questions: ask again"
        if not self._line.acquire(blocking=False):
            raise Unavailable(busy, model=self._what)
        try:
            if not self._turn.acquire(timeout=self._interpreter.seconds):
                raise Unavailable(busy, model=self._what)
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._line.release()

    def _started(self) -> bytes:
        if self._running is not None:
            return b""
        self._folder = tempfile.mkdtemp(prefix="tidegate-model-")  # of mode 0700
        try:
            model, work = Path(self._folder, "model"), Path(self._folder, "work")
            model.mkdir()
            work.mkdir()
            self._fill(model)
            running = self._running = self._spawned(work)
        except BaseException:
            self._end()
            raise
        self._words = collections.deque(maxlen=8)
        self._listener = threading.Thread(
            target=_listen, args=(running.process.stderr, self._words), name="pyfunc-words", daemon=True
        )
        self._listener.start()
        return self._exchange(running, b"", 0, LOADING_SECONDS)

    def _spawned(self, work: Path) -> _Running:
        limits = {
            "megabytes": self._interpreter.megabytes,
            "seconds": ceil(self._interpreter.seconds),
            "loading_seconds": ceil(LOADING_SECONDS),
        }
        python = self._interpreter.python
        try:
            process = subprocess.Popen(
                [python, "-I", str(self._script), msgspec.json.encode(limits).decode()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=work,
                env=_environment(python, work),
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise Unavailable(
                f"the interpreter {python!r} cannot be started ({error.strerror}): name one in whose environment "
                "MLflow and the model's requirements are installed"
            ) from error
        running = _Running(
            process, cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout), _end_of(process)
        )
        os.set_blocking(running.questions.fileno(), False)
        os.set_blocking(running.answers.fileno(), False)
        return running

    def _exchange(self, running: _Running, frame: bytes, number: int, seconds: float) -> bytes:
        """Write a frame, and read the one that answers it."""
        give_up, left, answer = time.monotonic() + seconds, memoryview(frame), bytearray()
        with selectors.DefaultSelector() as pipes:
            pipes.register(running.answers, selectors.EVENT_READ)
            if running.end is not None:
                pipes.register(running.end, selectors.EVENT_READ)
            if left:
                pipes.register(running.questions, selectors.EVENT_WRITE)
            while (length := _length(answer)) is None or len(answer) < _HEADER.size + length:
                ready = pipes.select(max(0.0, give_up - time.monotonic()))
                if not ready:
                    self._fail(f"did not answer within {seconds:g} s and was ended")
                able = {key.fileobj for key, _ in ready}
                if running.answers in able:
                    answer += self._read(running)
                    self._check(answer, number)
                elif running.end in able:  # and a process that it left behind keeps the pipe open
                    self._fail("ended")
                if running.questions in able:
                    left = self._written(running, left)
                    if not left:
                        pipes.unregister(running.questions)
        if left or len(answer) > _HEADER.size + length:
            self._fail("said more than it was asked, and was ended")
        return bytes(answer[_HEADER.size :])

    def _check(self, answer: bytearray, number: int) -> None:
        if len(answer) < _HEADER.size:
            return
        magic, repeated, length = _HEADER.unpack_from(answer)
        if magic != runner.MAGIC or repeated != number:
            self._fail("wrote what is no answer, and was ended")
        if length > MOST_ANSWER:
            self._fail(f"answers {length:,} bytes, at most {MOST_ANSWER:,} are taken; it was ended")

    def _written(self, running: _Running, left: memoryview) -> memoryview:
        try:
            return left[os.write(running.questions.fileno(), left[:_PIECE]) :]
        except BrokenPipeError:
            self._fail("ended")

    def _read(self, running: _Running) -> bytes:
        piece = os.read(running.answers.fileno(), _PIECE)
        if not piece:
            self._fail("ended")
        return piece

    def _fail(self, how: str) -> NoReturn:
        code = self._end(_LINGER_SECONDS if how == "ended" else 0.0)
        if self._listener is not None:
            self._listener.join(_LINGER_SECONDS)
        ending = f" ({_ending(code, self._interpreter)})" if how == "ended" else ""
        words = b"".join(self._words)[-_KEPT_WORDS:].decode("utf-8", "replace").strip()
        raise Unavailable(
            f"the process of {self._what} {how}{ending}; the next question starts it again"
            + (f". Its last words: {words}" if words else ""),
            model=self._what,
        )

    def _end(self, patience: float = 0.0) -> int:
        """End the process and its session, and take its folder away; returns how it ended."""
        running, self._running = self._running, None
        code = 0 if running is None else _reaped(running, patience)
        shutil.rmtree(self._folder, ignore_errors=True)
        return code


def _length(answer: bytearray) -> int | None:
    """The length that the header of an answer tells, once it is there."""
    return _HEADER.unpack_from(answer)[2] if len(answer) >= _HEADER.size else None


def _end_of(process: "subprocess.Popen[bytes]") -> IO[bytes] | None:
    if not hasattr(os, "pidfd_open"):
        return None
    return os.fdopen(os.pidfd_open(process.pid), "rb", buffering=0)


def _listen(pipe: IO[bytes], words: Words) -> None:
    """Keep the last of what is written to a pipe, until nobody holds its other end."""
    with pipe:
        while piece := pipe.read(_PIECE):
            words.append(piece[-_KEPT_WORDS:])


def _reaped(running: _Running, patience: float) -> int:
    """End a process with its session; how it ended, by itself within so many seconds, or by us."""
    process, give_up = running.process, time.monotonic() + patience
    unseen = os.WEXITED | os.WNOHANG | os.WNOWAIT  # while it is not waited for, its number is nobody else's
    while os.waitid(os.P_PID, process.pid, unseen) is None and time.monotonic() < give_up:
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    running.questions.close()
    running.answers.close()
    if running.end is not None:
        running.end.close()
    return code


def _environment(python: str, work: Path) -> dict[str, str]:
    """All that the process may know of where it runs."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    folder = str(work)
    return threads | {
        "PATH": f"{Path(python).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "HOME": folder,
        "TMPDIR": folder,
        "LANG": "C.UTF-8",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _ending(code: int, interpreter: Interpreter) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    why = {"SIGXCPU": f": it used up its {ceil(interpreter.seconds)} seconds of CPU", "SIGKILL": ": it was killed"}
    return name + why.get(name, "")
