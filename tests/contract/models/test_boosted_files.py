"""Files of XGBoost and LightGBM made to do harm: the libraries follow every index that they hold."""

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.contract.models.fitted_models import fitted
from tidegate.kernel.errors import Invalid, Refused
from tidegate.models.formats.lightgbm import FORMAT as LIGHTGBM
from tidegate.models.formats.protocol import Format
from tidegate.models.formats.xgboost import FORMAT as XGBOOST

FORMATS: dict[str, Format] = {"xgboost": XGBOOST, "lightgbm": LIGHTGBM}
FILES = {"xgboost": "model.xgboost.json", "lightgbm": "model.lightgbm.txt"}


@cache
def written(name: str) -> str:
    """The file of a fitted model."""
    model, signature, matrix = fitted(name)
    library = name.partition(",")[0]
    return FORMATS[library].save(model, signature, matrix).files[FILES[library]].decode()


def load(name: str, text: str) -> None:
    """Load the file and ask it, as serving would."""
    _, signature, matrix = fitted(name)
    library = name.partition(",")[0]
    FORMATS[library].load({FILES[library]: text.encode()}, signature).predict(matrix[:20])


def changed(name: str, change: Callable[[Any, Any], None]) -> str:
    """The JSON file after `change(learner, first tree)`."""
    file = json.loads(written(name))
    change(file["learner"], file["learner"]["gradient_booster"]["model"]["trees"][0])
    return json.dumps(file)


def put(field: str, place: int, value: object) -> Callable[[Any, Any], None]:
    def change(learner: Any, tree: Any) -> None:
        tree[field][place] = value

    return change


def cut(field: str) -> Callable[[Any, Any], None]:
    return lambda learner, tree: tree[field].pop()


def parameter(field: str, value: str) -> Callable[[Any, Any], None]:
    return lambda learner, tree: learner["learner_model_param"].update({field: value})


def of_tree(field: str, value: str) -> Callable[[Any, Any], None]:
    return lambda learner, tree: tree["tree_param"].update({field: value})


def of_trees(change: Callable[[Any], object]) -> Callable[[Any, Any], None]:
    def changing(learner: Any, tree: Any) -> None:
        change(learner["gradient_booster"]["model"])

    return changing


HARMFUL_JSON: dict[str, tuple[Callable[[Any, Any], None], str]] = {
    "a child beyond the tree": (put("left_children", 0, 2**30), "points outside it"),
    "a child before the tree": (put("right_children", 0, -7), "points outside it"),
    "a child that is the root": (put("left_children", 1, 0), "a child that does not know it"),
    "one child of two": (put("left_children", 0, -1), "a node of a tree has one child"),
    "a column beyond the matrix": (put("split_indices", 0, 4), "asks for a column beyond the 4"),
    "an index beyond every tree": (put("split_indices", 0, 2**70), "beyond every tree"),
    "a value that is infinite": (put("split_conditions", -1, 1e39), "not finite"),
    "an array that is cut": (cut("default_left"), r"default_left holds [\d,]+ values and needs"),
    "categories that are cut": (cut("categories"), "categories holds"),
    "a category out of range": (put("categories", 0, 2**24), "category is out of range"),
    "a node without its categories": (cut("categories_nodes"), "nodes and its categories do not fit"),
    "an unknown kind of node": (put("split_type", 0, 9), "nodes and its categories do not fit"),
    "another tree's place": (lambda learner, tree: tree.update(id=1), "out of order"),
    "a huge count of nodes": (of_tree("num_nodes", "999999999"), "needs 999,999,999"),
    "a count that is none": (of_tree("num_nodes", "-1"), "num_nodes is '-1'"),
    "several values a leaf": (of_tree("size_leaf_vector", "9"), "several values"),
    "a group beyond the classes": (
        of_trees(lambda model: model["tree_info"].__setitem__(0, 3)), "adds to output 3 of 1"
    ),
    "rounds beyond the trees": (
        of_trees(lambda model: model["iteration_indptr"].append(99)), "rounds do not fit"
    ),
    "no tree a round": (
        of_trees(lambda model: model["gbtree_model_param"].update(num_parallel_tree="0")),
        "rounds of no tree",
    ),
    "another width": (parameter("num_feature", "5"), "takes 5 columns and its signature has 4"),
    "classes that it has not": (parameter("num_class", "999999999"), "binary:logistic has none"),
    "many trees a round": (
        of_trees(lambda model: model["gbtree_model_param"].update(num_parallel_tree="999999999")), "more than there are"
    ),
    "more lost nodes than nodes": (of_tree("num_deleted", "999999999"), "lost more nodes"),
    "a base that is none": (parameter("base_score", "[1e999]"), "base_score is"),
    "a base beyond probability": (parameter("base_score", "[7.0]"), "which logistic never answers"),
    "an unknown objective": (lambda learner, tree: learner["objective"].update(name="os.system"), "is not served"),
    "no objective": (lambda learner, tree: learner["objective"].clear(), "has no objective"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMFUL_JSON)
def test_an_xgboost_file_that_does_not_hold_together_is_refused(harm: str) -> None:
    change, message = HARMFUL_JSON[harm]
    name = "xgboost, categories"
    load(name, changed(name, lambda learner, tree: None))
    with pytest.raises((Refused, Invalid), match=message):
        load(name, changed(name, change))


@pytest.mark.parametrize("name", ["xgboost, regression", "xgboost, linear", "xgboost, three"])
def test_an_xgboost_file_of_other_classes_is_refused(name: str) -> None:
    """XGBoost would make room for as many scores as the file announces."""
    file = json.loads(written(name))
    file["learner"]["learner_model_param"]["num_class"] = "999999999"
    with pytest.raises(Refused, match=r"num_class is 999,999,999|differ in their classes"):
        load(name, json.dumps(file))


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"learner": {}}', "[" * 100_000, '{"learner": NaN}', "\ud7ff", '{"version": [3, 2, 0], "learner": 1}'],
    ids=range(7),
)
def test_what_is_no_xgboost_file_is_invalid(text: str) -> None:
    with pytest.raises(Invalid, match="this is no XGBoost model in JSON, or a damaged one: "):
        load("xgboost", text)


def test_a_name_that_stands_twice_is_read_once() -> None:
    """Two readers may choose differently between two values of one name: XGBoost reads what was checked."""
    text = written("xgboost")
    assert '"left_children":' in text
    twice = re.sub(r'"left_children":', '"left_children":[99999999,-1,-1],"left_children":', text)
    load("xgboost", twice)


def line(field: str, value: str) -> Callable[[str], str]:
    """Another value for a field of the first tree that has it."""
    return lambda text: re.sub(rf"(?m)^{field}=.*$", f"{field}={value}", text, count=1)


def token(field: str, value: str) -> Callable[[str], str]:
    """Another first value."""
    return lambda text: re.sub(rf"(?m)^{field}=\S+", f"{field}={value}", text, count=1)


HARMFUL_TEXT: dict[str, tuple[Callable[[str], str], str]] = {
    "a child beyond the tree": (token("left_child", "99999"), "points outside it"),
    "a leaf beyond the tree": (token("right_child", "-99999"), "points outside it"),
    "a child that is the root": (token("left_child", "0"), "points outside it"),
    "a column beyond the matrix": (token("split_feature", "4"), "asks for a column beyond the 4"),
    "a column before the matrix": (token("split_feature", "-1"), "asks for a column beyond the 4"),
    "an index beyond every tree": (token("split_feature", "9" * 30), "beyond every tree"),
    "a threshold that is none": (token("threshold", "nan"), r"threshold must hold \d+ numbers"),
    "a value that is infinite": (token("leaf_value", "1e999"), "not finite"),
    "an array that is cut": (line("decision_type", "2"), r"decision_type must hold \d+ numbers"),
    "an unknown decision": (token("decision_type", "12"), "decides in an unknown way"),
    "a decision by no category": (token("num_cat", "0"), "nodes and its categories do not fit"),
    "a category beyond the list": (token("cat_boundaries", "7"), "categories do not fit"),
    "bits beyond their width": (token("cat_threshold", "99999999999"), "category is out of range"),
    "a huge count of leaves": (line("num_leaves", "2000000000"), "num_leaves is '2000000000'"),
    "a count of leaves that does not fit": (line("num_leaves", "999999"), "must hold 99999[89] numbers|999,99[89]"),
    "no leaves": (line("num_leaves", "0"), "a tree has no leaf"),
    "a huge count of categories": (line("num_cat", "99999999"), "cat_boundaries must hold 100,000,000"),
    "linear leaves": (line("is_linear", "1"), "linear functions in its leaves"),
    "a field that nobody knows": (lambda text: text.replace("shrinkage=", "surprise=", 1), "has the line 'surprise="),
    "a field that stands twice": (
        lambda text: text.replace("\nshrinkage=", "\nnum_leaves=3\nshrinkage=", 1),
        "has the line",
    ),
    "another tree's number": (lambda text: text.replace("Tree=1\n", "Tree=0\n", 1), "tree 1 is announced as '0'"),
    "another width": (line("max_feature_idx", "4"), "takes 5 columns and its signature has 4"),
    "more classes": (line("num_class", "1000000"), "classes and its trees do not fit"),
    "more trees a round": (line("num_tree_per_iteration", "3"), "classes and its trees do not fit"),
    "an unknown objective": (line("objective", "os.system"), "is not served"),
    "another task": (line("objective", "regression"), "does not do classification"),
    "no end": (lambda text: text.replace("end of trees", ""), "beginning or end is missing"),
}


@pytest.mark.parametrize("harm", HARMFUL_TEXT)
def test_a_lightgbm_file_that_does_not_hold_together_is_refused(harm: str) -> None:
    change, message = HARMFUL_TEXT[harm]
    name = "lightgbm, categories"
    text = written(name)
    load(name, text)
    assert change(text) != text
    with pytest.raises((Refused, Invalid), match=message):
        load(name, change(text))


def test_a_lightgbm_file_names_neither_paths_nor_parameters() -> None:
    text = written("lightgbm, categories")
    assert text.endswith("end of trees\n")
    assert "parameters" not in text
    assert "tree_sizes" not in text


VALUES = [
    0,
    -1,
    1,
    2,
    3,
    100,
    2**31 - 1,
    -(2**31),
    2**40,
    1e308,
    0.5,
    "",
    "0",
    "-1",
    "999999999",
    "x",
    None,
    [],
    [1],
    {},
]


def mutated_json(text: str, chance: random.Random) -> str:
    """The file with one place changed: a value, mostly to one of its own type, or the length of an array."""
    file = json.loads(text)
    at: Any = file
    key: Any = "learner"
    while isinstance(at[key], dict | list) and at[key] and chance.random() < 0.97:
        at = at[key]
        key = chance.choice(list(at)) if isinstance(at, dict) else chance.randrange(len(at))
    if isinstance(at[key], list) and chance.random() < 0.7:
        at[key] = at[key][:-1] if at[key] and chance.random() < 0.5 else [*at[key], 1]
    else:
        alike = [value for value in VALUES if type(value) is type(at[key])]
        at[key] = chance.choice(alike if alike and chance.random() < 0.8 else VALUES)
    return json.dumps(file)


def mutated_text(text: str, chance: random.Random) -> str:
    """The file with one word changed, or one line left out or said twice."""
    lines = text.split("\n")
    place = chance.randrange(len(lines))
    if chance.random() < 0.1:
        lines[place : place + 1] = [] if chance.random() < 0.5 else [lines[place]] * 2
        return "\n".join(lines)
    words = list(re.finditer(r"[^\s=:]+", text))
    word = chance.choice(words)
    other = chance.choice(["0", "-1", "1", "2", "99", "-99", "2147483648", "nan", "inf", "1e999", "", "0 0", "x", "8"])
    return text[: word.start()] + other + text[word.end() :]


MUTATE = {"xgboost": mutated_json, "lightgbm": mutated_text}


def try_mutations(name: str, seed: int, count: int) -> None:
    """Load mutated files one after the other; whatever else than an error of ours ends the process."""
    chance = random.Random(seed)
    text = written(name)
    for _ in range(count):
        try:
            load(name, MUTATE[name.partition(",")[0]](text, chance))
        except (Invalid, Refused):
            continue


@pytest.mark.parametrize("name", ["xgboost, categories", "lightgbm, categories"])
def test_no_mutated_file_ends_the_process(name: str) -> None:
    code = (
        "from tests.contract.models.test_boosted_files import try_mutations\n"
        f"try_mutations({name!r}, 20131001, 60)\nprint('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["alive"]), done.stderr[-2000:]
