"""A card as a page of HTML that stands on its own: no script, nothing that is loaded, light and dark."""

from collections.abc import Iterable
from html import escape
from typing import Final

from tidegate.models.cards import Card, Code, Section

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may do with the page: draw it. It says so itself too, for whoever keeps it as a file."""

_STYLE: Final = """
/* the colours of the page at / */
:root { color-scheme: light dark; --ground: #f4f6f7; --card: #fff; --ink: #14232b; --soft: #52646e; --rule: #dde4e7; --accent: #0b6b7a;
  --good: #16704a; --good-ground: #e2f3ea; --bad: #9a4a00; --bad-ground: #fdeedd; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0e161a; --card: #162127; --ink: #e7eef1; --soft: #9fb1ba; --rule: #26343b; --accent: #5cc3d3;
    --good: #7fd9ac; --good-ground: #14382a; --bad: #ffbd7a; --bad-ground: #44290e; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 820px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 26px; line-height: 1.25; letter-spacing: -.02em; margin: 0; overflow-wrap: anywhere; }
h1 small { color: var(--soft); font-size: 17px; font-weight: 400; letter-spacing: 0; white-space: nowrap; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 16px 20px; margin: 16px 0 0; }
h2 { font-size: 16px; margin: 0 0 8px; }
.note { margin: 10px 0 0; border-left: 3px solid var(--accent); padding-left: 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
section .note { margin: 0; }
table { width: 100%; table-layout: fixed; border-collapse: collapse; font-size: 14px; }
th { color: var(--soft); font-size: 12px; font-weight: 400; text-align: left; padding: 0 12px 4px 0; }
td { border-top: 1px solid var(--rule); padding: 6px 12px 6px 0; vertical-align: top; overflow-wrap: anywhere; }
.pairs tr > :first-child { width: 34%; color: var(--soft); }
.wide tr > * { width: 17%; } .wide tr > :nth-child(3) { width: 14%; } .wide tr > :last-child { width: 35%; }
tr > :last-child { padding-right: 0; }
code { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.verdict { border-radius: 999px; padding: 1px 8px; font-size: 13px; font-weight: 600; white-space: nowrap; }
.pass { color: var(--good); background: var(--good-ground); } .fail { color: var(--bad); background: var(--bad-ground); }
footer { color: var(--soft); font-size: 13px; margin-top: 20px; }
@media (max-width: 520px) {
  main { padding: 20px 14px 32px; } section { padding: 14px 16px; } h1 { font-size: 22px; }
  .wide thead { display: none; }
  .wide tr > *, .wide tr > :nth-child(3), .wide tr > :last-child { width: auto; }
  .wide tr { display: block; border-top: 1px solid var(--rule); padding: 8px 0; } .wide tr:first-child { border-top: 0; }
  .wide td { display: grid; grid-template-columns: 72px minmax(0, 1fr); gap: 8px; border: 0; padding: 1px 0; }
  .wide td::before { content: attr(data-head); color: var(--soft); font-size: 12px; line-height: 1.75; }
  .wide td > span { justify-self: start; min-width: 0; }
}
""".strip()  # noqa: E501 - a sheet of styles


def page(card: Card) -> str:
    """The whole page. Every text in it is escaped."""
    version = card.version
    title = f"{_text(version.name)} <small>version {version.number}</small>"
    note = f'<p class="note">{_text(version.note)}</p>' if version.note else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="content-security-policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{_text(version.reference)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{note}
{"".join(map(_section, card.sections))}<footer>The card of a version, as Tidegate kept it.</footer>
</main>
</body>
</html>
"""


def _section(section: Section) -> str:
    text = f'<p class="note">{_text(section.text)}</p>\n' if section.text else ""
    table = _table(section) if section.rows else ""
    return f"<section>\n<h2>{_text(section.title)}</h2>\n{text}{table}</section>\n"


def _table(section: Section) -> str:
    kind = "pairs" if len(section.head) == 2 else "wide"
    named = any(section.head)
    head = "".join(f'<th scope="col">{_text(one)}</th>' for one in section.head)
    thead = f"<thead><tr>{head}</tr></thead>\n" if named else ""
    body = "".join(f"<tr>{''.join(_cells(section.head, row))}</tr>\n" for row in section.rows)
    return f'<table class="{kind}">\n{thead}<tbody>\n{body}</tbody>\n</table>\n'


def _cells(head: tuple[str, ...], row: tuple[str, ...]) -> Iterable[str]:
    for name, text in zip(head, row, strict=True):
        shown = (
            f"<code>{_text(text)}</code>"
            if isinstance(text, Code)
            else f"<span{_mark(name, text)}>{_text(text)}</span>"
        )
        yield f'<td data-head="{_text(name)}">{shown}</td>'


def _mark(name: str, text: str) -> str:
    """A verdict stands out."""
    return f' class="verdict {text}"' if name == "verdict" and text in ("pass", "fail") else ""


def _text(text: str) -> str:
    """Escaped, and without characters that nobody sees or that turn the text around."""
    return escape("".join(one if one.isprintable() or one == "\n" else " " for one in text))
