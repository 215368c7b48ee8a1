"""Photos of one claim against each other; `test_damage_match` has the matching itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compare import sample, sent
from test_damage_match import cracked, seen

from damagenet.claims import Region, Result
from damagenet.claims.detector import VERDICTS
from damagenet.claims.heatmaps import find_regions
from damagenet.claims.photo_pairs import matched, place
from damagenet.claims.signals import Matched, Photo, damage_signal, highest

matches = st.builds(
    Matched, st.integers(1, 3), st.integers(4, 6),
    st.sampled_from(["same_pattern", "another_pattern"]), st.floats(0, 1),
)  # fmt: skip


def claim_photo(number, image, mask=None, verdict="pass"):
    heat = np.zeros(image.shape[:2], np.float32) if mask is None else mask.astype(np.float32)
    result = Result(0.5, verdict, 0.8, find_regions(heat), heat, "", False)
    return Photo(f"{number}.jpg", number, sha256=str(number), image=image, result=result)


def test_one_damage_in_two_photos_is_said_to_be_one_and_another_to_be_another():
    first, mask = cracked(sample("coffee.png"), 1)
    mark = np.asarray(mask)
    marked = claim_photo(1, sent(first, 85), mark, "review")
    (same,) = matched([marked, claim_photo(2, sent(seen(first), 75))])
    assert (same.first, same.second, same.finding) == (1, 2, "same_pattern")
    other = cracked(sample("coffee.png"), 2)[0]
    (differs,) = matched([marked, claim_photo(2, sent(seen(other), 75))])
    assert differs.finding == "another_pattern"
    assert matched([marked, claim_photo(2, sent(first, 60))]) == []  # a copy is no second photo


def test_nothing_is_compared_where_the_place_is_not_known():
    image = sample("coffee.png")
    quiet = claim_photo(1, image, np.ones(image.shape[:2], bool), "pass")
    assert place(quiet) is None  # what a heatmap marks below a threshold is noise
    assert matched([quiet, claim_photo(2, image[::-1])]) == []
    quiet.changes = [Region(5, 6, 30, 20, 0.1, 0.9, ((5, 6), (5, 25), (34, 25), (34, 6)))]
    known = place(quiet)
    assert known.sum() == 30 * 20 and known[6, 5] and known[25, 34] and not known[26, 34]


@settings(deadline=None)
@given(found=st.lists(matches, max_size=4), more=matches)
def test_a_further_pair_never_lowers_the_verdict(found, more):
    def verdict(these):
        signal = damage_signal(these)
        return VERDICTS.index(signal.verdict if signal else "pass")

    assert verdict([*found, more]) >= verdict(found)
    alone = damage_signal([more])
    assert alone.verdict == ("review" if more.finding == "another_pattern" else "pass")
    assert highest([alone.verdict, "flag"]) == "flag"  # agreement takes nothing back


@pytest.mark.parametrize("finding", ["same_pattern", "another_pattern"])
def test_the_sentence_names_the_photos_in_both_languages(finding):
    signal = damage_signal([Matched(2, 3, finding, 0.8)])
    assert (signal.name, signal.photo) == ("damage", 2)
    for language in ("en", "zh"):
        (text,) = (m.text(language) for m in signal.messages)
        assert "2" in text and "3" in text
    assert ("Ask" in signal.explanation) == (finding == "another_pattern")
