"""Tables for notebooks: whatever is put into them, only the tags of a table come out."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.notebook import MOST_CHARACTERS, MOST_ROWS, card, cell, grid

TAGS = {"div", "b", "table", "tr", "th", "td"}


class Seen(HTMLParser):
    """The tags, attributes and text of a page, as a browser reads it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "' onclick='x",
    "&lt;b&gt;",
    "</td></table><h1>",
]


@given(st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40)), min_size=1, max_size=5))
def test_what_is_shown_is_escaped(texts: list[str]) -> None:
    title = texts[0]
    for page in (
        card(title, {text: text for text in texts}),
        card(title, {"tags": {text: text for text in texts}, "several": tuple(texts)}),
        grid(title, texts, [texts, texts], strong=[True, False]),
    ):
        seen = Seen(page)
        assert seen.tags <= TAGS
        assert seen.attributes <= {"style"}
        shown = "".join(seen.texts)
        assert all("".join(one if one.isprintable() else " " for one in text) in shown for text in texts[:1])


def test_values_are_short_and_plain() -> None:
    assert cell(0.123456789) == "0.123457"
    assert (cell(True), cell(None), cell(float("nan"))) == ("true", "", "nan")
    assert len(cell("x" * 1000)) == MOST_CHARACTERS
    assert cell("a\u202eb\x00c\nd") == "a b c d"
    assert "<td" not in card("empty", {"a": None, "b": "", "c": ()})
    assert "false" in card("kept", {"a": False})
    assert "… and 5 more" in grid("many", ["a"], [[number] for number in range(MOST_ROWS + 5)])
