"""The command `tidegate`: errors become one line and an exit code, never a traceback."""

import sys

import click

from tidegate.cli.commands import Group
from tidegate.kernel.errors import Internal, Invalid, TidegateError

_USAGE, _INTERRUPTED = 2, 130


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command takes --home and --help, and those that answer take --json. Exit codes: 1 an error, "
    "2 a wrong command line, 3 refused by a policy, 4 not allowed, 5 not found.",
)
@click.version_option(package_name="tidegate", message="%(version)s")
def cli() -> None:
    """Take a machine-learning model from the notebook into production, and keep it right there."""


def main() -> None:
    """Run the command line."""
    try:
        code = cli.main(prog_name="tidegate", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(_INTERRUPTED)
    except click.UsageError as error:
        _report_usage(error)
        sys.exit(_USAGE)
    except click.ClickException as error:
        _report(Invalid(error.format_message()))
        sys.exit(error.exit_code)
    except TidegateError as error:
        _report(error)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the edge: a fault of ours is told in one line, too
        _report(_fault(error))
        sys.exit(Internal.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _report(error: TidegateError) -> None:
    """The error on standard error: as JSON where ``--json`` was asked for, else as a line."""
    if "--json" in sys.argv:
        from tidegate.kernel import wire
        from tidegate.kernel.errors import to_wire

        click.echo(wire.encode(to_wire(error)).decode(), err=True)
        return
    click.echo(f"{click.style('error', fg='red', bold=True)}: {error.message}", err=True)


def _report_usage(error: click.UsageError) -> None:
    """What is wrong with the command line, and how it goes."""
    if "--json" in sys.argv:
        _report(Invalid(error.format_message()))
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        where = error.ctx.command_path if error.ctx is not None else "tidegate"
        _report(Invalid(f"{error.format_message()} Try '{where} --help'."))


def _fault(error: Exception) -> Internal:
    """A fault of ours, with its traceback put where it can be asked for."""
    from tidegate.cli.faults import keep_traceback

    kept = keep_traceback(error)
    return Internal(f"a fault of ours ({type(error).__name__}: {error}); what we need to mend it is in {kept}")
