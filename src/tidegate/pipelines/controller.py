"""Gives each run that is due a process of its own, one at a time; when that dies, the run goes on where it was."""

import contextlib
import logging
import subprocess
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from tidegate.kernel.context import Call, current
from tidegate.pipelines.journal import Fence, Journal
from tidegate.pipelines.records import Journaled, PipelineRun

log = logging.getLogger("tidegate.pipelines")

ACTOR: Final = "controller:pipelines"
"""Who fails a run whose step was cut off too often. No person has such a name."""

Message = Callable[[PipelineRun, int], bytes]
"""What the process for a run, in its term, must be told."""


class _Child(NamedTuple):
    run: str
    term: int
    process: subprocess.Popen[bytes]


class PipelineController:
    """Runs pipelines. A step of any length never runs in the process of the controller itself.

    The catalog has all that there is to know of a run; only the running process is remembered here. When the
    controller dies, so does that process, and the next controller takes the run up where it is.

    `command`: starts a process that reads one line of its standard input, and ends when that is closed.
    `poll`: seconds of one step while a process runs, so that other controllers get their turns.
    """

    def __init__(self, *, journal: Journal, command: Sequence[str], message: Message, poll: float = 0.1) -> None:
        self._journal = journal
        self._command = command
        self._message = message
        self._poll = poll
        self._child: _Child | None = None

    def step(self, fence: Fence) -> float | None:
        """Begin the next run, or look after the one that runs; 0 as long as there is anything to do."""
        if self._child is None:
            self._child = self._next(fence)
            return None if self._child is None else 0.0
        try:
            code = self._child.process.wait(self._poll)
        except subprocess.TimeoutExpired:
            if self._journal.get(self._child.run).term != self._child.term:  # cancelled, or taken up by another
                self.close()
            return 0.0
        if code != 0:
            log.warning("the process of run %s ended with %d; the run goes on where it was", self._child.run, code)
        self.close()
        return 0.0

    def close(self) -> None:
        """End the process that runs, if one does: its run can be taken up again."""
        if self._child is None:
            return
        process = self._child.process
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        self._child = None

    def _next(self, fence: Fence) -> _Child | None:
        while (due := self._journal.due()) is not None:
            kept = self._take_up(due.run.id, fence)
            if kept.run.state == "running":
                return _Child(kept.run.id, kept.term, self._start(self._message(kept.run, kept.term)))
        return None

    def _take_up(self, run_id: str, fence: Fence) -> Journaled:
        token = current.set(Call(actor=ACTOR))
        try:
            return self._journal.take_up(run_id, fence)
        finally:
            current.reset(token)

    def _start(self, message: bytes) -> subprocess.Popen[bytes]:
        # What a step prints goes with the log: standard output belongs to whoever asked for the tick.
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=2, start_new_session=True)
        with contextlib.suppress(BrokenPipeError):  # it is dead already, which the next step sees
            if process.stdin is not None:
                process.stdin.write(message + b"\n")
                process.stdin.flush()
        return process
