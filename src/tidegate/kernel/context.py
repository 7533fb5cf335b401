"""Who asks, and how: what every call carries and no signature shows."""

from contextvars import ContextVar
from typing import Literal

import msgspec

from tidegate.kernel.ids import random_id

Role = Literal["viewer", "contributor", "maintainer", "admin", "approver", "auditor"]
"""viewer < contributor < maintainer < admin are nested; approver and auditor are granted beside them."""

NESTED_ROLES: tuple[Role, ...] = ("viewer", "contributor", "maintainer", "admin")

LOCAL_ACTOR = "local"
"""The person to whom an embedded home and a loopback server belong."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call: its actor, and what makes it traceable and repeatable.

    ``deadline`` is in machine time (seconds, monotonic) of the process that serves the call.
    """

    actor: str
    request_id: str = msgspec.field(default_factory=random_id)
    idempotency_key: str | None = None
    deadline: float | None = None


current: ContextVar[Call | None] = ContextVar("tidegate_call", default=None)
"""The call that is being served, or None outside of one."""


def actor() -> str:
    """The actor of the call that is being served; `local` outside of one."""
    call = current.get()
    return call.actor if call is not None else LOCAL_ACTOR


def covers(granted: frozenset[Role], needed: Role) -> bool:
    """Whether the granted roles include the needed one."""
    if needed in granted:
        return True
    if needed not in NESTED_ROLES:
        return False
    rank = NESTED_ROLES.index(needed)
    return any(role in granted for role in NESTED_ROLES[rank:])
