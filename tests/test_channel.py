import json

import cv2
import numpy as np
import pytest
from conftest import jpeg_facts, photo

from damagenet import BadInput, images
from damagenet.runs import rng_for
from damagenet.synth import channel, encoders, markup, screens, softening
from damagenet.synth.channel import CHAINS, OPS, apply, plan, reserved, send

DRAWS = [(chain, seed) for chain in CHAINS for seed in range(3)]
KNOWN = [name for name in OPS if name in encoders.CODECS or not name.isupper()]


def drawn(chain, seed, focus=None, marks=False):
    """A plan of a chain with or without markup."""
    for turn in range(400):
        sent = plan(rng_for(seed, chain, turn), (chain,), focus)
        if marks == (sent["steps"][0]["op"] == "markup"):
            return sent
    raise AssertionError


def one_step(op, seed=0):
    """A draw of any single step."""
    rng = rng_for(seed, op)
    if op in softening.FILTERS:
        return softening.plan(rng, op)
    makers = {
        "resize": lambda: channel._plan_resize(rng, 0.5, 0.95), "markup": lambda: markup.plan(rng),
        "crop": lambda: channel._plan_crop(rng, 0.06), "rotate": lambda: channel._plan_rotate(rng),
        "screenshot": lambda: screens.plan_screenshot(rng),
        "screen": lambda: screens.plan_screen(rng), "JPEG": lambda: channel.plan_jpeg(rng, 70, 90),
    }  # fmt: skip
    return makers[op]() if op in makers else channel._plan_codec(rng, op, 70, 90)


def twins(height=151, width=213):
    """Two finished photos of one scene that differ in their pixels, not in their size."""
    one = photo(height, width)
    other = np.clip(one.astype(int) + rng_for(0).normal(0, 12, one.shape), 0, 255)
    return one, other.astype(np.uint8)


def disc(height=331, width=441, colour=(255, 0, 255)):
    """A photo with a coloured disc off its centre, and the mask of that disc."""
    image, mask = photo(height, width), np.zeros((height, width), np.uint8)
    cv2.circle(mask, (int(0.42 * width), int(0.56 * height)), 61, 255, -1)
    image[mask > 0] = colour
    return image, mask


def shown(pixels):
    """Where the disc of `disc` is seen."""
    red, green, blue = pixels.astype(int).transpose(2, 0, 1)
    seen = ((np.minimum(red, blue) - green > 75) & (abs(red - blue) < 120)).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(seen)
    return parts == 1 + np.argmax(stats[1:count, cv2.CC_STAT_AREA])


def agreement(pixels, mask):
    """Overlap of the disc seen with its mask, and how far their centres are apart in pixels."""
    seen, masked = shown(pixels), mask >= 128
    centres = [np.argwhere(region).mean(0) for region in (seen, masked)]
    return (seen & masked).sum() / (seen | masked).sum(), np.abs(centres[0] - centres[1]).max()


@pytest.mark.parametrize("marks", [False, True])
@pytest.mark.parametrize(("chain", "seed"), DRAWS)
def test_one_draw_gives_twins_the_same_file_facts(chain, seed, marks):
    empty = np.zeros((151, 213), np.uint8)
    sent = drawn(chain, seed, (0.4, 0.5, 0.1), marks)
    facts = [jpeg_facts(apply(image, [empty], sent)[0]) for image in twins()]
    assert facts[0] == facts[1]
    assert facts[0][0] == "JPEG"


@pytest.mark.parametrize(("chain", "seed"), DRAWS)
def test_the_file_holds_what_the_last_step_asked_for(chain, seed):
    last = drawn(chain, seed)["steps"][-1]
    assert last["op"] == "JPEG"
    data, masks = apply(*[twins()[0], [np.zeros((151, 213), np.uint8)]], drawn(chain, seed))
    with images.opened(data) as picture:
        held = [list(picture.quantization[key]) for key in sorted(picture.quantization)]
        steps = encoders.quantisation(last["tables"], last["quality"])
        assert sorted(held[0]) == sorted(steps[0]) and sorted(held[-1]) == sorted(steps[1])
        assert bool(picture.info.get("progressive")) == last["progressive"]
        assert picture.layer[0][1:3] == [(1, 1), (2, 1), (2, 2)][last["subsampling"]]
        assert masks[0].shape == picture.size[::-1]


@pytest.mark.parametrize(("chain", "seed"), DRAWS)
def test_the_masks_stay_on_the_picture_through_every_chain(chain, seed):
    image, mask = disc()
    data, (moved, empty) = apply(image, [mask, np.zeros_like(mask)], drawn(chain, seed))
    overlap, shift = agreement(images.read(data), moved)
    assert set(np.unique(moved)) == {0, 255} and not empty.any()
    assert overlap > 0.93 and shift < 0.6  # not even a pixel off


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("op", [op for op in KNOWN if op != "markup"])
def test_the_masks_stay_on_the_picture_through_every_step(op, seed):
    image, mask = disc()
    pixels, (moved,) = send(image, [mask], one_step(op, seed))
    overlap, shift = agreement(pixels, moved)
    assert pixels.dtype == moved.dtype == np.uint8 and pixels.shape == (*moved.shape, 3)
    assert overlap > 0.93 and shift < 0.5
    if op not in channel._MOVES:
        assert np.array_equal(moved, mask)


@pytest.mark.parametrize("op", ["crop", "rotate", "resize"])
def test_a_mask_moves_exactly_like_a_picture_of_it(op):
    mask = disc()[1]
    for seed in range(4):
        step = one_step(op, seed) | ({"kernel": "linear"} if op != "crop" else {})
        step |= {"factor": 1.37} if op == "resize" else {}
        pixels, (moved,) = send(np.dstack([mask] * 3), [mask], step)
        assert np.array_equal(pixels[..., 0], moved)


@pytest.mark.parametrize("chain", CHAINS)
def test_the_same_channel_gives_the_same_bytes_for_any_number_of_threads(chain):
    image, mask = disc()
    for seed in range(2):
        sent = drawn(chain, seed, marks=seed == 1)
        assert json.loads(json.dumps(sent)) == sent
        first = apply(image, [mask], sent)
        cv2.setNumThreads(4)
        try:
            second = apply(image, [mask], json.loads(json.dumps(sent)))
        finally:
            cv2.setNumThreads(1)
        assert first[0] == second[0] and np.array_equal(first[1][0], second[1][0])


def test_the_same_rng_plans_the_same_channel():
    again = [plan(rng_for(5), CHAINS, (0.3, 0.6, 0.1)) for _ in range(2)]
    assert again[0] == again[1] != plan(rng_for(6), CHAINS, (0.3, 0.6, 0.1))


@pytest.mark.parametrize("chain", CHAINS)
def test_what_it_is_given_is_left_alone(chain):
    image, mask = disc()
    apply(image, [mask], drawn(chain, 1, marks=True))
    assert np.array_equal(image, disc()[0]) and np.array_equal(mask, disc()[1])


def test_the_chains_differ_as_described():
    steps = {chain: [drawn(chain, seed)["steps"] for seed in range(12)] for chain in CHAINS}
    ops = {chain: [[s["op"] for s in draw] for draw in steps[chain]] for chain in CHAINS}
    assert ["JPEG"] in ops["camera"]
    assert all("resize" in draw for draw in ops["chat"])
    assert all({"crop", "resize"} <= set(draw) for draw in ops["marketplace"])
    assert all("screenshot" in draw for draw in ops["screenshot"])
    assert all("screen" in draw for draw in ops["screen"])
    soft = {*softening.FILTERS, "resize"} - {"sharpen"}
    assert all(soft & set(draw) for draw in ops["softened"])
    quality = {c: np.mean([s[-1]["quality"] for s in steps[c]]) for c in CHAINS}
    assert quality["chat"] < quality["marketplace"] < quality["camera"]


def test_every_subsampling_table_and_kernel_occurs():
    steps = [s for seed in range(90) for s in drawn("marketplace", seed)["steps"]]
    assert {s["subsampling"] for s in steps if s["op"] == "JPEG"} == {0, 1, 2}
    assert {s["tables"] for s in steps if s["op"] == "JPEG"} == set(encoders.TABLES)
    resized = [s for s in steps if s["op"] == "resize"]
    assert {s["kernel"] for s in resized} == {"area", "linear", "cubic", "lanczos"}
    assert any(s["factor"] > 1 for s in resized) and any(s["factor"] < 1 for s in resized)


def test_what_is_reserved_for_testing_stays_out_of_all_other_chains():
    assert reserved(("camera", "twice", "chat")) == ("twice",)
    assert reserved(("camera", "softened")) == ()
    assert channel.RESERVED_CODEC == "AVIF" and set(channel.RESERVED_CHAINS) < set(CHAINS)
    for chain in CHAINS:
        ops = {s["op"] for seed in range(60) for s in plan(rng_for(seed), (chain,))["steps"]}
        assert (channel.RESERVED_CODEC in ops) == bool(reserved((chain,)))


def test_a_forwarded_picture_is_compressed_on_two_grids():
    for seed in range(5):
        steps = drawn("twice", seed)["steps"]
        assert steps[0]["op"] == "JPEG" and steps[1]["op"] == "crop"
        ramp = np.dstack([np.arange(200, dtype=np.uint8)[None] + np.zeros((160, 1), np.uint8)] * 3)
        cut = send(ramp, [], steps[1])[0]
        assert cut[0, 0, 0] % 2 == 1  # the first column left: an odd offset


def test_missing_codecs_are_replaced_when_planning(monkeypatch):
    monkeypatch.setattr(encoders, "CODECS", ("JPEG",))
    for chain in CHAINS:
        ops = {s["op"] for seed in range(40) for s in plan(rng_for(seed), (chain,))["steps"]}
        assert not ops & {"WEBP", "AVIF", "HEIF"}
        assert ops <= set(OPS)


def test_markup_comes_in_a_share_of_the_draws_of_any_chain():
    for chain in CHAINS:
        plans = [plan(rng_for(seed, chain), (chain,)) for seed in range(300)]
        share = np.mean([p["steps"][0]["op"] == "markup" for p in plans])
        assert 0.08 < share < 0.23
        assert all(s["op"] != "markup" for p in plans for s in p["steps"][1:])


def test_softened_photos_are_softer_than_photos_as_taken():
    def detail(chain, seed):
        data = apply(photo(331, 441), [], drawn(chain, seed))[0]
        return cv2.Laplacian(images.read(data), cv2.CV_32F).std()

    soft, sharp = ([detail(chain, seed) for seed in range(8)] for chain in ("softened", "camera"))
    assert np.median(soft) < 0.7 * np.median(sharp)


@pytest.mark.parametrize("degrees", [-4.0, -1.3, 0.7, 3.9])
@pytest.mark.parametrize("kernel", ["linear", "cubic"])
def test_a_turned_photo_has_no_black_corners(degrees, kernel):
    white = np.full((151, 213, 3), 255, np.uint8)
    step = {"op": "rotate", "degrees": degrees, "kernel": kernel}
    # A mirrored border would hide a miss: the mask is filled with 0 outside of the picture.
    turned, (moved,) = send(white, [np.full((151, 213), 255, np.uint8)], step)
    assert (turned == 255).all() and (moved == 255).mean() > 0.999
    assert (
        turned.shape[0] > 0.85 * 151 and abs(turned.shape[1] / turned.shape[0] - 213 / 151) < 0.02
    )


@pytest.mark.parametrize("kernel", ["area", "linear", "cubic", "lanczos"])
@pytest.mark.parametrize("factor", [0.73, 1.31])
def test_an_empty_mask_stays_empty_and_a_full_one_full(kernel, factor):
    step = {"op": "resize", "factor": factor, "kernel": kernel}
    sent = {"steps": [step, {"op": "JPEG", "quality": 90, "subsampling": 2}]}
    for value in (0, 255):
        mask = apply(photo(), [np.full(photo().shape[:2], value, np.uint8)], sent)[1][0]
        assert (mask == value).all()
        assert mask.shape == (round(150 * factor), round(210 * factor))


def test_a_pixel_is_masked_from_half_on():
    mask = np.zeros((128, 192), np.uint8)
    mask[:, :65] = 255  # column 32 of the half-size picture is covered by half, 33 not at all
    step = {"op": "resize", "factor": 0.5, "kernel": "area"}
    sent = {"steps": [step, {"op": "JPEG", "quality": 90, "subsampling": 2}]}
    moved = apply(photo(128, 192), [mask], sent)[1][0]
    assert (moved[:, :33] == 255).all() and not moved[:, 33:].any()


def test_a_thin_mask_survives_a_detour_to_another_size():
    mask = np.zeros((200, 300), np.uint8)
    cv2.line(mask, (40, 50), (260, 140), 255, 2)
    there, back = ({"op": "resize", "factor": f, "kernel": "cubic"} for f in (0.6, 1 / 0.6))
    sent = {"steps": [there, back, {"op": "JPEG", "quality": 90, "subsampling": 2}]}
    moved = apply(photo(200, 300), [mask], sent)[1][0]
    assert 0.7 < moved.sum() / mask.sum() < 1.5


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("shape", [(64, 64), (66, 83), (64, 300), (97, 65)])
def test_tiny_pictures_are_not_shrunk_below_what_the_detector_takes(chain, shape):
    image = cv2.resize(photo(), shape[::-1])
    for seed in range(4):
        sent = drawn(chain, seed, (0.5, 0.5, 0.2), marks=seed == 0)
        data, masks = apply(image, [np.zeros(shape, np.uint8)], sent)
        assert min(masks[0].shape) >= 64 and images.read(data).shape[:2] == masks[0].shape


def test_the_markup_of_a_chain_sits_where_the_damage_is():
    for seed in range(6):
        marks = drawn("camera", seed, (0.3, 0.7, 0.1), marks=True)["steps"][0]["marks"]
        for mark in marks:
            if mark["mark"] not in ("cover", "stamp"):
                assert abs(mark["x"] - 0.3) < 0.06 and abs(mark["y"] - 0.7) < 0.06


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ({"steps": []}, "must be a JPEG"),
        ({"steps": [{"op": "WEBP", "quality": 80}]}, "must be a JPEG"),
        ({"steps": [{"op": "fax"}, {"op": "JPEG", "quality": 80, "subsampling": 2}]}, "step fax"),
    ],
)
def test_a_channel_that_cannot_be_sent_is_refused(sent, complaint):
    with pytest.raises(BadInput, match=complaint):
        apply(photo(), [], sent)


def test_an_unknown_chain_is_refused_by_name():
    with pytest.raises(BadInput, match=r"pigeon is not known; known: camera"):
        plan(rng_for(0), ("camera", "pigeon"))
