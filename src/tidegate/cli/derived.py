"""A command from an operation: required parameters are arguments, the others options; the answer is printed."""

import re
import types
import typing
from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from tidegate.cli.printing import print_answer
from tidegate.cli.shared import common_options, opened
from tidegate.kernel import wire
from tidegate.kernel.clock import parse_instant
from tidegate.kernel.errors import Invalid
from tidegate.kernel.operation import Operation
from tidegate.workspace import SERVICES

_RAISES = re.compile(r"(?:(?<=\.)\s+|^)Raises `.*?\.(?=\s|$)", re.DOTALL | re.MULTILINE)


def verb(operation: Operation) -> str:
    """The command's name for an operation: ``set_alias`` is typed ``set-alias``."""
    return operation.name.replace("_", "-")


def command_for(room: str, name: str) -> click.Command:
    """The command of one operation."""
    operation = next(each for each in SERVICES[room].operations() if verb(each) == name)

    def run(json_output: bool, home: str | None, **given: Any) -> None:
        asked = {key: value for key, value in given.items() if value is not None}
        with opened(home, makes=operation.writes) as workspace:
            answer = getattr(workspace.services[room], operation.name)(**asked)
        print_answer(answer, operation.returns, json_output)

    return common_options(click.Command(name, callback=run, help=_help(operation.doc), params=_params(operation)))


def _help(doc: str) -> str:
    """The docstring without what only a programmer asks: which class an error is of."""
    return _RAISES.sub("", doc.replace("``", "`")).strip()


def _params(operation: Operation) -> list[click.Parameter]:
    params: list[click.Parameter] = []
    for name, parameter in operation.parameters.items():
        kind = _click_type(operation.hints[name])
        required = parameter.default is parameter.empty
        if required and name in operation.positional:
            params.append(click.Argument([name], type=kind))
        else:
            flag = "--" + name.replace("_", "-")
            declared = [f"{flag}/--no-{flag[2:]}", name] if kind is click.BOOL else [flag, name]
            # a default, even None, would do for what is required
            absent: dict[str, Any] = {} if required else {"default": None}
            params.append(click.Option(declared, type=kind, required=required, **absent))
    return params


def _click_type(hint: Any) -> click.ParamType[Any]:
    hint = _bare(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and str in typing.get_args(hint):
        return click.STRING  # a reference, or the record that it names: a command has the reference
    simple: dict[Any, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT, str: click.STRING, bool: click.BOOL}
    if hint in simple:
        return simple[hint]
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        return click.Choice(choices) if all(isinstance(each, str) for each in choices) else Parsed(_json, "JSON")
    if hint is datetime:
        return Parsed(parse_instant, "INSTANT")
    if isinstance(hint, type) and issubclass(hint, float):
        return click.FLOAT
    return Parsed(_json, "JSON")


def _bare(hint: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _bare(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return _bare(kinds[0]) if len(kinds) == 1 else hint
    return hint


class Parsed(click.ParamType[Any]):
    """A parameter read by a function of ours; what that refuses is a usage error."""

    def __init__(self, read: Callable[[str], Any], name: str) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The parsed value."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except Invalid as error:
            self.fail(error.message, param, ctx)


def _json(text: str) -> Any:
    return wire.decode_plain(text, Any, repr(text[:60]))
