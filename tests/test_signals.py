import numpy as np
import pytest
from conftest import photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from toy_model import INFO, write_model

from damagenet.claims import Detector, Label, Region, Result
from damagenet.claims.advice import advice, notices, promise
from damagenet.claims.align import Evidence
from damagenet.claims.compare import Comparison
from damagenet.claims.detector import VERDICTS
from damagenet.claims.review import review
from damagenet.claims.signals import (
    REUSED,
    Photo,
    Reused,
    highest,
    label_signal,
    listing_signal,
    pixel_signal,
    reuse_signal,
)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return Detector(write_model(tmp_path_factory.mktemp("m") / "m.onnx", constant=0.1), threads=1)


LISTING = Photo("shop.jpg")
IMAGE, HEAT = np.zeros((90, 120, 3), np.uint8), np.zeros((90, 120), np.float32)
BOX = Region(1, 2, 30, 40, 0.1, 0.9)
labels = st.builds(
    Label,
    standard=st.sampled_from(["TC260 AIGC", "IPTC DigitalSourceType", "C2PA", "software", "new"]),
    carrier=st.just("XMP"),
    status=st.sampled_from(["found-valid", "found-malformed", "found-conflicting", "shell-empty",
                            "present-unverified", "some-new-status"]),
    ai=st.sampled_from([True, False, None]),
    finding=st.just("A sentence."),
    value=st.sampled_from([{}, {"Label": "2"}, {"Label": " 3 "}, {"Label": "1"}]),
)  # fmt: skip
results = st.builds(
    lambda verdict, score, unstable: Result(score, verdict, 0.8, [], HEAT, "", unstable),
    st.sampled_from(VERDICTS), st.floats(0, 1), st.booleans(),
)  # fmt: skip
comparisons = st.builds(
    lambda finding, strength: Comparison(finding, strength, 20, 1.0, None, None, Evidence(100)),
    st.sampled_from(["same_exposure", "same_object", "different", "unsure"]), st.floats(0, 1),
)  # fmt: skip
photos = st.builds(
    lambda result, found, comparison, changed, drawn: Photo(
        "a.jpg", 1, "", "", IMAGE, result, found, comparison, [BOX] * changed, drawn
    ),
    results, st.lists(labels, max_size=3), comparisons, st.booleans(), st.booleans(),
)  # fmt: skip
reused = st.builds(Reused, st.just(1), st.just(("B",)), st.sampled_from(REUSED), st.floats(0, 1))


def verdict(detector, seen, listing, shared):
    signals = [pixel_signal(seen, detector), label_signal(seen), reuse_signal(shared)]
    signals += [listing_signal(seen, LISTING)] if listing else []
    return VERDICTS.index(highest(s.verdict for s in signals if s is not None))


@settings(max_examples=150, deadline=None)
@given(
    seen=st.lists(photos, min_size=1, max_size=3), listing=st.booleans(),
    shared=st.lists(reused, max_size=2), more=photos, label=labels, other=reused, data=st.data(),
)  # fmt: skip
def test_more_evidence_never_lowers_the_verdict(
    detector, seen, listing, shared, more, label, other, data
):
    before = verdict(detector, seen, listing, shared)
    assert verdict(detector, [*seen, more], listing, shared) >= before
    assert verdict(detector, seen, True, shared) >= before
    assert verdict(detector, seen, listing, [*shared, other]) >= before
    one = data.draw(st.sampled_from(seen))
    one.labels.append(label)
    after = verdict(detector, seen, listing, shared)
    assert after >= before
    one.changes = [BOX]
    assert verdict(detector, seen, listing, shared) >= after


@settings(max_examples=60, deadline=None)
@given(seen=st.lists(photos, min_size=1, max_size=3), shared=st.lists(reused, min_size=1))
def test_every_signal_explains_itself_in_both_languages(detector, seen, shared):
    signals = [pixel_signal(seen, detector), label_signal(seen), reuse_signal(shared),
               listing_signal(seen, LISTING)]  # fmt: skip
    for signal in signals:
        record = signal.record()
        assert 0 <= record["strength"] <= 1 and record["verdict"] in VERDICTS
        assert record["explanation"].endswith(".") and len(record["messages"]) >= 1
        for message in signal.messages:
            assert message.text("zh") and "{" not in message.text("zh")
    assert advice(signals, seen, LISTING)


def test_a_possible_label_is_possible_in_chinese_too():
    hint = Label("TC260 AIGC", "XMP", "found-valid", None, "It may be.", {"Label": "2"})
    signal = label_signal([Photo("a", 4, labels=[hint])])
    assert (signal.verdict, signal.photo) == ("review", 4)
    assert signal.explanation == "TC260 AIGC in XMP: It may be."
    assert (
        signal.messages[0].text("zh") == "XMP 中的 TC260 AIGC：有效；声明图片可能由 AI 生成或编辑。"
    )


def test_a_preview_of_something_else_asks_for_a_look():
    old = Label("preview", "EXIF preview", "found-conflicting", None, "It shows another thing.", {})
    signal = label_signal([Photo("a", 1, labels=[old])])
    assert (signal.verdict, signal.finding) == ("review", "preview")


@pytest.mark.parametrize(
    ("info", "threshold", "count", "codes", "words"),
    [({}, 0.8, 1, "promise_expected", "5.0% of authentic photos"),
     ({"certificate": {"flag": {"certified": True}}}, 0.8, 1, "promise_flag", "at most 5.0%"),
     ({"certificate": {"flag": {"certified": True}}}, 0.8, 3, "promise_flag_many", "at most 15.0%"),
     ({"certificate": {"flag": {"more_photos": 9}}}, 1.1, 1, "promise_none_more", "9 more photos"),
     ({}, 1.1, 1, "promise_none", "No promise"),
     ({"false_alarm_rate": None}, 0.8, 1, "promise_unknown", "No promise")],
)  # fmt: skip
def test_the_promise_is_the_model_s_or_none(info, threshold, count, codes, words):
    said = promise(INFO | info, threshold, count)
    assert said[0].code == codes and words in said[0].text()
    assert said[-1].code == "promise_scope"


def test_photos_that_name_different_cameras_may_be_mixed_up():
    def camera(make, number):
        found = [Label("software", "EXIF", "found-valid", None, "", {k: v})
                 for k, v in (("Make", make), ("Model", "X1"))]  # fmt: skip
        return Photo(f"{number}.jpg", number, sha256=str(number), labels=found)

    alike = notices([camera("A", 1), camera("A", 2), Photo("3.jpg", 3)], LISTING, ())
    assert alike == []
    (one,) = notices([camera("A", 1), camera("B", 2)], LISTING, ())
    assert one.code == "notice_cameras" and "A X1, B X1" in one.text()


def torn(picture, across=255, down=190):
    """A picture with a burnt spot: darker to its middle, the surface still there."""
    claim = np.asarray(picture).astype(np.float32)
    y, x = np.mgrid[: claim.shape[0], : claim.shape[1]]
    depth = np.clip(1.4 - np.hypot((x - across) / 28, (y - down) / 22), 0, 1)[..., None]
    burnt = claim * (0.45, 0.3, 0.22) + (22, 10, 0)
    return Image.fromarray(np.rint(claim + depth * (burnt - claim)).astype(np.uint8))


def compared(claim, listing, detector, folder):
    claim.save(folder / "claim.jpg", quality=75)
    listing.save(folder / "shop.jpg", quality=92)
    report = review([folder / "claim.jpg"], folder / "shop.jpg", detector, folder / "r.html")
    found = report["photos"][0]["listing"]
    assert found["finding"] == "same_exposure"
    return report["verdict"], found["drawn"], bool(found["changes"])


def mark(name, pen, picture):
    if name == "hidden":
        box = (40, 60, 200, 120)
        small = picture.crop(box).resize((8, 3), Image.Resampling.BOX)
        picture.paste(small.resize((160, 60), Image.Resampling.NEAREST), box)
    elif name == "plate":
        pen.rectangle((40, 300, 220, 350), fill=(250, 250, 250))
        pen.text((60, 306), "see here", fill=(16, 16, 18), font_size=32)
    elif name == "stamp":
        pen.text((20, 330), "2024/05/11 09:41", fill=(250, 250, 250), font_size=30)
    else:
        pen.ellipse((180, 120, 330, 260), outline=name, width=7)
        pen.line((60, 60, 170, 140), fill=name, width=7)


@pytest.mark.parametrize("name", [
    (230, 30, 30), (25, 110, 245), (16, 16, 18), (250, 250, 250),
    "hidden", "plate", "stamp",
])  # fmt: skip
def test_marks_on_the_listing_photo_ask_for_a_look(detector, tmp_path, name):
    listing = Image.fromarray(photo(400, 560))
    claim = listing.copy()
    mark(name, ImageDraw.Draw(claim), claim)
    assert compared(claim, listing, detector, tmp_path) == ("review", True, False)


@pytest.mark.parametrize("name", [None, (230, 30, 30), (16, 16, 18), "hidden", "stamp"])
def test_damage_asks_for_a_close_look_whatever_else_was_drawn(detector, tmp_path, name):
    listing = Image.fromarray(photo(400, 560))
    claim = torn(listing)
    if name:
        mark(name, ImageDraw.Draw(claim), claim)
    assert compared(claim, listing, detector, tmp_path) == ("flag", False, True)


def test_what_is_painted_in_flat_black_is_left_to_a_person(detector, tmp_path):
    """It cannot be told from a buyer's own pen; so it is no flag, and never a pass."""
    listing = Image.fromarray(photo(400, 560))
    claim = listing.copy()
    ImageDraw.Draw(claim).line((200, 90, 260, 160, 230, 240), fill=(16, 16, 18), width=9)
    assert compared(claim, listing, detector, tmp_path)[0] == "review"


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_listing_in_another_orientation_is_still_recognised(detector, tmp_path, turn):
    listing = Image.fromarray(photo(300, 420))
    listing.rotate(turn, expand=True).save(tmp_path / "shop.jpg", quality=92)
    claim = torn(listing, 205, 140)
    claim.save(tmp_path / "claim.jpg", quality=80)
    report = review([tmp_path / "claim.jpg"], tmp_path / "shop.jpg", detector, tmp_path / "r.html")
    assert report["verdict"] == "flag" and report["photos"][0]["listing"]["changes"]


def test_a_mirrored_claim_is_said_to_be_mirrored(detector, tmp_path):
    Image.fromarray(photo(300, 420)).save(tmp_path / "shop.jpg", quality=92)
    Image.fromarray(photo(300, 420)[:, ::-1]).save(tmp_path / "claim.jpg", quality=80)
    report = review([tmp_path / "claim.jpg"], tmp_path / "shop.jpg", detector, tmp_path / "r.html")
    assert "notice_mirrored" in {n["code"] for n in report["notices"]}
