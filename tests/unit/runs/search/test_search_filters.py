"""Filters: what is read as what, what is refused with which words, and what hostile texts come to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.kernel.errors import Invalid
from tidegate.runs.search.ast import (
    And,
    Attribute,
    Comparison,
    Dataset,
    Match,
    Membership,
    MetricValue,
    Not,
    Or,
    Param,
    Presence,
    Tag,
    Term,
)
from tidegate.runs.search.parser import DEEPEST, MOST_COMPARISONS, MOST_VALUES, parse_filter
from tidegate.runs.search.tokens import MOST_CHARACTERS

AUC = Comparison(MetricValue("auc"), ">", 0.8)
DEPTH = Comparison(Param("depth"), "=", "3")

MLFLOW: list[tuple[str, Term]] = [
    ("", And()),
    (" \n", And()),
    ("metrics.auc > 0.8", AUC),
    ("metric.auc>.8", AUC),
    ("metrics.`auc` > 8e-1 and params.depth = '3'", And((AUC, DEPTH))),
    ('metrics."a b" <= -1.5', Comparison(MetricValue("a b"), "<=", -1.5)),
    ("metrics.`a ``b` != +2.", Comparison(MetricValue("a `b"), "!=", 2.0)),
    ("metrics.train.loss < 1", Comparison(MetricValue("train.loss"), "<", 1.0)),
    ("metrics.`val/loss` >= 1", Comparison(MetricValue("val/loss"), ">=", 1.0)),
    ('param.depth = "3"', DEPTH),
    ("parameters.depth = '3'", DEPTH),
    ("params.x != 'it''s'", Comparison(Param("x"), "!=", "it's")),
    ("params.x LIKE 'a%'", Match(Param("x"), "a%")),
    ("params.x ilike '%B_'", Match(Param("x"), "%B_", ignore_case=True)),
    ("tags.team IS NULL", Presence(Tag("team"), present=False)),
    ("tag.team is not null", Presence(Tag("team"), present=True)),
    ("tags.`mlflow.user` = 'ann'", Comparison(Tag("mlflow.user"), "=", "ann")),
    ("tags.mlflow.user = 'ann'", Comparison(Tag("mlflow.user"), "=", "ann")),
    ("status = 'FINISHED'", Comparison(Attribute("status"), "=", "finished")),
    ("attributes.status IN ('FAILED', 'running')", Membership(Attribute("status"), ("failed", "running"))),
    ("attr.run_id NOT IN ('a')", Membership(Attribute("id"), ("a",), negated=True)),
    ("attributes.`Run name` ILIKE 'a%'", Match(Attribute("name"), "a%", ignore_case=True)),
    ("run_name = 'X'", Comparison(Attribute("name"), "=", "X")),
    ("run.user_id LIKE 'a%'", Match(Attribute("actor"), "a%")),
    ("start_time > 1385510400000", Comparison(Attribute("started_at"), ">", 1385510400000000)),
    ("attribute.end_time <= 1385510400000.5", Comparison(Attribute("ended_at"), "<=", 1385510400000500)),
    ("dataset.digest = 'ab'", Comparison(Dataset("digest"), "=", "ab")),
    ("datasets.name IN ('flights', 'weather')", Membership(Dataset("name"), ("flights", "weather"))),
]

BEYOND: list[tuple[str, Term]] = [
    ("metrics.auc > 0.8 OR params.depth = '3'", Or((AUC, DEPTH))),
    ("(metrics.auc > 0.8)", AUC),
    ("NOT metrics.auc > 0.8 AND params.depth = '3'", And((Not(AUC), DEPTH))),
    ("NOT (metrics.auc > 0.8 and params.depth = '3')", Not(And((AUC, DEPTH)))),
    (
        "metrics.auc > .8 AND params.depth = '3' OR metrics.auc > .8 AND (params.depth = '3' OR metrics.auc > 0.8)",
        Or((And((AUC, DEPTH)), And((AUC, Or((DEPTH, AUC)))))),
    ),
    ("metrics.max(auc) > 0.8", Comparison(MetricValue("auc", "max"), ">", 0.8)),
    ("metrics.min(`a b`) != 1", Comparison(MetricValue("a b", "min"), "!=", 1.0)),
    ("metrics.last(auc) > 0.8", AUC),
    ("metrics.best(loss) < 0.1", Comparison(MetricValue("loss", "min"), "<", 0.1)),
    ("metrics.best(auc) >= 0.1", Comparison(MetricValue("auc", "max"), ">=", 0.1)),
    ("metrics.max(auc) IS NULL", Presence(MetricValue("auc", "max"), present=False)),
    ("metrics.auc IN (1, 2.5)", Membership(MetricValue("auc"), (1.0, 2.5))),
    ("params.depth >= 3", Comparison(Param("depth", number=True), ">=", 3.0)),
    ("params.depth = 3", Comparison(Param("depth", number=True), "=", 3.0)),
    ("params.number(depth) IS NOT NULL", Presence(Param("depth", number=True), present=True)),
    ("params.depth NOT IN (3, 4)", Membership(Param("depth", number=True), (3.0, 4.0), negated=True)),
    ("tags.team IN ('a', \"b\")", Membership(Tag("team"), ("a", "b"))),
    ("experiment = 'late'", Comparison(Attribute("experiment"), "=", "late")),
    ("started_at > '2013-11-27T00:00:00Z'", Comparison(Attribute("started_at"), ">", 1385510400000000)),
    ("end_time IS NULL", Presence(Attribute("ended_at"), present=False)),
    ("parent IS NOT NULL", Presence(Attribute("parent"), present=True)),
    ("datasets.label = 'flights/3'", Comparison(Dataset("label"), "=", "flights/3")),
]

REFUSED: list[tuple[str, str]] = [
    ("metrics.auc", "character 12: expected an operator after metrics.auc, found the end"),
    ("metrics.auc >", "character 14: expected a number after metrics.auc >, found the end"),
    ("metrics.auc > 'x'", "character 15: expected a number after metrics.auc >, found x"),
    ("metrics.auc LIKE 'x'", "character 13: metrics.auc is no text: LIKE cannot"),
    ("metrics.auc > 1 metrics.b > 1", "character 17: expected AND, OR or the end, found metrics.b"),
    ("metrics.auc > 1e999", "character 15: 1e999 is more than a number"),
    ("metrics.auc == 1", "character 14: expected a number after metrics.auc =, found ="),
    ("metrics. > 1", "character 1: a name follows metrics., as in metrics.auc"),
    ("metrics.mean(auc) > 1", "no function 'mean': there are last, min, max and best"),
    ("metrics.best(auc) = 1", "metrics.best(auc) takes <, <=, > or >="),
    ("metrics.best(auc) IN (1)", "metrics.best(auc) takes <, <=, > or >="),
    ("metrics.best(auc) IS NULL", "write metrics.auc"),
    ("metrics.max(auc > 1", "character 17: expected ')' after metrics.max(auc"),
    ("metrics.max() > 1", "character 13: expected a name within metrics.max"),
    ("tags.lower(a) = 'x'", "tags have no function 'lower'"),
    ("params.log(a) = 1", "params have no function 'log': there is number"),
    ("params.depth > '3'", "params.depth is text and takes =, !=, LIKE, ILIKE or IN; as a number it stands without"),
    ("params.val-loss = 'x'", "character 11: \"-loss = 'x'\" is no number"),
    ("params.a/b = 'x'", "character 9: '/' cannot stand here"),
    ("params.a = x", "expected a quoted text after params.a =, found x"),
    ("params.a = 'x", "character 12: the quotation that begins with ' has no end"),
    ("params.a LIKE 'x\\'", "character 15: the pattern ends with a lone backslash"),
    ("params.a NOT LIKE 'x'", "expected IN after NOT; NOT (… LIKE …) has parentheses"),
    ("params.a IN 'x'", "expected '(' after IN"),
    ("params.a IN ()", "expected a quoted text in the list for params.a"),
    ("params.a IN ('x' 'y')", "expected ')' or ',' in the list after IN"),
    ("params.a IS 3", "expected NULL after IS, found 3"),
    ("model.a = 'x'", "character 1: there is no section 'model'"),
    ("depth = 3", "runs have no attribute 'depth'"),
    ("artifact_uri = 'x'", "runs have no attribute 'artifact_uri'"),
    ("status > 'a'", "status is text and takes"),
    ("status IS NULL", "status is always there"),
    ("start_time = 'yesterday'", "'yesterday' is not an ISO 8601 instant"),
    ("start_time = '2013-01-01'", "has no time zone"),
    ("start_time > 99999999999999999999", "outside of every calendar"),
    ("datasets.rows = 'x'", "datasets have no attribute 'rows'"),
    ("AND", "runs have no attribute 'AND'"),
    ("= 3", "character 1: expected a field"),
    ("(params.a = 'x'", "expected ')' for the '(' of character 1, found the end"),
    ("params.a = 'x')", "character 15: expected AND, OR or the end, found )"),
    ("()", "character 2: expected a field"),
    ("params.a = 'x'; drop table run", "character 15: ';' cannot stand here"),
    ("params.a = 'x\0'", "character 12: a text with NUL"),
    ("params.a = '\ud800'", "character 12: a text with NUL or half of a surrogate"),
    ("params.`\0` = 'x'", "a text with NUL"),
]


@pytest.mark.parametrize(("text", "term"), MLFLOW)
def test_mlflows_grammar_is_read_strictly_or_not(text: str, term: Term) -> None:
    assert parse_filter(text) == term
    assert parse_filter(text, strict_mlflow=True) == term


@pytest.mark.parametrize(("text", "term"), BEYOND)
def test_what_goes_beyond_it_is_refused_where_it_is_strict(text: str, term: Term) -> None:
    assert parse_filter(text) == term
    with pytest.raises(Invalid, match=r"filter, character \d+: MLflow's search grammar does not have"):
        parse_filter(text, strict_mlflow=True)


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_an_error_says_where_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(Invalid) as raised:
        parse_filter(text)
    assert message in raised.value.message
    assert raised.value.details["field"] == "filter"
    assert isinstance(raised.value.details["place"], int)


def test_depth_length_and_number_are_limited() -> None:
    inner = "metrics.a > 1"
    deep = "(" * DEEPEST + inner + ")" * DEEPEST
    assert parse_filter(deep) == parse_filter(inner)
    many = " AND ".join([inner] * MOST_COMPARISONS)
    assert len(parse_filter(many).terms) == MOST_COMPARISONS  # type: ignore[union-attr]
    values = ", ".join(["1"] * MOST_VALUES)
    parse_filter(f"metrics.a IN ({values})")
    for hostile, message in [
        (f"({deep})", "stand within each other"),
        ("(" * 60_000, "stand within each other"),
        ("NOT " * 16_000 + inner, "stand within each other"),
        (f"{many} OR {inner}", "at most 100 comparisons"),
        (f"metrics.a IN ({values}, 1)", "at most 1,000 values"),
        ("params.a = '" + "x" * 1_000_000 + "'", f"at most {MOST_CHARACTERS:,}"),
        ("'" * MOST_CHARACTERS, "expected a field"),
        ("`" * (MOST_CHARACTERS - 1), "no end"),
        ("params.a LIKE '" + "%a" * 21 + "'", "more than 20 '%'"),
        ("params.a LIKE '" + "a" * 1001 + "'", "at most 1,000"),
        ("metrics.a > " + "9" * 60_000, "more than a number"),
        ("start_time > " + "9" * 60_000, "more than a number"),
    ]:
        with pytest.raises(Invalid, match="filter") as raised:
            parse_filter(hostile)
        assert message in raised.value.message
        assert len(raised.value.message) < 400


PIECES = ["metrics.a", "params.", "tags.`x`", "status", "AND", "or", "NOT", "(", ")", "IN", "LIKE", "IS", "NULL", "="]
MORE_PIECES = [">=", "'x'", '"y"', "`z`", "3", "-1.5e3", ",", "max(", ".", "'", "start_time", "é", "\0", "%"]
WORDS = st.sampled_from([*PIECES, *MORE_PIECES])


@given(st.lists(WORDS, max_size=12).map(" ".join) | st.text(max_size=60), st.booleans())
def test_any_text_is_read_or_refused(text: str, strict: bool) -> None:
    try:
        assert isinstance(parse_filter(text, strict_mlflow=strict), Term)
    except Invalid as error:
        refusal = error.message
    else:
        refusal = "filter, character"
    assert refusal.startswith("filter, character")
