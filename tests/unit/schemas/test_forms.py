"""Words that were good before are good again; nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.chunk import MAX_KNOWN_FORMS, Forms

WORDS = st.tuples(st.text("AB1 ", max_size=3), st.text("xy-", max_size=3))


@given(st.lists(WORDS, max_size=20), st.lists(WORDS, max_size=20))
def test_what_is_known_is_what_was_allowed(first, second):
    forms = Forms("[AB]{1,2}", "[xy]*")
    good = {
        words
        for words in first
        if 1 <= len(words[0]) <= 2 and set(words[0]) <= set("AB") and set(words[1]) <= set("xy")
    }
    assert {words for words in first if forms.allow(words)} == good
    assert forms.cover(second) == (set(second) <= good)
    assert {words for words in first if forms.allow(words)} == good, "and again"


def test_a_line_break_at_the_end_is_not_passed_over():
    forms = Forms("[A-Z]+$")
    assert not forms.allow(("AB\n",))
    assert not forms.cover([("AB\n",)])


def test_what_is_known_does_not_grow_without_end():
    forms = Forms("[0-9]+")
    for n in range(MAX_KNOWN_FORMS + 10):
        assert forms.allow((str(n),))
    assert not forms.cover([("0",)]), "it was forgotten"
    assert forms.allow(("0",))
    assert forms.cover([("0",), (str(MAX_KNOWN_FORMS + 9),)])
