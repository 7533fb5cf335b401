"""Who may use the hot path: the same people as by the operations, remembered for a moment at most."""

from collections.abc import Mapping

import msgspec
from starlette.applications import Starlette

from tests.contract.endpoints.asgi_client import Reply, call
from tests.contract.endpoints.serving_home import ROW, ServingHome
from tidegate.endpoints.admission import MEMORY_SECONDS
from tidegate.endpoints.asgi import HotPath
from tidegate.endpoints.meter import TrafficMeter
from tidegate.kernel.context import Call
from tidegate.kernel.errors import Unauthenticated

BODY = msgspec.json.encode({"rows": [ROW]})


class Tokens:
    """A token is the name of its person."""

    def identify(self, headers: Mapping[str, str]) -> Call:
        token = headers.get("authorization")
        if token is None:
            raise Unauthenticated("a token is needed")
        return Call(actor=token.removeprefix("Bearer "))


class Hands:
    """A machine clock that stands where it is put."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def asked(app: HotPath, token: str | None) -> Reply:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return call(app, "/api/v1/endpoints/late/predict", [BODY], headers=headers)


def test_law_3_identity_and_role_are_those_of_the_operation(late_home: ServingHome) -> None:
    hands = Hands()
    app = HotPath(
        late_home.engine,
        Tokens(),
        Starlette(),
        authorise=late_home.dispatcher.authorise,
        meter=TrafficMeter(),
        machine=hands,  # type: ignore[arg-type]
    )
    late_home.roles.granted["ann"] = frozenset({"contributor"})
    late_home.roles.granted["eve"] = frozenset({"viewer", "approver", "auditor"})
    assert asked(app, "ann").status == 200
    assert (asked(app, "eve").status, asked(app, "eve").json["code"]) == (403, "forbidden")
    assert (asked(app, None).status, asked(app, None).json["code"]) == (401, "unauthenticated")
    assert asked(app, "nobody").status == 403

    late_home.roles.granted["ann"] = frozenset({"viewer"})
    hands.seconds = MEMORY_SECONDS + 0.01
    assert asked(app, "ann").status == 403
    late_home.roles.granted["eve"] = frozenset({"contributor"})
    assert asked(app, "eve").status == 200  # a refusal is never remembered
