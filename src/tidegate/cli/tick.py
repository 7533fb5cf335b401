"""`tidegate tick`: the controllers' work, done now."""

from tidegate.cli.derived import command_for

tick = command_for("loop", "tick")
