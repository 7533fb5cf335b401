"""Open Inference while a canary answers a part: the versions that answered are named; a pinned version is alone."""

import json

import tidegate as tg
from tests.contract.compat.test_inference_protocol import COLUMNS, infer, outputs
from tests.contract.endpoints.asgi_client import call
from tests.contract.endpoints.serving_home import ServingHome
from tests.integration.endpoints.serving_process import application


def test_a_canary_is_named_and_a_pinned_version_is_alone(serving_home: ServingHome) -> None:
    home = serving_home
    home.deployed("linear, text", "late")
    canary = home.endpoints.deploy("late", home.promoted("boosting, text", "late"), strategy=tg.canary())
    home.catalog.write(lambda: home.store.place(canary.id, "canary", 50.0))
    app = application(home, 1 << 20)
    values = (700.0, 3.0, False, "c01")
    many = [column | {"shape": [40], "data": [value] * 40} for column, value in zip(COLUMNS, values, strict=True)]
    mixed = infer(app, many, outputs=[{"name": "probabilities"}, {"name": "prediction_id"}])
    assert sorted(mixed.json["model_version"].split(",")) == ["1", "2"]
    told = outputs(mixed)
    ids, shares = told["prediction_id"]["data"], told["probabilities"]["data"]
    for place, one in enumerate(ids):
        assert home.reader.get(one).probabilities == shares[2 * place : 2 * place + 2]
    body = json.dumps({"inputs": many, "outputs": [{"name": "prediction_id"}]}).encode()
    pinned = call(app, "/v2/models/late/versions/1/infer", [body])
    assert pinned.json["model_version"] == "1"
    kept = [home.reader.get(one) for one in outputs(pinned)["prediction_id"]["data"]]
    assert {(row.model, row.weight) for row in kept} == {("late/1", None)}
    assert call(app, "/v2/models/late/versions/2/infer", [body]).status == 404
