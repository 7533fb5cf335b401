"""Points the real MLflow client at a server and asks what it asks first: version and health."""

import json
import os
import sys

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"

import mlflow
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request


def main() -> None:
    """Input: `{"address": "http://127.0.0.1:8000", "token": "…" (optional)}`. Output: status and text by endpoint."""
    given = json.load(sys.stdin)
    if given.get("token"):
        os.environ["MLFLOW_TRACKING_TOKEN"] = given["token"]
    mlflow.set_tracking_uri(given["address"])
    credentials = get_default_host_creds(mlflow.get_tracking_uri())
    answers = {}
    for endpoint in ("/version", "/health"):
        response = http_request(credentials, endpoint, "GET", timeout=20)
        answers[endpoint] = {"status": response.status_code, "text": response.text}
    print(json.dumps({"client": mlflow.__version__, "answers": answers}))


if __name__ == "__main__":
    main()
