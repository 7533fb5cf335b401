"""Settings: which layer wins, where each came from, and what a wrong one is told."""

from pathlib import Path

import pytest

from tidegate.kernel.errors import Invalid
from tidegate.kernel.settings import Settings, find_home, resolve


def write(folder: Path, text: str, name: str = "tidegate.toml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_arguments_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, 'port = 1\nhost = "file"\ncatalog = "file"\n')
    resolved = resolve(
        {"port": 3, "objects": None}, environ={"TIDEGATE_PORT": "2", "TIDEGATE_HOST": "env"}, folder=tmp_path
    )
    settings, origins = resolved.settings, resolved.origins
    assert (settings.port, settings.host, settings.catalog, settings.workers) == (3, "env", "file", 1)
    assert (origins["port"], origins["host"]) == ("argument", "environment TIDEGATE_HOST")
    assert (origins["catalog"], origins["workers"], origins["objects"]) == (str(path), "default", "default")
    assert set(origins) == set(Settings.__struct_fields__)


def test_the_nearest_file_upwards_counts_and_alone(tmp_path: Path) -> None:
    write(tmp_path, "port = 1\nworkers = 9\n")
    near = write(tmp_path / "a", "[project]\nname = 'x'\n[tool.tidegate]\nport = 2\n", "pyproject.toml")
    write(tmp_path / "a" / "b", "[project]\nname = 'y'\n", "pyproject.toml")  # says nothing of us
    resolved = resolve(environ={}, folder=tmp_path / "a" / "b" / "c")
    assert (resolved.settings.port, resolved.settings.workers) == (2, 1)
    assert resolved.origins["port"] == f"{near} [tool.tidegate]"


@pytest.mark.parametrize(
    ("arguments", "environ", "text", "origin"),
    [
        ({"prot": 1}, {}, "", "argument"),
        ({}, {"TIDEGATE_PROT": "1"}, "", "environment"),
        ({}, {}, "prot = 1", "tidegate.toml"),
    ],
)
def test_an_unknown_setting_is_told_the_nearest(
    tmp_path: Path, arguments: dict[str, object], environ: dict[str, str], text: str, origin: str
) -> None:
    write(tmp_path, text)
    with pytest.raises(Invalid, match=rf"unknown setting 'prot' from .*{origin}.*; did you mean 'port'\?"):
        resolve(arguments, environ=environ, folder=tmp_path)


def test_an_unknown_setting_without_a_neighbour_is_told_all(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there are: home, url"):
        resolve({"zzzzzz": 1}, environ={}, folder=tmp_path)


@pytest.mark.parametrize(
    ("environ", "field"),
    [
        ({"TIDEGATE_PORT": "many"}, "port"),
        ({"TIDEGATE_AUTH": "none"}, "auth"),
        ({"TIDEGATE_WORKERS": "1.5"}, "workers"),
    ],
)
def test_a_wrong_type_is_named(tmp_path: Path, environ: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid, match=field):
        resolve(environ=environ, folder=tmp_path)


@pytest.mark.parametrize(
    ("arguments", "environ", "text", "told"),
    [
        ({"port": 65_536}, {}, "", "port: .*<= 65535 .from argument"),
        ({}, {"TIDEGATE_WORKERS": "0"}, "", "workers: .*>= 1 .from environment TIDEGATE_WORKERS"),
        ({}, {}, "body_megabytes = -1", "body_megabytes: .*>= 1 .from .*tidegate.toml"),
        ({}, {}, "egress_allow = [1]", r"egress_allow\[0\]: .*from .*tidegate.toml"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_origin(
    tmp_path: Path, arguments: dict[str, object], environ: dict[str, str], text: str, told: str
) -> None:
    write(tmp_path, text)
    with pytest.raises(Invalid, match=told):
        resolve(arguments, environ=environ, folder=tmp_path)


def test_lists_come_from_the_environment_by_commas(tmp_path: Path) -> None:
    resolved = resolve(environ={"TIDEGATE_EGRESS_ALLOW": "10.0.0.0/8, 192.168.0.0/16,"}, folder=tmp_path)
    assert resolved.settings.egress_allow == ("10.0.0.0/8", "192.168.0.0/16")


def test_a_secret_is_given_by_reference(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n", encoding="utf-8")
    write(tmp_path, 'token = "env:MY_TOKEN"')
    assert resolve(environ={"MY_TOKEN": "from-env"}, folder=tmp_path).settings.token == "from-env"
    by_file = resolve({"token": f"file:{tmp_path / 'token'}"}, environ={}, folder=tmp_path)
    assert by_file.settings.token == "from-file"
    assert resolve({"token": "plain"}, environ={}, folder=tmp_path).settings.token == "plain"
    assert resolve({"token": "odd:plain"}, environ={}, folder=tmp_path).settings.token == "odd:plain"


def test_a_secret_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="'MY_TOKEN', which is not set"):
        resolve({"token": "env:MY_TOKEN"}, environ={}, folder=tmp_path)
    with pytest.raises(Invalid, match="cannot be read: No such file"):
        resolve({"token": f"file:{tmp_path / 'none'}"}, environ={}, folder=tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "port = ")
    with pytest.raises(Invalid, match="is not valid TOML") as caught:
        resolve(environ={}, folder=tmp_path)
    assert str(path) in caught.value.message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "port = 1")
    path.unlink()
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setattr(Path, "is_file", lambda found: found == path)  # root may read whatever is there
    with pytest.raises(Invalid, match=r"tidegate.toml cannot be read: No such file"):
        resolve(environ={}, folder=tmp_path)


def test_the_home_is_found_upwards_or_made_here(tmp_path: Path) -> None:
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    assert find_home(Settings(), here) == here / ".tidegate"
    (tmp_path / ".tidegate").mkdir()
    assert find_home(Settings(), here) == tmp_path / ".tidegate"
    assert find_home(Settings(home=str(tmp_path / "own")), here) == tmp_path / "own"
    assert find_home(Settings(home="~/x"), here) == Path.home() / "x"
