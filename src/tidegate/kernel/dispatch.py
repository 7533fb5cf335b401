"""The one place through which every operation runs, whether called locally or over a wire.

In order: authorisation, deadline, transaction, idempotency, the method, audit, metrics. An operation called
from within another one belongs to it: same transaction, same audit row, no second authorisation.
"""

import hashlib
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import msgspec

from tidegate.kernel import wire
from tidegate.kernel.clock import MachineClock
from tidegate.kernel.context import Call, Role, covers, current
from tidegate.kernel.errors import Conflict, Forbidden, Internal, Invalid, Refused, TidegateError, Unavailable
from tidegate.kernel.operation import Operation, Service

T = TypeVar("T")
log = logging.getLogger("tidegate")

_inside: ContextVar[bool] = ContextVar("tidegate_inside_operation", default=False)


class Authority(Protocol):
    """Knows which roles a person has."""

    def roles(self, actor: str) -> frozenset[Role]:
        """The roles of the person. Raises `Forbidden` when there is no such person."""
        ...


class Transactions(Protocol):
    """Runs a function inside one write transaction."""

    def write(self, work: Callable[[], T], *, durable: bool = True) -> T:
        """The function's result, once it is committed (`durable`: also after a power failure)."""
        ...


class Remembered(msgspec.Struct, frozen=True):
    """The answer once given under an idempotency key."""

    operation: str
    request_digest: str
    answer: bytes


class Memory(Protocol):
    """Answers by idempotency key, written in the transaction that they belong to."""

    def recall(self, actor: str, key: str) -> Remembered | None:
        """What was answered under this key before, or None, and the key is ours until the transaction ends."""
        ...

    def remember(self, actor: str, key: str, remembered: Remembered) -> None:
        """Keep the answer."""
        ...


class Journalled(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit chain keeps of one call."""

    actor: str
    operation: str
    subject: str
    outcome: str
    request_id: str
    request_digest: str
    detail: str = ""


class AuditTrail(Protocol):
    """The append-only, hash-chained record of who did what."""

    def append(self, entry: Journalled) -> None:
        """Add one row, inside the ambient transaction."""
        ...


class Meter(Protocol):
    """Counts and times calls."""

    def observe(self, operation: str, code: str, seconds: float) -> None:
        """One call ended with this code (`ok` or an error's)."""
        ...


class Dispatcher:
    """Wraps every operation of a workspace."""

    def __init__(
        self,
        *,
        authority: Authority,
        transactions: Transactions,
        memory: Memory,
        audit: AuditTrail,
        meter: Meter,
        machine: MachineClock,
    ) -> None:
        self._authority = authority
        self._transactions = transactions
        self._memory = memory
        self._audit = audit
        self._meter = meter
        self._machine = machine

    def run(self, operation: Operation, service: Service, request: msgspec.Struct, call: Call) -> Any:
        """The operation's answer. Raises nothing but `TidegateError`."""
        if _inside.get():
            return operation.invoke(service, request)
        started = self._machine.monotonic()
        code = "ok"
        call_token, inside_token = current.set(call), _inside.set(True)
        try:
            return self._run_audited(operation, service, request, call)
        except TidegateError as error:
            code = error.code
            raise
        except UnicodeEncodeError as error:
            code = Invalid.code
            raise wire.not_unicode(request, "kept") from error
        except Exception as error:
            code = "internal"
            log.exception("operation %s.%s failed, request %s", operation.room, operation.name, call.request_id)
            raise Internal(
                f"{operation.room}.{operation.name} failed by a fault of ours ({type(error).__name__}); "
                f"the log has it under request {call.request_id}",
                request_id=call.request_id,
            ) from error
        finally:
            _inside.reset(inside_token)
            current.reset(call_token)
            self._meter.observe(f"{operation.room}.{operation.name}", code, self._machine.monotonic() - started)

    def on_behalf(self, call: Call, work: Callable[[], T]) -> T:
        """Run what a controller has decided, inside its transaction.

        Operations called from within belong to it: no role is asked for, and the audit row is the controller's to
        write.
        """
        call_token, inside_token = current.set(call), _inside.set(True)
        try:
            return work()
        finally:
            _inside.reset(inside_token)
            current.reset(call_token)

    def authorise(self, operation: Operation, call: Call) -> None:
        """Raises `Forbidden` unless the actor has the operation's role, `Unavailable` past the deadline."""
        self.require(call, operation.role, f"call {operation.room}.{operation.name}")
        if call.deadline is not None and self._machine.monotonic() > call.deadline:
            raise Unavailable(
                f"the deadline of the call passed before {operation.room}.{operation.name} began; nothing was changed: "
                "give it more seconds",
                field="tidegate-deadline",
                operation=f"{operation.room}.{operation.name}",
            )

    def require(self, call: Call, role: Role, act: str) -> None:
        """Raises `Forbidden`, naming what the actor meant to do, unless the actor has the role."""
        if not covers(self._authority.roles(call.actor), role):
            raise Forbidden(
                f"{call.actor} may not {act}: it needs the role {role}; "
                f"an admin can grant it with 'tidegate people grant {call.actor} --role {role}'",
                actor=call.actor,
                role=role,
            )

    def _run_audited(self, operation: Operation, service: Service, request: msgspec.Struct, call: Call) -> Any:
        try:
            self.authorise(operation, call)
            return self._run_authorised(operation, service, request, call)
        except TidegateError as error:
            self._audit_refusal(operation, request, call, error)
            raise

    def _run_authorised(self, operation: Operation, service: Service, request: msgspec.Struct, call: Call) -> Any:
        if not operation.transaction:
            return operation.invoke(service, request)
        change = operation.audit == "change"

        def work() -> Any:
            known = self._recall(operation, request, call)
            if known is not None:
                return wire.decode(known.answer, operation.returns, "remembered answer")
            answer = operation.invoke(service, request)
            if change:
                self._audit.append(_entry(operation, request, call, "ok"))
            self._remember(operation, request, call, answer)
            return answer

        return self._transactions.write(work, durable=change)

    def _recall(self, operation: Operation, request: msgspec.Struct, call: Call) -> Remembered | None:
        if call.idempotency_key is None:
            return None
        known = self._memory.recall(call.actor, call.idempotency_key)
        if known is None:
            return None
        if known.operation != f"{operation.room}.{operation.name}" or known.request_digest != _digest(request):
            raise Conflict(
                f"idempotency key {call.idempotency_key} was used for another request ({known.operation}); "
                "a key belongs to one request: make a new one"
            )
        return known

    def _remember(self, operation: Operation, request: msgspec.Struct, call: Call, answer: object) -> None:
        if call.idempotency_key is not None:
            name = f"{operation.room}.{operation.name}"
            kept = Remembered(name, _digest(request), wire.encode(answer, operation.returns))
            self._memory.remember(call.actor, call.idempotency_key, kept)

    def _audit_refusal(self, operation: Operation, request: msgspec.Struct, call: Call, error: TidegateError) -> None:
        if operation.audit != "change" or not isinstance(error, Refused | Forbidden):
            return
        entry = _entry(operation, request, call, error.code, error.message)
        self._transactions.write(lambda: self._audit.append(entry))


def _entry(operation: Operation, request: msgspec.Struct, call: Call, outcome: str, detail: str = "") -> Journalled:
    return Journalled(
        actor=_clip(call.actor, 128),
        operation=f"{operation.room}.{operation.name}",
        subject=_clip(_subject(operation, request), 512),
        outcome=outcome,
        request_id=_clip(call.request_id, 64),
        request_digest=_digest(request),
        detail=_clip(detail, 4096),
    )


_SUBJECTS = ("reference", "version", "plan_id")
"""Arguments that say what a call is about, where the path does not."""


def _subject(operation: Operation, request: msgspec.Struct) -> str:
    names = operation.path_fields or [name for name in _SUBJECTS if name in operation.parameters][:1]
    return "/".join(str(getattr(request, name)) for name in names)


def _clip(text: str, length: int) -> str:
    """As much of a stranger's text as a row holds; what is refused has not been checked."""
    return text[:length].replace("\x00", "\ufffd")


def _digest(request: msgspec.Struct) -> str:
    return hashlib.sha256(wire.encode(request, type(request))).hexdigest()


class LocalInvoker:
    """Runs operations in this process, as the actor that the workspace was opened by."""

    def __init__(self, dispatcher: Dispatcher, actor: str) -> None:
        self._dispatcher = dispatcher
        self._actor = actor

    def __call__(self, operation: Operation, service: Service, request: msgspec.Struct) -> Any:
        """The operation's answer, straight from the method."""
        call = current.get() or Call(actor=self._actor)
        return self._dispatcher.run(operation, service, request, call)


class Transport(Protocol):
    """Carries a request to where its operation runs, and the answer back, both as JSON."""

    def carry(self, operation: Operation, request: bytes) -> bytes:
        """The answer's JSON. Raises the error that the far side raised."""
        ...


class RemoteInvoker:
    """Runs operations on the far side of a transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __call__(self, operation: Operation, service: Service, request: msgspec.Struct) -> Any:
        """The operation's answer, decoded."""
        answer = self._transport.carry(operation, wire.encode(request, operation.request))
        try:
            return wire.decode(answer, operation.returns, f"answer of {operation.room}.{operation.name}")
        except Invalid as error:
            raise Internal(f"{error.message}; are client and server of the same version?") from error


class WireTransport:
    """The wire inside one process: encode, dispatch, decode. Every test can run through it."""

    def __init__(self, dispatcher: Dispatcher, services: dict[str, Service], actor: str) -> None:
        self._dispatcher = dispatcher
        self._services = services
        self._actor = actor

    def carry(self, operation: Operation, request: bytes) -> bytes:
        """The answer's JSON."""
        decoded: msgspec.Struct = wire.decode(request, operation.request)
        call = current.get() or Call(actor=self._actor)
        answer = self._dispatcher.run(operation, self._services[operation.room], decoded, call)
        return wire.encode(answer, operation.returns)
