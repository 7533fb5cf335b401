"""What went wrong inside a command: a line for the person, and the traceback in a file for whoever mends it."""

import logging
import tempfile
import traceback
from typing import Final

import click

_LOGGER: Final = "tidegate"


def keep_traceback(error: BaseException) -> str:
    """The path of the file that holds the traceback now."""
    with tempfile.NamedTemporaryFile("w", prefix="tidegate-fault-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    return file.name


class ShortLog(logging.Handler):
    """Prints a warning of the library as one line on standard error, with its traceback in a file."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        error = record.exc_info[1] if record.exc_info else None
        kept = f"; its traceback is in {keep_traceback(error)}" if error is not None else ""
        click.echo(f"{click.style('warning', fg='yellow')}: {record.getMessage()}{kept}", err=True)


def shorten_log() -> None:
    """Let commands say what is logged in lines: Python would print tracebacks."""
    logger = logging.getLogger(_LOGGER)
    if not any(isinstance(one, ShortLog) for one in logger.handlers):
        logger.addHandler(ShortLog(logging.WARNING))
