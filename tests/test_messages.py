import re
import string
from pathlib import Path

import pytest

from damagenet import claims
from damagenet.claims.messages import LANGUAGES, Message, known, say, table

FOLDER = Path(claims.__file__).parent


def fields(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("code", table())
def test_both_languages_say_the_same_in_neutral_words(code):
    english, chinese = table()[code]
    assert fields(english) == fields(chinese)
    assert not re.search(r"fraud|fake|cheat|guilt|liar|forge|suspect(?!ed: )", english, re.I) or (
        code == "says_suspected"
    )
    assert not re.search("欺诈|造假|骗|伪造|作弊", chinese)
    assert re.search("[\u4e00-\u9fff]", re.sub(r"{.*?}", "", chinese))
    assert english.endswith(".") == chinese.endswith("。")


def test_every_code_in_the_program_is_in_the_table_and_every_text_is_used():
    sources = {
        p.name: p.read_text("utf-8") for p in FOLDER.iterdir() if p.suffix in (".py", ".html")
    }
    said = set()
    for text in sources.values():
        said |= set(re.findall(r"\b(?:say|t|alt)\(\s*[\"'](\w+)[\"'][,)]", text))
    assert said and said <= set(table())
    everything = "\n".join(sources.values())
    families = ("verdict", "headline", "band", "signal", "finding", "pixels", "listing", "reuse",
                "damage", "status", "says")  # fmt: skip
    for code in table():
        assert code in everything or code.split("_")[0] in families, code


def test_a_message_fills_in_its_parameters():
    one = say("promise_flag", rate=0.01)
    assert "at most 1.0% of honest" in one.text() and "不超过 1.0%" in one.text("zh")
    assert one.record() == {"code": "promise_flag", "params": {"rate": 0.01}, "text": one.text()}
    says = {"en": "Yes.", "zh": "是。"}
    two = say("label_text", standard="{S}", carrier="XMP", says=says)
    assert two.text() == "{S} in XMP: Yes." and two.text("zh").endswith("是。")


def test_names_without_a_text_are_known_as_such():
    assert known("finding", "same_exposure") == Message("finding_same_exposure")
    assert known("finding", "something_new") is None
    assert LANGUAGES == ("en", "zh")
