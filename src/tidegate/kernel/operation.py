"""A capability, declared once: from the signature come the local call, the route, validation and the client.

A service is a class of plain, typed methods. Those decorated with `operation` may be called from anywhere:
in the same process, over the wire, from the command line. Every call goes through the service's `Invoker`,
so authorisation, audit, idempotency and the transaction stand in one place (`dispatch`).
"""

import functools
import inspect
import re
import typing
from collections.abc import Callable
from typing import Any, ClassVar, Concatenate, Literal, ParamSpec, Protocol, TypeVar

import msgspec

from tidegate.kernel.context import Role
from tidegate.kernel.wire import convert

Audit = Literal["change", "summary", "none"]
"""`change`: one audit row a call, in its transaction. `summary`: telemetry, one row a run or segment. `none`: reads."""

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Service")

_PATH_FIELD = re.compile(r"\{(\w+)\}")


class Operation:
    """What is known of one operation: route, role, audit level, and the types of its request and answer."""

    def __init__(self, function: Callable[..., Any], route: str, role: Role, audit: Audit, transaction: bool) -> None:
        self.method, _, self.path = route.partition(" ")
        self.function = function
        self.name = function.__name__
        self.role: Role = role
        self.audit: Audit = audit
        self.transaction = transaction
        self.room = ""
        self.path_fields: tuple[str, ...] = tuple(_PATH_FIELD.findall(self.path))
        self._check()

    def _check(self) -> None:
        where = f"operation {self.function.__qualname__}"
        if self.method not in ("GET", "POST", "PUT", "DELETE") or not self.path.startswith("/"):
            raise TypeError(f"{where}: the route must read like 'POST /models/{{name}}'")
        if self.role not in typing.get_args(Role) or self.audit not in typing.get_args(Audit):
            raise TypeError(f"{where}: role and audit level must be declared")
        if not inspect.getdoc(self.function):
            raise TypeError(f"{where}: an operation without a docstring does not import")
        missing = set(self.path_fields) - set(self.parameters)
        if missing:
            raise TypeError(f"{where}: the path names {sorted(missing)}, which the signature lacks")

    @functools.cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The parameters in order, without self."""
        return dict(list(inspect.signature(self.function).parameters.items())[1:])

    @functools.cached_property
    def positional(self) -> tuple[str, ...]:
        """Names of the parameters that may be given by position."""
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return tuple(name for name, parameter in self.parameters.items() if parameter.kind in kinds)

    @functools.cached_property
    def hints(self) -> dict[str, Any]:
        """The resolved annotations, `return` included."""
        return typing.get_type_hints(self.function, include_extras=True)

    @functools.cached_property
    def request(self) -> type[msgspec.Struct]:
        """The record of the arguments; unknown fields are refused."""
        fields: list[Any] = []
        for name, parameter in self.parameters.items():
            kind = self.hints[name]
            if parameter.default is inspect.Parameter.empty:
                fields.append((name, kind))
            else:
                fields.append((name, kind, parameter.default))
        title = "".join(part.capitalize() for part in f"{self.room}_{self.name}_request".split("_"))
        return msgspec.defstruct(title, fields, kw_only=True, frozen=True, forbid_unknown_fields=True)

    @property
    def returns(self) -> Any:
        """The type of the answer."""
        return self.hints["return"]

    @property
    def doc(self) -> str:
        """The docstring, cleaned."""
        return inspect.getdoc(self.function) or ""

    @property
    def writes(self) -> bool:
        """Whether a call may change anything."""
        return self.method != "GET"

    def bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> msgspec.Struct:
        """The request for a local call. Raises `Invalid` exactly as the wire would."""
        if len(args) > len(self.positional):
            raise TypeError(f"{self.name}() takes {len(self.positional)} positional arguments, {len(args)} given")
        given = dict(zip(self.positional, args, strict=False))
        if doubled := given.keys() & kwargs.keys():
            raise TypeError(f"{self.name}() got several values for {', '.join(sorted(doubled))}")
        request: msgspec.Struct = convert(given | kwargs, self.request, f"{self.room}.{self.name}")
        return request

    def invoke(self, service: "Service", request: msgspec.Struct) -> Any:
        """Run the method itself."""
        return self.function(service, **{name: getattr(request, name) for name in self.parameters})


class Invoker(Protocol):
    """How a service's operations are run: in this process, or over a wire."""

    def __call__(self, operation: Operation, service: "Service", request: msgspec.Struct) -> Any:
        """The answer of the operation. Raises the errors of `kernel.errors`."""
        ...


class Service:
    """The operations of one room. ``room`` is its attribute, its command group and its place in the path.

    A service with many operations is put together of classes, each with those of one subject.
    ``uses`` names the rooms whose services its plain methods call; the workspace sets them as ``_room``.
    """

    room: ClassVar[str] = ""
    uses: ClassVar[tuple[str, ...]] = ()
    _operations: ClassVar[dict[str, Operation]] = {}
    _invoke: Invoker

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        found: dict[str, Operation] = {}
        for name, member in (each for base in reversed(cls.__mro__) for each in vars(base).items()):
            declared: Operation | None = getattr(member, "operation", None)
            if isinstance(declared, Operation):
                declared.room = cls.room
                found[name] = declared
        cls._operations = found

    @classmethod
    def operations(cls) -> list[Operation]:
        """Every operation of this service, in the order of declaration."""
        return list(cls._operations.values())


def operation(
    route: str, *, role: Role, audit: Audit, transaction: bool | None = None
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Declare a method as an operation.

    ``transaction`` says whether the whole body runs inside one write transaction of the catalog; by default
    everything but a GET does. An operation that is slow, or writes only to the journal, says False.
    """

    def declare(function: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        writes = not route.startswith("GET ")
        declared = Operation(function, route, role, audit, writes if transaction is None else transaction)

        @functools.wraps(function)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            result: R = self._invoke(declared, self, declared.bind(args, kwargs))
            return result

        call.operation = declared  # type: ignore[attr-defined]
        return call

    return declare
