import html.parser
import json
import re
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from toy_model import INFO, write_model

from damagenet import BadInput, images
from damagenet.aigc import label_bytes
from damagenet.claims import Detector, Label
from damagenet.claims.review import review
from damagenet.claims.signals import Photo, highest, label_signal


@pytest.fixture(scope="session")
def detectors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    scores = {"pass": 0.1, "review": 0.5, "flag": 0.9}
    return {
        verdict: Detector(write_model(folder / f"{verdict}.onnx", constant=score), threads=1)
        for verdict, score in scores.items()
    }


def coffee():
    return images.read(Path(skimage.__file__).parent / "data" / "coffee.png")


def saved(path, image, **options):
    Image.fromarray(image).save(path, **options)
    return path


def signal(report, name):
    (found,) = (s for s in report["signals"] if s["name"] == name)
    return found


class Page(html.parser.HTMLParser):
    """Tags, attribute values and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.values, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [(k, v) for k, v in attrs]
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_quiet_claim_passes(detectors, tmp_path):
    photo = saved(tmp_path / "a.jpg", coffee())
    out = tmp_path / "deep" / "report.html"
    report = review([photo], None, detectors["pass"], out)
    assert report == json.loads(out.with_suffix(".json").read_text())
    assert report["verdict"] == "pass"
    assert (report["threshold"], report["false_alarm_rate"]) == (0.83, 0.05)
    assert [s["name"] for s in report["signals"]] == ["pixels", "labels"]
    assert report["listing"] is None and report["labels"] == []
    assert report["photos"][0]["path"] == str(photo)
    assert report["photos"][0]["score"] == pytest.approx(0.1)
    assert len(report["photos"][0]["sha256"]) == len(report["model"]["sha256"]) == 64
    assert {"damagenet", "onnxruntime", "numpy"} <= set(report["versions"])
    for s in report["signals"]:
        assert 0 <= s["strength"] <= 1 and s["explanation"].endswith(".")
    assert sorted(p.name for p in out.parent.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize("verdict", ["pass", "review", "flag"])
def test_the_page_is_whole_and_self_contained(detectors, tmp_path, verdict):
    photo, out = saved(tmp_path / "a.jpg", coffee()), tmp_path / "r.html"
    review([photo], photo, detectors[verdict], out)
    text = out.read_text("utf-8")
    page = Page(text)
    assert page.open == []
    sources = [v for k, v in page.values if k in ("src", "href")]
    assert sources and all(v.startswith("data:image/jpeg;base64,") for v in sources)
    assert "url(" not in text and "@import" not in text
    assert page.tags.count("script") == 1
    assert "never proof" in text and "0.83" in text
    assert not re.search(r"fraud|fake|guilt|cheat|liar", re.sub(r"base64,[^\"]+", "", text), re.I)


def test_the_listing_picture_with_a_stain_is_flagged(detectors, tmp_path):
    listing = coffee()
    claim = listing.copy()
    y, x = np.mgrid[: claim.shape[0], : claim.shape[1]]
    spot = np.hypot(y - 330, x - 150) < 45
    claim[spot] = claim[spot] * (0.45, 0.3, 0.22) + (22, 10, 0)
    a = saved(tmp_path / "claim.jpg", claim, quality=80)
    b = saved(tmp_path / "listing.jpg", listing)
    report = review([a], b, detectors["pass"], tmp_path / "r.html")
    found = signal(report, "listing")
    assert (found["finding"], found["verdict"], report["verdict"]) == (
        "same_exposure",
        "flag",
        "flag",
    )
    (box,) = report["photos"][0]["listing"]["changes"]
    assert abs(box["x"] - 105) < 12 and abs(box["width"] - 90) < 24
    text = (tmp_path / "r.html").read_text("utf-8")
    assert 'type="range"' in text and "<polygon" in text
    assert report["listing"]["path"] == str(b)


def test_the_listing_picture_itself_is_reviewed(detectors, tmp_path):
    a = saved(tmp_path / "a.jpg", coffee(), quality=80)
    report = review([a], a, detectors["pass"], tmp_path / "r.html")
    assert signal(report, "listing")["verdict"] == report["verdict"] == "review"


def test_another_picture_as_listing(detectors, tmp_path):
    a = saved(tmp_path / "a.jpg", coffee())
    cat = images.read(Path(skimage.__file__).parent / "data" / "chelsea.png")
    b = saved(tmp_path / "b.jpg", cat)
    report = review([a], b, detectors["pass"], tmp_path / "r.html")
    assert signal(report, "listing")["finding"] == "different"
    assert signal(report, "listing")["verdict"] == "pass"  # honest second photos end here, too


def test_an_ai_label_flags_whatever_the_pixels_say(detectors, tmp_path):
    photo = saved(tmp_path / "a.jpg", coffee())
    photo.write_bytes(label_bytes(photo.read_bytes()))
    report = review([photo], None, detectors["pass"], tmp_path / "r.html")
    assert report["verdict"] == signal(report, "labels")["verdict"] == "flag"
    assert {m["standard"] for m in report["labels"]} == {"TC260 AIGC", "IPTC DigitalSourceType"}
    assert all(m["path"] == str(photo) for m in report["labels"])


def test_unreadable_files_are_named_and_stop_nothing(detectors, tmp_path):
    good = saved(tmp_path / "good.jpg", coffee())
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    report = review([bad, good], tmp_path / "gone.jpg", detectors["pass"], tmp_path / "r.html")
    assert [set(p) == {"path", "error"} for p in report["photos"]] == [True, False]
    assert "error" in report["listing"]
    assert signal(report, "listing")["finding"] == "unsure"
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "bad.jpg: the file is empty" in text and "gone.jpg: no such file" in text


def test_without_a_readable_photo_there_is_no_report(detectors, tmp_path):
    for photos in ([], [tmp_path / "gone.jpg"]):
        with pytest.raises(BadInput, match="no claim photo"):
            review(photos, None, detectors["pass"], tmp_path / "r.html")
    assert not list(tmp_path.glob("r.*"))


def test_undefined_metrics_of_the_model_become_null(tmp_path):
    metrics = INFO | {"metrics": {"auroc": float("nan")}}
    detector = Detector(write_model(tmp_path / "m.onnx", metrics), threads=1)
    photo = saved(tmp_path / "a.jpg", coffee())
    report = review([photo], None, detector, tmp_path / "r.html")
    assert report["model"]["metrics"] == {"auroc": None}


@pytest.mark.parametrize(
    ("threshold", "flag", "words"),
    [(0.83, {"certified": True, "more_photos": 0}, "flagged from 0.83, which at most 5.0%"),
     (1.000001, {"certified": False, "more_photos": 12}, "nothing with this model, as 12 more"),
     (0.83, None, "which 5.0% of authentic photos are expected to reach")],
)  # fmt: skip
def test_the_report_says_what_the_model_can_promise(tmp_path, threshold, flag, words):
    info = INFO | {"threshold": threshold} | ({"certificate": {"flag": flag}} if flag else {})
    detector = Detector(write_model(tmp_path / "m.onnx", info, constant=0.99), threads=1)
    photo = saved(tmp_path / "a.jpg", coffee())
    report = review([photo], None, detector, tmp_path / "r.html")
    assert words in signal(report, "pixels")["explanation"]
    assert report["verdict"] == ("review" if threshold > 1 else "flag")
    assert report["model"].get("certificate") == info.get("certificate")


def test_an_unstable_photo_is_named_in_the_report(tmp_path):
    """A threshold between the scores of a picture and of its JPEG file; red dots blur in JPEG."""
    dots = np.zeros((80, 112, 3), np.uint8)
    dots[np.random.default_rng(0).random((80, 112)) < 0.5, 0] = 255
    info = INFO | {"threshold": 0.185, "review_threshold": 0.185}
    detector = Detector(write_model(tmp_path / "m.onnx", info), threads=1)
    photo = saved(tmp_path / "dots.png", dots)
    report = review([photo], None, detector, tmp_path / "r.html")
    assert report["photos"][0]["unstable"] is True and report["verdict"] == "review"
    assert "re-compression" in signal(report, "pixels")["explanation"]
    assert "re-compression" in (tmp_path / "r.html").read_text("utf-8")


def test_where_no_report_can_be_written(detectors, tmp_path):
    photo = saved(tmp_path / "a.jpg", coffee())
    for out in (tmp_path, tmp_path / "r.json", photo / "r.html"):
        with pytest.raises(BadInput):
            review([photo], None, detectors["pass"], out)


def test_a_failed_run_leaves_no_old_marker(detectors, tmp_path, monkeypatch):
    photo, out = saved(tmp_path / "a.jpg", coffee()), tmp_path / "r.html"
    review([photo], None, detectors["pass"], out)
    (tmp_path / "r.html").unlink()
    (tmp_path / "r.html").symlink_to(tmp_path / "a.jpg")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "write_bytes", full)
    with pytest.raises(BadInput, match="No space"):
        review([photo], None, detectors["pass"], out)
    assert not out.with_suffix(".json").exists()


def test_evidence_never_lowers_the_verdict():
    def label(ai, status="found-valid", standard="IPTC DigitalSourceType", value=None):
        return Label(standard, "XMP", status, ai, "A sentence.", value or {})

    labels = [
        label(None, standard="software"),
        label(False),
        label(None, standard="TC260 AIGC", value={"Label": "2"}),
        label(True, "present-unverified", "C2PA"),
        label(True, "found-malformed"),
        label(True, "found-conflicting"),
        label(True),
    ]
    order = ["pass", "review", "flag"]
    verdicts = [label_signal([Photo("a", 1, labels=[m])]).verdict for m in labels]
    assert verdicts == ["pass", "pass", "review", "review", "review", "flag", "flag"]
    for i in range(2 ** len(labels)):
        chosen = [m for k, m in enumerate(labels) if i >> k & 1]
        single = [verdicts[k] for k in range(len(labels)) if i >> k & 1]
        assert label_signal([Photo("a", 1, labels=chosen)]).verdict == highest([*single, "pass"])
    assert [highest(order[: i + 1]) for i in range(3)] == order


def test_more_photos_never_lower_the_verdict(detectors, tmp_path):
    quiet = saved(tmp_path / "quiet.jpg", coffee())
    marked = tmp_path / "marked.jpg"
    marked.write_bytes(label_bytes(quiet.read_bytes()))
    alone = review([marked], None, detectors["pass"], tmp_path / "a.html")
    both = review([quiet, marked, quiet], None, detectors["pass"], tmp_path / "b.html")
    assert alone["verdict"] == both["verdict"] == "flag"
    assert len(both["photos"]) == 3


def test_pictures_of_odd_shapes(detectors, tmp_path):
    paths = [
        saved(tmp_path / f"{h}x{w}.png", np.full((h, w, 3), 200, np.uint8))
        for h, w in ((1, 1), (1, 2000), (2000, 1), (30, 20))
    ]
    for listing in (None, paths[1], paths[0]):
        report = review(paths, listing, detectors["flag"], tmp_path / "r.html")
        assert report["verdict"] == "review"  # too small to be flagged
        assert Page((tmp_path / "r.html").read_text("utf-8")).open == []
