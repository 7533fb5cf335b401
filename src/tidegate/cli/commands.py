"""Which commands there are. Modules are imported only when one of their commands is run or asked about.

The verbs of the rooms stand in a generated index (`make index`), so that ``--help`` imports no room.
"""

from importlib import import_module

import click

from tidegate.cli.index import ROOMS

TOP: dict[str, tuple[str, str]] = {
    "serve": ("tidegate.cli.serve:serve", "Run the server of a home."),
    "status": ("tidegate.cli.top:status", "What is deployed, and how it is doing."),
    "predict": ("tidegate.cli.top:predict", "Ask an endpoint for a prediction."),
    "why": ("tidegate.cli.top:why", "Walk back from a prediction to the data behind it."),
    "tick": ("tidegate.cli.tick:tick", "Do at once what is due by itself, where no server runs."),
    "retrain": ("tidegate.cli.retrain:retrain", "Train the model behind an endpoint anew, now."),
    "demo": ("tidegate.cli.demo:demo", "From raw data to a monitored answer, on real flights."),
    "config": ("tidegate.cli.top:config", "Every setting, its value, and where it came from."),
    "doctor": ("tidegate.cli.doctor:doctor", "Check that this home and this installation are sound."),
}

FILES: dict[str, dict[str, tuple[str, str]]] = {
    "data": {
        "commit": ("tidegate.cli.files:commit", "Commit a Parquet or CSV file as a version of a dataset."),
        "export": ("tidegate.cli.files:export", "Write a version of a dataset to a Parquet or CSV file."),
    },
    "runs": {
        "upload": ("tidegate.cli.files:upload", "Bring the offline runs of a folder to the home."),
    },
}
"""Verbs that move bytes, and so are not operations."""


_BRIEF, _LEAST = 74, 25


def load(target: str) -> click.Command:
    """The command at ``module:name``."""
    module, _, name = target.partition(":")
    command: click.Command = getattr(import_module(module), name)
    return command


def brief(line: str) -> str:
    """A sentence that is short enough for a list, cut at a joint where it is not."""
    line = line.replace("``", "`")
    if len(line) <= _BRIEF:
        return line
    joint = next((place for place in range(_LEAST, _BRIEF) if line[place] in ",;:" and line[place + 1] == " "), None)
    return line if joint is None else line[:joint] + "."


class Group(click.Group):
    """The top: a few commands of its own, then one group a room."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands first, then the rooms."""
        return [*TOP, *ROOMS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name in TOP:
            return load(TOP[cmd_name][0])
        if cmd_name in ROOMS:
            return RoomGroup(cmd_name, help=ROOMS[cmd_name][0])
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Two sections, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in TOP.items()])
        with formatter.section("Rooms (tidegate ROOM --help)"):
            formatter.write_dl([(name, brief(line)) for name, (line, _) in ROOMS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a mistyped name."""
        _suggest(ctx, args, self.list_commands(ctx), "command")
        return super().resolve_command(ctx, args)


class RoomGroup(click.Group):
    """The verbs of one room."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the service."""
        return [*FILES.get(self.name or "", {}), *ROOMS[self.name or ""][1]]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, derived from its operation now."""
        room = self.name or ""
        if cmd_name in FILES.get(room, {}):
            return load(FILES[room][cmd_name][0])
        if cmd_name not in ROOMS[room][1]:
            return None
        from tidegate.cli.derived import command_for

        return command_for(room, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the index, without importing the room."""
        lines = {name: line for name, (_, line) in FILES.get(self.name or "", {}).items()}
        lines |= ROOMS[self.name or ""][1]
        with formatter.section("Commands"):
            formatter.write_dl([(name, brief(line)) for name, line in lines.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a mistyped name."""
        _suggest(ctx, args, self.list_commands(ctx), f"command of {self.name}")
        return super().resolve_command(ctx, args)


def _suggest(ctx: click.Context, args: list[str], known: list[str], what: str) -> None:
    if not args or args[0] in known or args[0].startswith("-"):
        return
    import difflib

    near = difflib.get_close_matches(args[0], known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(known)}."
    raise click.UsageError(f"There is no {what} {args[0]!r}.{hint}", ctx)
