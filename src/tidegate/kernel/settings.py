"""Settings: arguments > ``TIDEGATE_*`` > ``tidegate.toml`` or ``[tool.tidegate]`` > defaults, each with its origin.

The environment and the files are read here and nowhere else. A secret stands in a file only by reference:
``env:NAME`` or ``file:PATH``.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tidegate.kernel import wire
from tidegate.kernel.errors import Invalid

HOME_FOLDER = ".tidegate"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, with its default."""

    home: str = ""
    """Folder of the home. Empty: `.tidegate`, found upwards from the working directory, or made there."""
    url: str = ""
    """Address of a Tidegate server; when it is set, operations run there."""
    token: str = ""
    """The person's token for that server; may be `env:NAME` or `file:PATH`."""
    actor: str = "local"
    """Who acts in an embedded home."""
    catalog: str = ""
    """Address of the catalog. Empty: SQLite in the home; or `postgresql://user@host/database`."""
    objects: str = ""
    """Where objects are kept. Empty: a folder in the home; or `s3://bucket/prefix`, `gs://…`, `az://…`."""
    host: str = "127.0.0.1"
    """Address that `serve` binds. Anything but loopback needs `auth = "token"`."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8000
    """Port that `serve` binds; 0 chooses a free one."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Serving processes."""
    auth: Literal["local", "token"] = "local"
    """`local`: on loopback, requests without a token belong to the person `local`. `token`: every request needs one."""
    mlflow_version: str = "3.17.2"
    """The MLflow version that `/version` answers: the one that we conform to."""
    pyfunc_python: str = ""
    """Interpreter that runs MLflow directories which somebody trusts, with what they require. Empty: none run."""
    pyfunc_seconds: Annotated[float, Meta(gt=0, le=3600)] = 30
    """Within which its process answers one question, in real time and in CPU; after that it is ended."""
    pyfunc_megabytes: Annotated[int, Meta(ge=64)] = 4096
    """Address space of such a process."""
    retention_days: Annotated[int, Meta(ge=0)] = 30
    """Runs and experiments that were deleted so long ago, in business time, are purged: nothing restores them."""
    sweep_grace_hours: Annotated[float, Meta(ge=0)] = 24
    """An object to which nothing refers any more is deleted once it was put so long ago."""
    stale_run_minutes: Annotated[float, Meta(gt=0)] = 10
    """A running run that has not been heard of for so long is shown as stale."""
    egress_allow: tuple[str, ...] = ()
    """Private networks (CIDR) that outbound HTTP may reach."""
    segment_megabytes: Annotated[int, Meta(ge=1)] = 64
    """A journal segment is sealed when it has grown to this size."""
    segment_seconds: Annotated[int, Meta(ge=0)] = 60
    """... or when it is this old, in machine time."""
    body_megabytes: Annotated[int, Meta(ge=1)] = 8
    """Largest JSON body that the server reads."""


class Resolved(msgspec.Struct, frozen=True):
    """The settings in force, and where each one came from."""

    settings: Settings
    origins: dict[str, str]


def resolve(
    arguments: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Resolved:
    """The settings in force. Raises `Invalid` for an unknown name (with a suggestion) or a wrong value."""
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    values: dict[str, object] = {}
    origins = dict.fromkeys(Settings.__struct_fields__, "default")
    for origin, layer in (
        _from_file(folder),
        ("environment", _from_environment(environ)),
        ("argument", {name: value for name, value in (arguments or {}).items() if value is not None}),
    ):
        for name, value in layer.items():
            _check_known(name, origin)
            values[name] = value
            origins[name] = f"environment TIDEGATE_{name.upper()}" if origin == "environment" else origin
    settings = _converted(values, origins)
    secret = _secret(settings.token, environ)
    return Resolved(msgspec.structs.replace(settings, token=secret), origins)


def find_home(settings: Settings, folder: Path | None = None) -> Path:
    """The folder of the home: the setting, else the nearest `.tidegate` upwards, else `.tidegate` here."""
    folder = Path.cwd() if folder is None else folder
    if settings.home:
        return Path(settings.home).expanduser().absolute()
    for parent in (folder, *folder.parents):
        if (parent / HOME_FOLDER).is_dir():
            return parent / HOME_FOLDER
    return folder / HOME_FOLDER


def _converted(values: Mapping[str, object], origins: Mapping[str, str]) -> Settings:
    try:
        settings: Settings = wire.convert(values, Settings, "settings", strict=False)
    except Invalid as error:
        name = str(error.details.get("field", "")).partition("[")[0]
        origin = f" (from {origins[name]})" if name in origins else ""
        raise Invalid(error.message + origin, **error.details) from error
    return settings


def _check_known(name: str, origin: str) -> None:
    if name in Settings.__struct_fields__:
        return
    near = difflib.get_close_matches(name, Settings.__struct_fields__, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(Settings.__struct_fields__)}"
    raise Invalid(f"unknown setting {name!r} from {origin}{hint}", field=name)


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, text in environ.items():
        if key.startswith("TIDEGATE_"):
            name = key.removeprefix("TIDEGATE_").lower()
            found[name] = [part.strip() for part in text.split(",") if part.strip()] if name == "egress_allow" else text
    return found


def _from_file(folder: Path) -> tuple[str, dict[str, object]]:
    for parent in (folder, *folder.parents):
        own, project = parent / "tidegate.toml", parent / "pyproject.toml"
        if own.is_file():
            return str(own), _read_toml(own)
        if project.is_file():
            table = _read_toml(project).get("tool", {}).get("tidegate")
            if table is not None:
                return f"{project} [tool.tidegate]", dict(table)
    return "", {}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not valid TOML: {error}") from error
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error


def _secret(text: str, environ: Mapping[str, str]) -> str:
    kind, colon, rest = text.partition(":")
    if not colon or kind not in ("env", "file"):
        return text
    if kind == "env":
        if rest not in environ:
            raise Invalid(f"the setting refers to environment variable {rest!r}, which is not set")
        return environ[rest]
    try:
        return Path(rest).expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Invalid(f"the setting refers to file {rest!r}, which cannot be read: {error.strerror}") from error
