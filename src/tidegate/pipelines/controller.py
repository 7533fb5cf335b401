"""Gives each run that is due a process of its own, one at a time; when that dies, the run goes on where it was."""

import contextlib
import logging
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from tidegate.kernel.context import Call, current
from tidegate.pipelines.journal import Fence, Journal
from tidegate.pipelines.records import Journaled, Pipeline, PipelineRun

log = logging.getLogger("tidegate.pipelines")

ACTOR: Final = "controller:pipelines"
"""Who fails a run whose step was cut off too often. No person has such a name."""

Message = Callable[[PipelineRun, int], bytes]
"""What the process for a run, in its term, must be told."""


Preparation = Callable[[Pipeline], bytes]
"""What a process must be told to load the code of a pipeline before it has a run."""


class _Worker(NamedTuple):
    """A process, and the pipeline whose runs it works on."""

    pipeline: str
    process: subprocess.Popen[bytes]


class _Turn(NamedTuple):
    """A run that was given to the process, in its term."""

    run: str
    term: int


class PipelineController:
    """Runs pipelines. A step of any length never runs in the process of the controller itself.

    The catalog has all that there is to know of a run; only the process is remembered here. When the controller dies,
    so does that process, and the next controller takes the run up where it is.

    `command`: starts a process that reads runs from its standard input, a line each, and ends when that is closed. It
    may end after a run, or stay for the next one of the same pipeline. `environment`: answers what it is started with,
    instead of that of this process.
    `prepare`: where it is given, the process of the pipeline that was registered last is begun before there is a run:
    what its steps import takes seconds.
    `poll`: seconds of one step while a run goes on, so that other controllers get their turns.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        command: Sequence[str],
        message: Message,
        environment: Callable[[], Mapping[str, str]] | None = None,
        prepare: Preparation | None = None,
        poll: float = 0.1,
    ) -> None:
        self._journal = journal
        self._command = command
        self._message = message
        self._environment = environment
        self._prepare = prepare
        self._registered = 0
        self._poll = poll
        self._worker: _Worker | None = None
        self._turn: _Turn | None = None

    def step(self, fence: Fence) -> float | None:
        """Begin the next run, or look after the one that goes on; 0 as long as there is anything to do."""
        if self._worker is None or self._turn is None:
            if self._worker is not None and self._worker.process.poll() is not None:
                self.close()  # it had nothing to do for long
            self._turn = self._next(fence)
            if self._turn is None:
                self._get_ready()
                return None
            return 0.0
        code = self._wait(self._worker.process)
        kept = self._journal.get(self._turn.run)
        if kept.term != self._turn.term:  # cancelled, or taken up by another
            self.close()
        elif kept.run.state != "running":
            self._turn = None
        elif code is not None:
            log.warning("the process of run %s ended with %d; the run goes on where it was", self._turn.run, code)
            self.close()
        return 0.0

    def close(self) -> None:
        """End the process, if there is one: a run that goes on can be taken up again."""
        worker, self._worker, self._turn = self._worker, None, None
        if worker is None:
            return
        worker.process.kill()
        worker.process.wait()
        if worker.process.stdin is not None:
            worker.process.stdin.close()

    def _wait(self, process: "subprocess.Popen[bytes]") -> int | None:
        """What the process ended with, if it does so before long."""
        try:
            return process.wait(self._poll)
        except subprocess.TimeoutExpired:
            return None

    def _next(self, fence: Fence) -> _Turn | None:
        while (due := self._journal.due()) is not None:
            kept = self._take_up(due.run.id, fence)
            if kept.run.state == "running":
                self._tell(kept.run.pipeline, self._message(kept.run, kept.term))
                return _Turn(kept.run.id, kept.term)
        return None

    def _get_ready(self) -> None:
        """Begin the process of the pipeline that was registered last, once, unless there is one already."""
        if self._prepare is None or (registered := self._journal.registered()) == self._registered:
            return
        self._registered = registered
        newest = self._journal.latest()
        if newest is not None and self._worker is None:
            self._tell(newest.name, self._prepare(newest))

    def _take_up(self, run_id: str, fence: Fence) -> Journaled:
        token = current.set(Call(actor=ACTOR))
        try:
            return self._journal.take_up(run_id, fence)
        finally:
            current.reset(token)

    def _tell(self, pipeline: str, message: bytes) -> None:
        """Tell the process of a pipeline; a new one where there is none."""
        if self._worker is None or self._worker.pipeline != pipeline or self._worker.process.poll() is not None:
            self.close()
            # What a step prints goes with the log: standard output belongs to whoever asked for the tick.
            environment = self._environment() if self._environment is not None else None
            process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=2, env=environment, start_new_session=True
            )
            self._worker = _Worker(pipeline, process)
        stdin = self._worker.process.stdin
        with contextlib.suppress(BrokenPipeError):  # it is dead already, which the next step sees
            if stdin is not None:
                stdin.write(message + b"\n")
                stdin.flush()
