import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import photo, settings

from damagenet import BadInput
from damagenet.config import Audit
from damagenet.synth import audit, dataset, products
from damagenet.synth import inpaint as module
from damagenet.synth.damage import KINDS
from damagenet.synth.inpaint import describe, inpaint, prompt


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a whole Stable Diffusion inpainting pipeline, tiny and of random weights."""
    diffusers = pytest.importorskip("diffusers", reason="needs damagenet[inpaint]")
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("models")
    marks = [chr(code) for code in range(33, 127)]
    words = [*marks, *(f"{mark}</w>" for mark in marks), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    files = str(folder / "vocab.json"), str(folder / "merges.txt")
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_attention_heads=2,
        num_hidden_layers=1, projection_dim=16, bos_token_id=len(words) - 2,
        eos_token_id=len(words) - 1, pad_token_id=1,
    )  # fmt: skip
    unet = diffusers.UNet2DConditionModel(
        sample_size=16, in_channels=9, out_channels=4, block_out_channels=(16, 32),
        layers_per_block=1, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=16,
        attention_head_dim=4, norm_num_groups=8,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4, norm_num_groups=4,
        sample_size=64,
    )  # fmt: skip
    pipeline = diffusers.StableDiffusionInpaintPipeline(
        vae=vae.eval(), text_encoder=CLIPTextModel(text).eval(), unet=unet.eval(),
        tokenizer=CLIPTokenizer(*files, model_max_length=77),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder / "tiny")
    (folder / "tiny" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return str(folder / "tiny")


@pytest.fixture
def region():
    mask = np.zeros((75, 98), bool)
    mask[20:50, 30:70] = True
    return mask


@pytest.fixture
def loaded(model):
    """The pipeline as `inpaint` uses it, for tests that tamper with a part of it."""
    return module._pipeline(model, "cpu")


def run(model, region, prompt="a crack", seed=1, **settings):
    settings = {"steps": 2, "device": "cpu"} | settings
    return inpaint(photo(*region.shape), region, prompt, model, seed, **settings)


def test_keeps_an_odd_size_and_paints_where_it_was_asked_to(model, region, loaded):
    import torch

    before = photo(*region.shape)
    result = run(model, region)
    assert (result.shape, result.dtype) == (before.shape, np.uint8)
    assert (result[region] != before[region]).mean() > 0.5
    assert loaded.unet.dtype == loaded.vae.dtype == torch.float32  # as it must be on a CPU
    assert not any(p.training for p in (loaded.unet, loaded.vae, loaded.text_encoder))
    # Its native topology is `full`: the callers paste.
    assert (result[~region] != before[~region]).mean() > 0.5
    pasted = np.where(region[..., None], result, before)
    assert np.array_equal(pasted[~region], before[~region])


def test_a_crop_is_pasted_back_by_the_pipeline(model, region):
    before = photo(*region.shape)
    result = run(model, region, crop=4)
    assert result.shape == before.shape
    assert np.array_equal(result[~region], before[~region])
    assert (result[region] != before[region]).mean() > 0.5


def test_seed_prompt_and_settings_decide(model, region):
    first = run(model, region)
    module._pipeline.cache_clear()
    assert np.array_equal(run(model, region), first)  # also after a fresh load
    others = [
        run(model, region, seed=2),
        run(model, region, prompt="a stain on woven cloth"),
        run(model, region, guidance=2.0),
        run(model, region, strength=0.5),
        run(model, region, steps=3),
    ]
    assert len({other.tobytes() for other in [first, *others]}) == 6


def test_any_number_of_threads_gives_the_same(model, region):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        result = run(model, region)
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert np.array_equal(run(model, region), result)
    finally:
        torch.set_num_threads(before)


def test_no_progress_bars(model, region, capfd):
    from diffusers.utils import logging

    module._pipeline.cache_clear()
    run(model, region)
    assert "it/s" not in capfd.readouterr().err
    assert logging.is_progress_bar_enabled()  # as it was


def test_what_is_recorded_of_a_model(model):
    facts = describe(model)
    assert facts["name"] == "tiny"
    assert facts["class"] == "StableDiffusionInpaintPipeline"
    assert (facts["licence"], facts["revision"]) == ("apache-2.0", "")
    assert len(facts["sha256"]) == 64
    assert (facts["topology"], describe(model, crop=8)["topology"]) == ("full", "exchange")
    config = Path(model) / "scheduler" / "scheduler_config.json"
    text = config.read_text()
    config.write_text(text + "\n")
    assert describe(model)["sha256"] != facts["sha256"]
    config.write_text(text)
    assert describe(model) == facts


def test_a_hub_snapshot_tells_its_revision(model, tmp_path, monkeypatch):
    import diffusers

    snapshot = tmp_path / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_bytes((Path(model) / "model_index.json").read_bytes())
    asked = []

    def download(name, **settings):
        asked.append((name, settings["revision"], settings["use_safetensors"]))
        return str(snapshot)

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", download)
    monkeypatch.setattr(module, "_folder", functools.cache(module._folder.__wrapped__))
    facts = describe("someone/model@0123abcd")
    assert asked == [("someone/model", "0123abcd", True)]
    assert (facts["name"], facts["revision"]) == ("someone/model@0123abcd", "0123abcd")
    assert facts["licence"] == "unknown"


def test_a_model_that_nobody_has(model, region, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match=r"^nobody/nothing: no such folder.*check the name"):
        run("nobody/nothing", region)
    with pytest.raises(BadInput, match=r"model_index\.json"):
        describe("nobody/nothing")


def test_a_folder_that_is_no_pipeline(model, region, tmp_path):
    with pytest.raises(BadInput, match=r"model_index.json: not the index of a pipeline"):
        run(str(tmp_path), region)
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionInpaintPipeline"}')
    with pytest.raises(BadInput, match="cannot load a StableDiffusionInpaintPipeline"):
        run(str(tmp_path), region)


def test_a_pipeline_that_cannot_inpaint(region, model, tmp_path):
    import diffusers

    network = diffusers.UNet2DModel(
        sample_size=8, block_out_channels=(8,), norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
    )  # fmt: skip
    diffusers.DDPMPipeline(network, diffusers.DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="a DDPMPipeline cannot inpaint"):
        run(str(tmp_path), region)


def test_settings_that_a_pipeline_refuses(model, region):
    with pytest.raises(BadInput, match="cannot inpaint"):
        run(model, region, strength=1.5)
    with pytest.raises(ValueError, match="does not fit"):
        inpaint(photo(8, 9), region, "a crack", model, 1)


def test_a_pipeline_takes_only_the_settings_it_knows(model, region, loaded, monkeypatch):
    """FLUX fill, for one, has no negative prompt and no crop."""
    taken = {}

    class Fill:
        vae_scale_factor = 8

        def __call__(self, prompt, image, mask_image, height, width, guidance_scale=30.0,
                     generator=None):  # fmt: skip
            taken.update(height=height, width=width, guidance=guidance_scale, size=image.size)
            return type("Made", (), {"images": [image]})

    monkeypatch.setattr(module, "_pipeline", lambda model, device: Fill())
    assert np.array_equal(run(model, region), photo(*region.shape))
    assert taken == {"height": 80, "width": 112, "guidance": 30.0, "size": (112, 80)}
    with pytest.raises(BadInput, match="a Fill cannot work on a crop"):
        run(model, region, crop=8)


def test_a_safety_checker_is_not_mistaken_for_a_result(model, region, loaded, monkeypatch):
    monkeypatch.setattr(loaded, "run_safety_checker", lambda image, *rest: (image, [True]))
    with pytest.raises(BadInput, match="gave a black picture"):
        run(model, region)
    monkeypatch.setattr(loaded, "run_safety_checker", lambda image, *rest: (image * 0 - 1, None))
    with pytest.raises(BadInput, match="gave a black picture"):
        run(model, region)


def test_devices(model, region, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert module._device("auto") == "cpu"
    for device in ("cuda", "cuda:1", "tpu"):
        with pytest.raises(BadInput, match=f"device {device}: not found"):
            run(model, region, device=device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert module._device("auto") == "cuda"


def test_without_diffusers_one_line_says_how_to_get_it(region, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    monkeypatch.setattr(module, "_folder", functools.cache(module._folder.__wrapped__))
    for call in (lambda: run("a/model", region), lambda: describe("a/model")):
        with pytest.raises(BadInput, match=r"pip install 'damagenet\[inpaint\]'") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_prompts_name_the_damage_and_the_material_in_many_words():
    assert set(module._KINDS) == set(KINDS)
    for kind in KINDS:
        rng = np.random.default_rng(5)
        drawn = [prompt(rng, kind, "mug") for _ in range(40)]
        assert len(set(drawn)) > 15
        assert all(any(word in line for word in module._KINDS[kind]) for line in drawn)
        assert all(any(word in line for word in module._SURFACES["ceramic"]) for line in drawn)
    assert "odd thing damage" in prompt(rng, "odd_thing", "unknown")
    one, two = (prompt(np.random.default_rng(7), "tear", "bag") for _ in range(2))
    assert one == two


def test_importing_it_is_cheap():
    code = (
        "import sys, damagenet.synth.inpaint\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_build_paints_with_the_model_it_is_given(model, table, tmp_path):
    found = products.load(table)
    products.save(found[found.condition == "intact"].head(4), [], tmp_path / "few.parquet")
    config = settings(
        products={"table": str(tmp_path / "few.parquet")},
        build={"inpaint": [str(model)], "inpaint_share": 1.0, "inpaint_steps": 2, "native": 0.0,
               "overlay": 0.0, "variants": 2},
    )  # fmt: skip
    folder = dataset.build(config, tmp_path / "dataset")
    rows = dataset.read_manifest(folder)
    painted = rows[rows.cell == "doctored_damage"]
    assert set(painted.method) == {"inpaint"} and set(painted.family) == {Path(model).name}
    assert (painted.label == 1).all() and len(set(painted.topology)) > 1
    assert set(rows[rows.cell == "doctored_other"].method) == {"regenerate"}
    card = dataset.read_card(folder)["inpaint"][str(model)]
    assert card["class"] == "StableDiffusionInpaintPipeline" and len(card["sha256"]) == 64
    assert audit.audit(folder, Audit(folds=2, limit=1.0, pixel_limit=1.0))["passed"]
