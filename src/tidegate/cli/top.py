"""Commands at the top: `status`, `predict`, `why`, `config`."""

import sys
import typing
from pathlib import Path
from typing import Any

import click
import msgspec

from tidegate.cli.printing import print_answer, print_table
from tidegate.cli.shared import common_options, opened
from tidegate.kernel import wire
from tidegate.kernel.errors import Invalid, NotFound
from tidegate.kernel.settings import Settings, find_home, resolve


@click.command()
def status(json_output: bool, home: str | None) -> None:
    """Every endpoint: its live version, traffic, latency and quality."""
    with opened(home, makes=True) as workspace:  # who begins asks this first, and is told how to go on
        answer = workspace.loop.status()
    if json_output:
        click.echo(wire.encode(answer, type(answer)))
        return
    from tidegate.cli.overview import print_status

    settings = resolve({"home": home}).settings
    print_status(answer, settings.url if settings.url and not home else str(find_home(settings)))


@click.command()
@click.argument("endpoint")
@click.option("--row", "rows", multiple=True, metavar="JSON", help="One row as a JSON object; may be repeated.")
@click.option("--file", "file", type=click.Path(), help="A JSON file with a list of rows; '-' reads standard input.")
def predict(endpoint: str, rows: tuple[str, ...], file: str | None, json_output: bool, home: str | None) -> None:
    """Ask an endpoint for predictions. Each is logged, and its id answers `tidegate why`."""
    asked = [_object(text) for text in rows] + (_read(file) if file else [])
    if not asked:
        raise click.UsageError("Give a row: --row '{\"distance_miles\": 1400}', or --file rows.json.")
    with opened(home) as workspace:
        answer = workspace.endpoints.predict(endpoint, asked)
    if json_output:
        click.echo(wire.encode(answer, type(answer)))
        return
    print_answer(answer.predictions, list, json_output=False)


@click.command()
@click.argument("prediction_id")
def why(prediction_id: str, json_output: bool, home: str | None) -> None:
    """Walk back from a prediction: deployment, model, run, code, data, gates, approver."""
    with opened(home) as workspace:
        answer = workspace.loop.why(prediction_id)
    if json_output:
        click.echo(wire.encode(answer, type(answer)))
        return
    from tidegate.loop.why import tell

    click.echo(tell(answer))


@click.command()
def config(json_output: bool, home: str | None) -> None:
    """Every setting, its value, and where it came from."""
    resolved = resolve({"home": home})
    shown = {name: _shown(name, resolved.settings) for name in Settings.__struct_fields__}
    shown["home"] = str(find_home(resolved.settings))
    if json_output:
        values = {name: {"value": value, "origin": resolved.origins[name]} for name, value in shown.items()}
        click.echo(msgspec.json.encode(values))
        return
    print_table([{"setting": name, "value": value, "origin": resolved.origins[name]} for name, value in shown.items()])


def _shown(name: str, settings: Settings) -> Any:
    value = getattr(settings, name)
    if name == "token" and value:
        return "(set)"
    if name == "catalog" and "@" in str(value):
        return str(value).partition("://")[0] + "://…@" + str(value).rpartition("@")[2]
    return list(value) if isinstance(value, tuple) else value


def _object(text: str) -> dict[str, Any]:
    row: dict[str, Any] = wire.decode_plain(text, dict[str, Any], f"row {text[:60]!r}")
    return row


def _read(file: str) -> list[dict[str, Any]]:
    if file == "-":
        return typing.cast("list[dict[str, Any]]", wire.decode_plain(sys.stdin.read(), list[dict[str, Any]]))
    try:
        text = Path(file).read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {file}") from error
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from error
    return typing.cast("list[dict[str, Any]]", wire.decode_plain(text, list[dict[str, Any]], file))


for _command in (status, predict, why, config):
    common_options(_command)
