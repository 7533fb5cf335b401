"""`--help` at the top, of every room and of every verb."""

import pytest

from tests.integration.cli.conftest import Run
from tidegate.cli.commands import FILES, TOP, brief
from tidegate.cli.derived import verb
from tidegate.cli.index import ROOMS
from tidegate.workspace import SERVICES

VERBS = [(room, name) for room, (_, verbs) in ROOMS.items() for name in [*FILES.get(room, {}), *verbs]]


def test_the_top_shows_every_command_and_room(run: Run) -> None:
    top = run("--help")
    assert top.code == 0
    for name in [*TOP, *ROOMS]:
        assert f"\n  {name} " in top.out
    assert all(len(line) <= 100 for line in top.out.splitlines())
    assert "Exit codes" in top.out
    assert run("-h") == top


def test_no_arguments_show_the_help(run: Run) -> None:
    bare = run()
    assert bare.code == 2
    assert "Rooms (tidegate ROOM --help)" in bare.err


def test_the_version_is_one_word(run: Run) -> None:
    assert run("--version").out.strip().count(".") >= 1


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_shows_its_verbs_in_a_line_each(run: Run, room: str) -> None:
    shown = run(room, "--help")
    assert shown.code == 0
    lines = shown.out.partition("Commands:\n")[2].splitlines()
    names = [*FILES.get(room, {}), *ROOMS[room][1]]
    assert [line.split()[0] for line in lines] == names, "one line each"
    assert run(room).code == 2


@pytest.mark.parametrize(("room", "name"), VERBS, ids=[" ".join(pair) for pair in VERBS])
def test_a_verb_says_what_it_does_and_takes(run: Run, room: str, name: str) -> None:
    shown = run(room, name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: tidegate {room} {name} [OPTIONS]")
    for option in ("--json", "--home DIR", "--help"):
        assert option in shown.out
    assert "Raises" not in shown.out, "what only a programmer asks"
    assert "``" not in shown.out


@pytest.mark.parametrize("name", TOP)
def test_a_command_at_the_top_says_what_it_does(run: Run, name: str) -> None:
    shown = run(name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: tidegate {name} [OPTIONS]")
    assert "--home DIR" in shown.out


def test_every_operation_has_a_command(run: Run) -> None:
    reached = {(room, verb(one)) for room, service in SERVICES.items() for one in service.operations()}
    assert {pair for pair in reached if pair[0] != "loop"} <= set(VERBS)
    assert {name for room, name in reached if room == "loop"} <= set(TOP)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Short.", "Short."),
        ("Four eyes: a person other than the author approves or rejects.", None),
        (
            f"What a version must show before it may move; {'and more ' * 9}.",
            "What a version must show before it may move.",
        ),
        (f"No joint at all in this {'very ' * 20}long line.", None),
    ],
)
def test_a_line_of_a_list_is_cut_at_a_joint(line: str, expected: str | None) -> None:
    assert brief(line) == (line if expected is None else expected)
