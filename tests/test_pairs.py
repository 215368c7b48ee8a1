from damagenet.detect.pairs import COLUMNS, Pairs
from damagenet.synth import dataset


def test_a_manifest_in_pieces_gives_the_pairs_of_the_whole(built, manifest, monkeypatch):
    whole = Pairs(manifest[manifest.split == "train"])
    monkeypatch.setattr(dataset, "PIECE", 3)  # draws straddle them
    pieces = Pairs(dataset.pieces(built, COLUMNS, "train"))
    assert len(whole) and list(pieces) == list(whole)
    assert list(pieces.plain) == list(whole.plain)
    assert {row["cell"].split("_")[0] for row, _ in whole} == {"doctored"}
    assert not len(Pairs([]))
