from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.kit.text.analyse import analyse, detect, fold

SCRIPTS = st.text(
    alphabet=st.one_of(
        st.characters(max_codepoint=0x24F),
        st.characters(min_codepoint=0x400, max_codepoint=0x52F),
        st.characters(min_codepoint=0x900, max_codepoint=0x97F),
        st.characters(min_codepoint=0x3040, max_codepoint=0x30FF),
        st.characters(min_codepoint=0xFF66, max_codepoint=0xFF9F),
        st.characters(min_codepoint=0x4E00, max_codepoint=0x4FFF),
        st.characters(min_codepoint=0xAC00, max_codepoint=0xAD00),
        st.sampled_from("'’-_.@:/+#, 0123456789?!"),
    ),
    max_size=120,
)


def terms(text: str) -> list[str]:
    return [token.term for token in analyse(text) if not token.stop]


@given(SCRIPTS)
def test_every_token_points_into_the_text_and_has_a_bounded_term(text: str) -> None:
    for token in analyse(text):
        assert 0 <= token.start < token.end <= len(text)
        assert 0 < len(token.term) <= 64


@given(SCRIPTS)
def test_analysing_twice_gives_the_same_tokens(text: str) -> None:
    assert analyse(text) == analyse(text)


@given(st.text(alphabet=st.characters(categories=["Ll", "Lu"], max_codepoint=0x17F), max_size=60))
def test_case_and_composition_of_accents_do_not_matter(text: str) -> None:
    folded = fold(text)
    assert fold(unicodedata.normalize("NFD", text)) == folded
    assert fold(folded) == folded


@given(st.text(max_size=300))
def test_no_text_makes_the_analysis_fail(text: str) -> None:
    analyse(text)


@pytest.mark.parametrize(
    "text,query",
    [
        ("She went to two universities", "university"),
        ("They have gone hiking", "hike"),
        ("The children’s teeth", "child"),
        ("a café in Zürich", "cafe zurich"),
        ("my e-mail is new", "email"),
        ("a well-being seminar", "wellbeing"),
        ("write to ana@example.com please", "ana@example.com"),
        ("write to ana@example.com please", "ana"),
        ("deployed main.py today", "main.py"),
        ("error in parse_query", "parse"),
        ("It cost 1,250 dollars", "1250"),
        ("we use C++ and C#", "c++ c#"),
        ("The trip in May was great", "May"),
        ("I met Will there", "Will"),
        ("ＦＵＬＬ ｗｉｄｔｈ", "full width"),
        ("finished.Then we left", "finish"),
        ("Мы были на конференциях", "конференция"),
        ("la réunion des enfants est dans les bureaux", "bureau enfant"),
        ("Wir haben in den Bergen mit den Kindern gewandert und das war sehr gut", "Berg Kind"),
        ("हिन्दी भाषा", "हिन्दी"),
    ],
)
def test_a_word_is_found_in_another_form(text: str, query: str) -> None:
    assert set(terms(query)) & set(terms(text))
    assert all(set(terms(word)) & set(terms(text)) for word in query.split())


@pytest.mark.parametrize(
    "text,query",
    [
        ("我在北京大学读书", "北大"),
        ("我在北京大学读书", "大学"),
        ("她养了一只小猫", "猫"),
        ("参加了人工智能会议", "智能"),
        ("東京に行きました", "東京"),
        ("ラーメンを食べた", "ラーメン"),
        ("ｶﾞｽを止めた", "ガス"),
        ("ガスを止めた", "ｶﾞｽ"),
        ("カ\u3099スを止めた", "ガス"),
        ("ﾊﾟﾝ", "パン"),
        ("어제 서울에서 만났다", "서울"),
        ("ผมชอบกินข้าวผัด", "ข้าว"),
    ],
)
def test_a_word_of_a_script_without_spaces_is_found_however_it_is_cut(text: str, query: str) -> None:
    assert set(terms(query)) & set(terms(text))


def test_grammar_words_are_marked_as_stop_words() -> None:
    assert terms("What did she say about the one that isn't there? I don't know, it's theirs.") == ["say", "know"]
    assert terms("他们在哪里？") == []


def test_a_possessive_is_the_name_itself() -> None:
    assert terms("Ana's and Luis’s dogs") == ["ana", "lui", "dog"]
    assert terms("Luis") == ["lui"]


def test_a_compound_gives_its_parts_and_its_whole_over_the_same_characters() -> None:
    found = [(token.term, token.start, token.end) for token in analyse("x e-mail")][1:]
    assert found == [("e", 2, 3), ("mail", 4, 8), ("email", 2, 8)]


@pytest.mark.parametrize(
    "text,language",
    [
        ("", "english"),
        ("The man and the dog are here", "english"),
        ("El perro de mi hermana está en la casa", "spanish"),
        ("Je ne sais pas où il est avec les autres", "french"),
        ("Ich habe das nicht mit dem Hund gesehen", "german"),
        ("Non so che cosa è successo alla mia macchina", "italian"),
    ],
)
def test_the_language_is_told_by_its_stop_words(text: str, language: str) -> None:
    assert detect(text) == language


def test_a_very_long_word_is_cut_to_a_bounded_term() -> None:
    assert {len(token.term) for token in analyse("x" * 100_000)} == {64}


@pytest.mark.parametrize("piece", ["1,000,", "1.", "a-", "a.", "é'", "#", "我", "の", "ก", "\u0301", "नि", "1,"])
def test_a_long_repetition_is_analysed_in_linear_time(piece: str) -> None:
    assert len(analyse(piece * 50_000)) <= 4 * len(piece) * 50_000
