"""What a client's source may name, and that nothing else is ever taken for it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.compat.mlflow.sources import Source, parse_source
from tidegate.kernel.errors import Invalid

RUN = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f"models:/m-{RUN}", Source(draft=RUN)),
        ("models:/late arrival/12", Source(version="late arrival/12")),
        ("models:/late@champion", Source(version="late@champion")),
        (f"runs:/{RUN}", Source(run=RUN)),
        (f"runs:/{RUN}/a/b c", Source(run=RUN, path="a/b c")),
        (f"mlflow-artifacts:/0/{RUN}/artifacts/model/", Source(run=RUN, path="model")),
        (f"mlflow-artifacts:/{RUN}/models/m-{RUN}/artifacts", Source(draft=RUN)),
        ("mlflow-artifacts:/models/late/3", Source(version="late/3")),
    ],
)
def test_the_forms_that_name_what_is_kept(text: str, source: Source) -> None:
    assert parse_source(text) == source


PIECES = st.sampled_from(
    [
        "models:",
        "runs:",
        "mlflow-artifacts:",
        "file:",
        "http:",
        "/",
        "//",
        "..",
        ".",
        "%2e",
        "\\",
        "?",
        "#",
        "@",
        "0",
        RUN,
        f"m-{RUN}",
        "artifacts",
        "models",
        "late",
        "1",
        "evil.example",
        "\0",
        " ",
        "etc",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join)))
def test_any_other_text_is_refused_or_names_by_ids_and_relative_paths_alone(text: str) -> None:
    try:
        found = parse_source(text)
    except Invalid:
        return
    assert sum(map(bool, (found.draft, found.version, found.run))) == 1
    for hexadecimal in (found.draft, found.run):
        assert re.fullmatch("([0-9a-f]{32})?", hexadecimal)
    assert not set(found.path.split("/")) & {"..", "."} or not found.path
    assert "\\" not in found.path
    assert not found.path.startswith("/")
