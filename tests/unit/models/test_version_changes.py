"""What differs between the facts of two versions: an algebra."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.models.cards import changes

FACTS = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"))


@given(FACTS, FACTS)
def test_changes_lead_from_one_to_the_other_and_back(before: dict[str, str], after: dict[str, str]) -> None:
    found = changes(before, after)
    led = {name: text for name, text in before.items() if name not in {one.what for one in found}}
    led |= {one.what: one.after for one in found if one.after is not None}
    assert led == after
    assert [(one.what, one.after, one.before) for one in found] == [
        (one.what, one.before, one.after) for one in changes(after, before)
    ]
    assert (found == ()) is (before == after)
    assert [one.what for one in found] == sorted(one.what for one in found)
