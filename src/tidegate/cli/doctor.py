"""`tidegate doctor`: checks of this installation and this home, each with what to do about it."""

import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec

from tidegate.cli.shared import common_options
from tidegate.kernel.errors import Internal, TidegateError
from tidegate.kernel.settings import find_home, resolve

if TYPE_CHECKING:
    from tidegate.workspace import LocalWorkspace

EXTRAS = {"sklearn": ("sklearn", "skl2onnx", "skops"), "postgres": ("psycopg",), "s3": ("obstore",)}


_LITTLE_ROOM = 1 << 30


class Finding(NamedTuple):
    """What one check found. ``state`` is `ok`, `note` or `fault`."""

    check: str
    state: str
    what: str


@click.command()
def doctor(json_output: bool, home: str | None) -> None:
    """Check that this home and this installation are sound. Exits with 1 when something is at fault."""
    findings = [*_installation(), *_home(home)]
    if json_output:
        click.echo(msgspec.json.encode([finding._asdict() for finding in findings]))
    else:
        marks = {"ok": click.style("ok   ", fg="green"), "note": "note ", "fault": click.style("fault", fg="red")}
        for finding in findings:
            click.echo(f"{marks[finding.state]}  {finding.check.ljust(16)}  {finding.what}")
    sys.exit(1 if any(finding.state == "fault" for finding in findings) else 0)


def _installation() -> list[Finding]:
    found = [Finding("python", "ok", f"{sys.version.split()[0]}, tidegate {version('tidegate')}")]
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if find_spec(module) is None]
        state = "note" if missing else "ok"
        what = f"not installed: pip install 'tidegate[{extra}]'" if missing else "installed"
        found.append(Finding(f"extra {extra}", state, what))
    return found


def _home(home: str | None) -> list[Finding]:
    from tidegate.cli.faults import shorten_log
    from tidegate.storage.opening import check_whole
    from tidegate.workspace import open_local

    shorten_log()
    settings = resolve({"home": home}).settings
    if settings.url:
        return [_check("server", lambda: _ask(settings.url))]
    folder = find_home(settings)
    try:
        check_whole(settings, folder)
        if not settings.catalog and not (folder / "catalog.db").exists():
            return [Finding("home", "note", f"there is none at {folder} yet; the first command that opens it makes it")]
        workspace = open_local(msgspec.structs.replace(settings, home=str(folder)))
    except TidegateError as error:
        return [Finding("home", "fault", error.message)]
    with workspace:
        return [
            Finding("home", "ok", str(folder)),
            _room_on_disk(folder),
            _check("catalog", lambda: _catalog(workspace)),
            _check("audit chain", lambda: _audit(workspace)),
            _check("journal chain", lambda: _journal(workspace)),
            _check("live versions", lambda: _live_versions(workspace)),
        ]


def _room_on_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    told = f"{free / (1 << 30):,.1f} GB free"
    if free > _LITTLE_ROOM:
        return Finding("disk", "ok", told)
    return Finding("disk", "note", f"{told}; when none is left, predictions and changes are refused")


def _check(name: str, run: Callable[[], str]) -> Finding:
    try:
        return Finding(name, "ok", run())
    except TidegateError as error:
        return Finding(name, "fault", error.message)


def _ask(url: str) -> str:
    from tidegate.http.address import wait_ready
    from tidegate.kernel.errors import Unavailable

    if not wait_ready(url, 5.0):
        raise Unavailable(f"{url} is not ready; is the server running?")
    return f"{url} is ready"


def _catalog(workspace: "LocalWorkspace") -> str:
    workspace.check_ready()
    return f"{workspace.storage.catalog.dialect} answers"


def _audit(workspace: "LocalWorkspace") -> str:
    report = workspace.storage.audit.verify()
    if not report.intact:
        raise Internal(f"row {report.broken_at} was changed after it was written; restore the catalog from a backup")
    return f"{report.rows:,} rows, intact"


def _journal(workspace: "LocalWorkspace") -> str:
    from tidegate.storage.journal import verify

    report = verify(workspace.storage.journal_index, workspace.storage.objects)
    if not report.sound:
        fault = report.faults[0]
        raise Internal(f"sealed part {fault.sequence}: {fault.reason}; restore catalog and objects from a backup")
    return f"{report.links:,} sealed parts, intact"


def _live_versions(workspace: "LocalWorkspace") -> str:
    """Every file of the versions that answer is read: an object that is gone is seen before it is needed."""
    found, cursor = 0, ""
    while True:
        page = workspace.endpoints.list(cursor=cursor)
        for live in (one.live for one in page.items if one.live is not None):
            for digest in workspace.models.get(live.model, live.number).manifest.files.values():
                workspace.storage.objects.get(digest)
            found += 1
        if page.next is None:
            return f"{found:,}, their files intact"
        cursor = page.next


common_options(doctor)
