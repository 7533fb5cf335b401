"""Verbs that move bytes between files and the home."""

from pathlib import Path

import click

from tidegate.cli.printing import print_answer
from tidegate.cli.shared import common_options, opened
from tidegate.kernel.errors import Invalid
from tidegate.runs.offline.entries import UploadedRun


@click.command()
@click.argument("name")
@click.argument("file", type=click.Path())
@click.option("--note", default="", help="A line that says what this version is.")
def commit(name: str, file: str, note: str, json_output: bool, home: str | None) -> None:
    """Commit a Parquet or CSV file as a version of a dataset.

    The first version teaches the contract; later ones are checked against it, and refused with the rows named.
    """
    with opened(home, makes=True) as workspace:
        version = workspace.data.commit(name, file, note=note)
    print_answer(version, type(version), json_output)


@click.command()
@click.argument("reference")
@click.argument("file", type=click.Path())
def export(reference: str, file: str, json_output: bool, home: str | None) -> None:
    """Write a version of a dataset to a Parquet or CSV file."""
    path = Path(file)
    if path.suffix not in (".parquet", ".csv"):
        raise Invalid(f"{file}: the name must end in .parquet or .csv")
    with opened(home) as workspace:
        frame = workspace.data.frame(reference)
    try:
        if path.suffix == ".parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path)
    except OSError as error:
        raise Invalid(f"{file} cannot be written: {error.strerror or error}") from error
    if json_output:
        print_answer({"file": file, "rows": frame.height}, dict[str, object], json_output=True)
    else:
        click.echo(f"{frame.height:,} rows written to {file}")


@click.command()
@click.argument("folder", type=click.Path(), default="")
def upload(folder: str, json_output: bool, home: str | None) -> int:
    """Bring the offline runs of a folder to the home, with their objects.

    The folder is tidegate-offline unless it is named. What is there already is not sent again: call it as often as you
    like, also after it was cut off.
    """
    with opened(home, makes=True) as workspace:
        runs = workspace.runs.upload(folder)
    print_answer(runs, list[UploadedRun], json_output)
    return 1 if any(run.error for run in runs) else 0


for _command in (commit, export, upload):
    common_options(_command)
