"""Files of the LoCoMo form are read whatever they leave out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from benchmarks.datasets import read_locomo
from benchmarks.metrics import Ranking, summary
from tests.support.locomo import Sample, sample, written


def test_turns_and_questions_are_read_with_their_times_and_evidence(tmp_path: Path) -> None:
    (conversation,) = read_locomo(written(tmp_path / "mine.json", [sample("boats")])).conversations
    first, *_, last = conversation.turns

    assert (first.id, first.session, first.speaker) == ("boats/D1:1", "boats/1", "Otto")
    assert first.occurred_at == datetime(2023, 5, 1, 13, 56, tzinfo=UTC)
    assert (last.id, last.text) == ("boats/D2:3", "Nora keeps it in her barn.")
    assert [question.category for question in conversation.questions] == [1, 2, 3, 4, 5]
    assert conversation.questions[0].evidence == {"boats/D1:1", "boats/D2:1", "boats/D2:3"}
    assert conversation.questions[3].evidence == {"boats/D2:3"}


def test_single_conversation_that_is_no_list_is_read_like_a_list_of_it(tmp_path: Path) -> None:
    alone = read_locomo(written(tmp_path / "a.json", sample("boats")))

    assert alone.conversations == read_locomo(written(tmp_path / "b.json", [sample("boats")])).conversations


def test_folder_stands_for_its_file(tmp_path: Path) -> None:
    written(tmp_path / "locomo-dev.json", [sample("boats")])

    assert [one.name for one in read_locomo(tmp_path).conversations] == ["boats"]


def test_what_a_file_leaves_out_does_not_stop_the_reading(tmp_path: Path) -> None:
    conversation: Sample = {
        "session_2_date_time": "2024-02-03T04:05:06+02:00",
        "session_2": [
            {"speaker": "Ida", "dia_id": "D2:1", "text": "", "blip_caption": "a lighthouse"},
            {"speaker": "Ida", "dia_id": "D2:2", "text": " "},
        ],
        "session_1_date_time": "2024-02-03T04:05:06",
        "session_1": [],
        "session_3_date_time": "1:00 am on 9 July, 2024",
    }
    asked = [
        {"question": "What was it?", "evidence": ["D2:1"]},
        {"question": "Who?", "evidence": ["D9:9"], "category": 1},
        {"question": "Why?", "category": 2},
        {"question": " ", "evidence": ["D2:1"], "category": 1},
    ]
    silent = {"conversation": {"session_1_date_time": "1:00 am on 9 July, 2024", "session_1": []}}
    read = read_locomo(written(tmp_path / "odd.json", [{"conversation": conversation, "qa": asked}, silent]))
    (found,) = read.conversations

    assert [turn.text for turn in found.turns] == [" [shares a lighthouse]"]
    assert found.turns[0].occurred_at == datetime(2024, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
    assert [(question.text, question.category) for question in found.questions] == [("What was it?", 4)]
    assert read.skipped == 3


def test_categories_without_a_question_have_no_figures(tmp_path: Path) -> None:
    for categories, overall in (((2, 5), 1), ((5,), 0)):
        dataset = read_locomo(written(tmp_path / "some.json", sample("boats", categories)))
        turns = [turn.id for turn in dataset.conversations[0].turns]
        sessions = {turn.id: turn.session for turn in dataset.conversations[0].turns}
        found = summary([Ranking(question=one, turns=turns, sessions=sessions) for one in dataset.questions])

        assert list(found["categories"]) == [str(number) for number in categories]
        assert found["overall"]["questions"] == overall
