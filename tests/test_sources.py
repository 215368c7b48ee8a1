import io
import sys

import pandas as pd
import pytest
from conftest import ROOT

from damagenet import BadInput
from damagenet.claims.sources import photos

NAMES = ["b.jpg", "a.png", "sub/café 1.webp"]


@pytest.fixture
def shop(tmp_path):
    for name in [*NAMES, "notes.txt", ".hidden.jpg"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def whole(folder, *names):
    return [str(folder / name) for name in names]


def test_files_folders_and_globs_in_their_order_each_once(shop):
    assert photos([str(shop)]) == whole(shop, "a.png", "b.jpg", "sub/café 1.webp")
    assert photos([f"{shop}/b*.jpg", str(shop)])[0] == f"{shop}/b.jpg"
    assert photos(whole(shop, "b.jpg", "b.jpg", "notes.txt")) == whole(shop, "b.jpg", "notes.txt")
    assert photos([str(shop / "sub" / "..")])[0].endswith("/sub/../a.png")
    assert photos([str(shop / "gone")]) == whole(shop, "gone")  # its record tells


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV"])
def test_a_column_is_relative_to_the_folder_of_its_table(shop, suffix, monkeypatch):
    table = pd.DataFrame({"id": range(4), "photo": [*NAMES, str(ROOT / "x.jpg")]})
    path = shop / f"claims{suffix}"
    table.to_csv(path, index=False) if suffix != ".parquet" else table.to_parquet(path)
    expected = [*whole(shop, *NAMES), str(ROOT / "x.jpg")]
    assert photos([str(path)], column="photo") == expected
    monkeypatch.chdir(shop.parent)
    assert photos([f"{shop.name}/{path.name}"], "photo")[0] == f"{shop.name}/b.jpg"
    with pytest.raises(BadInput, match=r"claims.*no column 'path' among id, photo; .*--column"):
        photos([str(path)])


def test_csv_of_spreadsheets(shop):
    path = shop / "c.csv"
    path.write_bytes('\ufeff"path",note\r\n"b.jpg","two\r\nlines"\r\n007.jpg,\r\n'.encode())
    assert photos([str(path)]) == whole(shop, "b.jpg", "007.jpg")


BAD = {
    "empty.csv": b"", "hole.csv": b"path\na.png\n\"\"\n", "short.csv": b"id,path\n1,a.png\n2\n",
    "bytes.csv": b"path\n\xff\xfe\n", "wrong.parquet": b"PAR1 not really",
    "list.xlsx": b"PK", "list.jsonl": b"{}", "gone.csv": None,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_named_with_a_remedy(shop, name):
    if BAD[name] is not None:
        (shop / name).write_bytes(BAD[name])
    with pytest.raises(BadInput) as caught:
        photos([str(shop / name)], column="path")
    text = str(caught.value)
    assert text.startswith(f"{shop / name}: ") and "\n" not in text
    assert ("row 2 of column 'path'" in text) == (name in ("hole.csv", "short.csv"))


def test_a_parquet_column_of_numbers_is_no_column_of_paths(shop):
    pd.DataFrame({"path": [7]}).to_parquet(shop / "n.parquet")
    with pytest.raises(BadInput, match=r"row 1 of column 'path' holds no path but 7"):
        photos([str(shop / "n.parquet")])


@pytest.mark.parametrize(
    ("separator", "text", "expected"),
    [
        (b"\n", b"a b.jpg\r\n\n./c/d.jpg\na b.jpg\nlast", ["a b.jpg", "c/d.jpg", "last"]),
        (b"\0", b"a\nb.jpg\0c.jpg\0", ["a\nb.jpg", "c.jpg"]),
        (b"\n", b"caf\xe9.jpg\n", ["caf\udce9.jpg"]),
        (b"\n", b"", []),
    ],
)
def test_a_list_on_standard_input(separator, text, expected, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert photos(["-"], separator=separator) == expected


def test_places_without_photos_are_told_beside_those_with_some(shop):
    (shop / "empty").mkdir()
    pattern = f"{shop}/zz*.jpg"
    found = photos([pattern, str(shop / "empty"), str(shop / "b.jpg")])
    assert found == [str(shop / "b.jpg"), pattern, str(shop / "empty")]
    assert photos([pattern, str(shop / "empty")]) == []
    with pytest.raises(BadInput, match="an empty name"):
        photos([""])
