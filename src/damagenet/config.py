"""One experiment = one frozen `Config`, read from a YAML file plus `section.key=value` overrides.

Defaults live here, once; a YAML file states only what it changes. Unknown keys and wrong types are
errors that name the nearest known key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from damagenet import BadInput
from damagenet.strict import from_dict as from_dict
from damagenet.strict import read_yaml
from damagenet.strict import to_dict as to_dict


@dataclass(frozen=True)
class Products:
    """Which photos. Empty lists mean `$DAMAGENET_DATA`, or the project's own samples without it."""

    table: str = ""  # an existing products.parquet; wins over the folders
    folders: tuple[str, ...] = ()  # intact products
    damaged: tuple[str, ...] = ()  # really damaged products
    limit: int = 0  # at most so many intact and so many damaged photos, spread over groups; 0 = all


@dataclass(frozen=True)
class Build:
    """The four-cell dataset."""

    out: str = ""  # empty: runs/<name>/dataset
    long_side: int = 512  # photos are framed to at most this before anything else, in pixels
    variants: int = 1  # independent draws (framing, camera, damage, channel) per product
    native: float = 0.25  # share of intact products that skip the camera model
    kinds: tuple[str, ...] = ()  # damage kinds; empty = all
    families: tuple[str, ...] = ()  # decoder families; empty = every one whose weights are found
    holdout_family: str = ""  # used in the test split only
    holdout_kind: str = ""  # a damage kind, used in the test split only
    overlay: float = 0.1  # share of doctored damage that is painted, not regenerated
    inpaint: tuple[str, ...] = ()  # diffusion models (hub names or folders) that paint damage too
    inpaint_share: float = 0.5  # share of doctored damage they paint, where any is named
    inpaint_steps: int = 30
    topologies: tuple[str, ...] = ("full", "exchange", "blend")
    chains: tuple[str, ...] = ("camera", "chat", "marketplace", "screenshot", "screen", "softened")
    test_chains: tuple[str, ...] = ("twice",)  # reserved: the test split only, a fifth of it
    train_chains: tuple[str, ...] = ()  # of the training split, where they differ from `chains`
    train_topologies: tuple[str, ...] = ()  # the same for `topologies`; the loader cuts full edits
    validation: float = 0.15  # share of product groups
    test: float = 0.25
    test_sources: tuple[str, ...] = ()  # sources that only the test split may hold
    label_files: bool = True  # AI label in every synthetic file; off = all files stripped alike


@dataclass(frozen=True)
class Audit:
    """Shortcut probes."""

    limit: float = 0.60  # a probe of the files above this AUC fails the dataset
    pixel_limit: float = 0.65  # the same for probes of pixel statistics
    folds: int = 5


@dataclass(frozen=True)
class Train:
    """Model and optimisation."""

    encoder: str = "nodown"  # our own, or any timm name that supports features_only
    base: int = 16  # channels of `nodown` at full resolution
    pretrained: bool = False  # let timm download weights
    stages: int = 4  # encoder stages used; later ones see too coarsely for cracks
    fuse: int = 2  # the stage at whose resolution they are fused, counted from 0
    early_stride: bool = False  # keep the stem's first stride (faster, loses fine traces)
    width: int = 32  # channels of the decoder head
    crop: int = 96  # native-resolution training crops, pixels
    pairs: int = 16  # twin pairs per step, over all processes (twice as many crops)
    accumulate: int = 1  # parts a step's pairs are cut into where memory is short
    steps: int = 1000
    eval_every: int = 250  # steps
    save_every: int = 100  # steps; what a kill can cost at most
    patience: int = 4  # evaluations without a better validation score before stopping
    lr: float = 2e-3
    weight_decay: float = 1e-2
    map_weight: float = 1.0  # weight of the heatmap loss beside the image loss
    twin_weight: float = 0.0  # weight of ranking the doctored twin above the authentic one
    holdout_family: str = ""  # a decoder family that training and validation do not see
    exchange: float = 0.5  # share of full-frame edits cut to a random region in the loader
    augment: float = 0.5  # probability of each re-compression or photometric augmentation
    decoys: float = 0.0  # share of authentic twins made as soft as decoders leave theirs
    ramp: float = 0.0  # share of the steps over which these three and other chains come in; above 1
    # they are not all in at the end
    lattice: str = ""  # dataset on whose whole frames the lattice is fitted; empty: no lattice
    ema: float = 0.99  # decay of the weight average that is evaluated and saved
    device: str = "auto"  # auto, cpu, cuda; cuda where there is none is an error
    precision: str = "auto"  # auto, float32, bfloat16; auto = float32 on a CPU, half on a GPU
    threads: int = 2  # CPU threads; another count gives other weights
    workers: int = 0  # loader processes
    tensorboard: bool = False  # mirror train.csv to tensorboard/ in the run folder, too


@dataclass(frozen=True)
class Evaluate:
    """What to measure."""

    split: str = "test"
    false_alarm_rate: float = 0.05  # of the flag threshold, on validation photos
    review_rate: float = 0.20  # of the review threshold
    resamples: int = 1000  # bootstrap resamples over product groups
    grid_pictures: int = 120  # test pictures sent through the channel grid, half of them authentic
    baseline_pictures: int = 1200  # training pictures of learnt baselines, at most
    baseline_steps: int = 150  # training steps of the plain classifier, 32 pictures each


@dataclass(frozen=True)
class Targets:
    """What to reach, least first; only shown beside the results. See `protocol.HEADLINE`."""

    auc_mean: tuple[float, ...] = ()
    auc_worst: tuple[float, ...] = ()
    tpr_worst: tuple[float, ...] = ()
    exchange_gap: tuple[float, ...] = ()
    damage_bias_gap: tuple[float, ...] = ()
    pixel_f1_exchange_jpeg80: tuple[float, ...] = ()
    drop_chat: tuple[float, ...] = ()
    ece_worst_channel: tuple[float, ...] = ()
    margin: tuple[float, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """Leave one decoder family out, for each of them and several seeds."""

    seeds: tuple[int, ...] = (1, 2, 3)
    families: tuple[str, ...] = ()  # families to leave out, one at a time; empty = all in the data
    arms: tuple[str, ...] = ("",)  # `NAME key=value ...`: variants to compare; "" = as it stands
    grid: bool = True  # send each run through the channel grid
    baselines: bool = True  # compare each run with the baselines
    targets: Targets = field(default_factory=Targets)


@dataclass(frozen=True)
class Export:
    """The ONNX file."""

    tolerance: float = 1e-3  # largest allowed difference between torch and ONNX Runtime
    opset: int = 20


@dataclass(frozen=True)
class Config:
    """Everything one experiment needs; see `configs/` for examples."""

    name: str = "experiment"
    seed: int = 0
    products: Products = field(default_factory=Products)
    build: Build = field(default_factory=Build)
    audit: Audit = field(default_factory=Audit)
    train: Train = field(default_factory=Train)
    evaluate: Evaluate = field(default_factory=Evaluate)
    export: Export = field(default_factory=Export)
    protocol: Protocol = field(default_factory=Protocol)

    @property
    def run_dir(self) -> Path:
        """Where training writes."""
        return Path("runs") / self.name

    @property
    def dataset_dir(self) -> Path:
        """Where the dataset is built."""
        return Path(self.build.out) if self.build.out else self.run_dir / "dataset"


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config file and apply `section.key=value` overrides.

    Raises:
        BadInput: Missing file, bad YAML, unknown key, or a value of the wrong type.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such config file; configs/ holds examples")
    try:
        values = read_yaml(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise BadInput(f"{path}: must hold `key: value` lines")
    return _overridden(values, overrides, str(path))


def override(config: Config, overrides: Sequence[str]) -> Config:
    """A config with `section.key=value` overrides applied.

    Raises:
        BadInput: As `load`.
    """
    return _overridden(to_dict(config), overrides, " ".join(overrides) or "config")


def _overridden(values: dict[str, Any], overrides: Sequence[str], where: str) -> Config:
    for item in overrides:
        key, mark, text = item.partition("=")
        if not mark:
            raise BadInput(f"{item!r}: overrides look like build.long_side=256")
        *sections, last = key.strip().split(".")
        target = values
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise BadInput(f"{item!r}: {section!r} is not a section")
        try:
            target[last] = yaml.safe_load(text) if text else ""
        except yaml.YAMLError:
            raise BadInput(f"{item!r}: the value is not valid YAML; quote it") from None
    config: Config = from_dict(Config, values, where)
    check(config, where)
    return config


COUNTS = ("pairs", "steps", "eval_every", "save_every", "patience", "width", "stages", "threads")
SHARES = ("exchange", "augment", "decoys")


def check(config: Config, where: str = "config") -> None:
    """Refuse values that cannot work, before hours are spent on them.

    Raises:
        BadInput: Naming the key and the range it must lie in.
    """
    build, train = config.build, config.train
    rules: list[tuple[str, bool, str]] = [
        ("name", all(part.strip(".") for part in config.name.split("/")), "a folder name"),
        ("build.long_side", build.long_side >= 128, "at least 128"),
        ("build.variants", build.variants >= 1, "at least 1"),
        ("build.validation", 0 < build.validation < 1, "between 0 and 1"),
        ("build.test", 0 < build.test < 1 - build.validation, "between 0 and 1 - validation"),
        ("build.native", 0 <= build.native < 1, "in [0, 1)"),
        ("build.overlay", 0 <= build.overlay <= 1, "in [0, 1]"),
        ("build.inpaint_share", 0 <= build.inpaint_share <= 1, "in [0, 1]"),
        ("build.inpaint_steps", build.inpaint_steps >= 1, "at least 1"),
        ("audit.limit", 0.5 < config.audit.limit <= 1, "above 0.5, at most 1"),
        ("audit.pixel_limit", 0.5 < config.audit.pixel_limit <= 1, "above 0.5, at most 1"),
        ("audit.folds", config.audit.folds >= 2, "at least 2"),
        ("train.crop", train.crop >= 32 and train.crop % 16 == 0, "a multiple of 16, at least 32"),
        (
            "train.accumulate",
            train.accumulate >= 1 and train.pairs % train.accumulate == 0,
            "a divisor of train.pairs",
        ),
        ("products.limit", config.products.limit >= 0, "0 (all) or more"),
        ("train.workers", train.workers >= 0, "0 or more"),
        (
            "train.precision",
            train.precision in ("auto", "float32", "bfloat16"),
            "auto, float32 or bfloat16",
        ),
        ("train.lr", train.lr > 0, "above 0"),
        ("train.ramp", train.ramp >= 0, "0 or more"),
        ("train.ema", 0 <= train.ema < 1, "in [0, 1)"),
        ("train.device", train.device in ("auto", "cpu", "cuda"), "auto, cpu or cuda"),
        ("evaluate.split", config.evaluate.split in ("train", "val", "test"), "train, val or test"),
        (
            "evaluate.false_alarm_rate",
            0 < config.evaluate.false_alarm_rate < config.evaluate.review_rate < 1,
            "above 0 and below evaluate.review_rate",
        ),
        ("evaluate.grid_pictures", config.evaluate.grid_pictures >= 2, "at least 2"),
        ("evaluate.baseline_pictures", config.evaluate.baseline_pictures >= 2, "at least 2"),
        ("evaluate.baseline_steps", config.evaluate.baseline_steps >= 1, "at least 1"),
        ("protocol.seeds", len(config.protocol.seeds) > 0, "a list of whole numbers"),
        ("protocol.arms", len(config.protocol.arms) > 0, 'a list; [""] = the config as it is'),
    ]
    for name in COUNTS:
        rules.append((f"train.{name}", getattr(train, name) >= 1, "at least 1"))
    for name in SHARES:
        rules.append((f"train.{name}", 0 <= getattr(train, name) <= 1, "in [0, 1]"))
    for name, holds, wanted in rules:
        if not holds:
            raise BadInput(f"{where}: {name} must be {wanted}")


def dump(config: Config) -> str:
    """A config as YAML text that `load` reads back."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def digest(*parts: object) -> str:
    """Hash of configs or plain values: equal content, equal hash."""
    plain = [to_dict(part) if dataclasses.is_dataclass(part) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
