"""Cards and differences of versions, seen in four ways."""

from html.parser import HTMLParser

import msgspec
import pytest

from tests.contract.models.late_models import late_rows, manifest, run_id
from tidegate.kernel.errors import NotFound
from tidegate.kernel.schema import Column
from tidegate.models.card_page import POLICY
from tidegate.models.signature import Signature
from tidegate.runs.records import Metric
from tidegate.workspace import Workspace

SIGNATURE = Signature(
    columns=(Column("wind", "number", True), Column("carrier", "category", False, tuple("ABCDEFGHIJ"))),
    task="classification",
    classes=("late", "on time"),
)


def trained(workspace: Workspace, content: bytes, depth: int, auc: float, signature: Signature = SIGNATURE) -> str:
    """A version with a run; returns its reference."""
    train, _ = late_rows(workspace, 40, seed=depth)
    run = workspace.runs.create("late", params={"depth": depth, "kind": "tree"})
    workspace.runs.log(run.id, metrics=(Metric(name="auc", value=auc),))
    made = manifest(workspace, "late", content, run_id=run.id, origins=train.lineage)
    made = msgspec.structs.replace(made, signature=signature)
    return str(workspace.models.register("late", made, note="first", tags={"team": "ops"}))


def test_a_card_tells_all_that_is_known(workspace: Workspace) -> None:
    trained(workspace, b"1", 3, 0.75)
    workspace.models.update("late", note="of flights", owner="rita")
    workspace.models.set_alias("late", "trial", number=1)
    workspace.models.attest("late", 1, kind="gate:quality", verdict="not_enough_data", reason="40 rows | of 200")
    text = workspace.models.card("late", 1)
    front, _, body = text.removeprefix("---\n").partition("\n---\n")
    assert front.splitlines() == [
        'model_name: "late/1"',
        'library_name: "onnx"',
        'tags: ["team","tidegate"]',
        "pipeline_tag: tabular-classification",
        'datasets: ["flights/1"]',
        'metrics: ["auc"]',
    ]
    for line in (
        "# late, version 1",
        "> first",
        "> of flights",
        "| stage | development |",
        "| owner | rita |",
        "| author | local |",
        "| task | classification: late, on time |",
        "| aliases | trial |",
        "| team | ops |",
        "| wind | number, nullable |",
        "| carrier | category: A, B, C, D, E, F, G, H and 2 more |",
        "| depth | 3 |",
        "| auc | 0.75 |",
    ):
        assert line in body.splitlines(), line
    assert r"| gate:quality | not enough data | local |" in body
    assert r"40 rows \| of 200" in body


def test_what_people_wrote_marks_nothing_up(workspace: Workspace) -> None:
    made = manifest(workspace, "late", run_id=run_id(), facts={"x": "y"})
    note = "<img src=x onerror=alert(1)>\n---\n| a | b |\n[x](javascript:alert(1)) `code`\n# head"
    workspace.models.register("late", made, note=note, tags={'a": [': "<b>|</b>"})
    text = workspace.models.card("late", 1)
    assert "<img" not in text
    assert "<b>" not in text
    assert text.count("\n---\n") == 1
    assert "\n# head" not in text
    assert "](javascript" not in text.replace("\\[x](javascript", "")
    with pytest.raises(NotFound):
        workspace.models.card("late", 2)


def test_two_versions_are_compared_thing_by_thing(workspace: Workspace) -> None:
    first = trained(workspace, b"1", 3, 0.75)
    narrow = msgspec.structs.replace(
        SIGNATURE, columns=(Column("wind", "number", False), Column("gust", "number", True))
    )
    second = trained(workspace, b"2", 5, 0.8, narrow)
    workspace.models.promote("late", 2, to="staging")
    found = workspace.models.diff(first, second)
    told = {change.what: (change.before, change.after) for change in found.changes}
    assert (found.before, found.after) == ("late/1", "late/2")
    assert told["stage"] == ("development", "staging")
    assert told["param.depth"] == ("3", "5")
    assert told["metric.auc"] == ("0.75", "0.8")
    assert told["column.wind"] == ("number, nullable", "number")
    assert told["column.gust"] == (None, "number, nullable")
    assert told["column.carrier"][1] is None
    assert told["columns"] == ("wind, carrier", "wind, gust")
    assert set(told) >= {"file.model.onnx", "dataset.flights"}
    assert not {"param.kind", "task", "tag.team", "format"} & set(told)
    assert workspace.models.diff(first, first).changes == ()
    assert workspace.models.diff(second, first).changes == tuple(
        msgspec.structs.replace(one, before=one.after, after=one.before) for one in found.changes
    )
    with pytest.raises(NotFound):
        workspace.models.diff(first, "late/9")


HOSTILE = (
    "<script>alert(1)</script>'\"><img src=//evil.example/x onerror=alert(1)>\u202e{{7*7}}</style><style>@import 'x'"
)


class Seen(HTMLParser):
    """The elements of a page with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """A text."""
        self.texts.append(data)


def test_the_page_tells_what_the_markdown_tells_and_loads_nothing(workspace: Workspace) -> None:
    trained(workspace, b"1", 3, 0.75)
    workspace.models.update("late", note="of flights\nby hour")
    workspace.models.attest("late", 1, kind="gate:quality", verdict="pass", reason="a < b | c")
    text = workspace.models.card("late", 1, form="html")
    seen = Seen(text)
    told = " ".join(seen.texts)
    for line in ("version 1", "of flights\nby hour", "number, nullable", "flights/1", "depth", "0.75", "a < b | c"):
        assert line in told, line
    tags = {tag for tag, _ in seen.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "base", "form", "a", "svg"}
    assert not [name for _, attributes in seen.elements for name in attributes if name in ("src", "href", "style")]
    assert "url(" not in text
    assert "@import" not in text
    assert {"http-equiv": "content-security-policy", "content": POLICY} in [found for _, found in seen.elements]
    assert [attributes for tag, attributes in seen.elements if tag == "span" and attributes] == [
        {"class": "verdict pass"}
    ]


def test_what_people_wrote_is_text_of_the_page_and_nothing_else(workspace: Workspace) -> None:
    trained(workspace, b"1", 3, 0.75)
    plain = Seen(workspace.models.card("late", 1, form="html"))
    named = HOSTILE.replace("\u202e", "")
    run = workspace.runs.create("late", params={named: HOSTILE})
    made = manifest(workspace, "late", b"2", run_id=run.id, facts={"x": HOSTILE}, format="onnx")
    made = msgspec.structs.replace(
        made,
        signature=Signature(
            columns=(Column(HOSTILE, "category", False, (HOSTILE, "b")),), task="classification", classes=(HOSTILE, "b")
        ),
    )
    workspace.models.register("late", made, note=HOSTILE, tags={named: HOSTILE})
    workspace.models.update("late", note=HOSTILE)
    workspace.models.attest("late", 2, kind="gate:quality", verdict="fail", reason=HOSTILE)
    text = workspace.models.card("late", 2, form="html")
    seen = Seen(text)
    assert {tag for tag, _ in seen.elements} <= {tag for tag, _ in plain.elements} | {"p"}
    assert {name for _, found in seen.elements for name in found} <= {
        name for _, found in plain.elements for name in found
    }
    assert text.count("<style>") == text.count("</style>") == 1
    assert "\u202e" not in text
    assert "".join(seen.texts).count("alert(1)</script>") >= 8, "it is shown as what it is"
