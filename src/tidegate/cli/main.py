"""The command `tidegate`: errors become one line and an exit code, never a traceback."""

import sys

import click

from tidegate.cli.commands import Group
from tidegate.kernel.errors import TidegateError


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command takes --json, --home and --help.",
)
@click.version_option(package_name="tidegate", message="%(version)s")
def cli() -> None:
    """Take a machine-learning model from the notebook into production, and keep it right there."""


def main() -> None:
    """Run the command line."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TidegateError as error:
        report(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else 0)


def report(error: TidegateError) -> None:
    """The error on standard error: as JSON where ``--json`` was asked for, else as a line."""
    if "--json" in sys.argv:
        from tidegate.kernel import wire
        from tidegate.kernel.errors import to_wire

        click.echo(wire.encode(to_wire(error)).decode(), err=True)
        return
    click.echo(f"{click.style('error', fg='red', bold=True)}: {error.message}", err=True)
