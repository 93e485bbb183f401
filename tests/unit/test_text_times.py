from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.kit.text.times import find_times, has_time_question

SAID = datetime(2023, 5, 17, 12, tzinfo=UTC)  # a Wednesday
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1))  # noqa: DTZ001  # hypothesis adds no zone
PAST = ("last", "past", "this past")
FUTURE = ("next", "coming", "this")
DAY_NAMES = "monday tuesday wednesday thursday friday saturday sunday".split()
SHORT_NAMES = "mon tue tues wed wednes thu thur thurs fri sat satur sun".split()
MONTH_NAMES = "january february march april may june july august september october november december".split()


def windows(text: str) -> list[tuple[str, str]]:
    return [
        (date.fromordinal(found.first).isoformat(), date.fromordinal(found.last).isoformat())
        for found in find_times(text, SAID)
    ]


@pytest.mark.parametrize(
    "text,first,last",
    [
        ("I saw her yesterday", "2023-05-16", "2023-05-16"),
        ("the day before yesterday", "2023-05-15", "2023-05-15"),
        ("we met last Friday", "2023-05-12", "2023-05-12"),
        ("on Friday we met", "2023-05-12", "2023-05-12"),
        ("see you next Tuesday", "2023-05-23", "2023-05-23"),
        ("two weeks ago", "2023-04-30", "2023-05-06"),
        ("3 days ago", "2023-05-14", "2023-05-14"),
        ("in 2 days", "2023-05-19", "2023-05-19"),
        ("last week", "2023-05-08", "2023-05-14"),
        ("last weekend", "2023-05-13", "2023-05-14"),
        ("next month", "2023-06-01", "2023-06-30"),
        ("last year", "2022-01-01", "2022-12-31"),
        ("in May 2021", "2021-05-01", "2021-05-31"),
        ("in 2019", "2019-01-01", "2019-12-31"),
        ("the summer of 2022", "2022-06-01", "2022-08-31"),
        ("last summer", "2022-06-01", "2022-08-31"),
        ("on 2023-04-01", "2023-04-01", "2023-04-01"),
        ("on May 3rd, 2021", "2021-05-03", "2021-05-03"),
        ("the 3rd of June 2021", "2021-06-03", "2021-06-03"),
        ("12/25/2022", "2022-12-25", "2022-12-25"),
        ("25/12/2022", "2022-12-25", "2022-12-25"),
        ("the past two years", "2021-05-17", "2023-05-17"),
        ("上周五我去了", "2023-05-12", "2023-05-12"),
        ("去年", "2022-01-01", "2022-12-31"),
        ("去年夏天", "2022-06-01", "2022-08-31"),
        ("2021年3月5日", "2021-03-05", "2021-03-05"),
        ("二〇二二年三月", "2022-03-01", "2022-03-31"),
        ("三天前", "2023-05-14", "2023-05-14"),
        ("十二天后", "2023-05-29", "2023-05-29"),
        ("上个月", "2023-04-01", "2023-04-30"),
        ("下周", "2023-05-22", "2023-05-28"),
        ("昨天晚上", "2023-05-16", "2023-05-16"),
    ],
)
def test_a_time_expression_is_resolved_on_the_day_it_was_said(text: str, first: str, last: str) -> None:
    assert windows(text) == [(first, last)]


@pytest.mark.parametrize("text", ["in June", "3 June", "3月5日", "十二月", "on Feb 29"])
def test_a_date_without_a_year_is_the_latest_one_and_says_so(text: str) -> None:
    (found,) = find_times(text, SAID)
    assert found.yearless
    assert found.first <= SAID.toordinal()


@pytest.mark.parametrize(
    "text", ["31 February 2020", "99 years ago is 999 decades ago", "0000-00-00", "I may fall", "1 2 3"]
)
def test_what_names_no_possible_day_is_passed_over(text: str) -> None:
    assert all(found.first >= 1 for found in find_times(text, SAID))
    assert windows("31 February 2020") == []


@given(st.text(max_size=200), st.datetimes())
def test_no_text_and_no_moment_make_it_fail(text: str, moment: datetime) -> None:
    for found in find_times(text, moment):
        assert 1 <= found.first <= found.last
        assert 0 <= found.start < found.end <= len(text)


@given(
    st.lists(
        st.sampled_from(
            [
                *"last next two weeks ago in on May 2023 Friday 1 2 / - 31 summer of yesterday".split(),
                *"this past coming day s a few couple decades".split(),
                *SHORT_NAMES,
                *DAY_NAMES,
                *"\u017f \u0131 \u0130 \u212a augu\u017ft".split(),
                *"年月日上周三十前",
                "去年",
            ]
        ),
        max_size=40,
    ),
    st.datetimes(),
)
def test_shuffled_pieces_of_time_expressions_never_fail(words: list[str], moment: datetime) -> None:
    for text in (" ".join(words), "".join(words)):
        assert len(find_times(text, moment)) <= 16


@pytest.mark.parametrize("prefix", [*PAST, *FUTURE])
@pytest.mark.parametrize("name", [*SHORT_NAMES, *DAY_NAMES, "thurday", "tueday", "satday", "wedday"])
@pytest.mark.parametrize("end", ["", "s"])
def test_a_day_of_the_week_is_known_however_it_is_shortened_or_mistyped(prefix: str, name: str, end: str) -> None:
    (found,) = find_times(f"we met {prefix} {name}{end}", SAID)
    assert date.fromordinal(found.first).strftime("%A").lower().startswith(name[:2])
    assert (found.first < SAID.toordinal()) == (prefix in PAST)


@pytest.mark.parametrize(
    "text",
    [
        "la\u017ft \u017funday",
        "last fr\u0131day",
        "3 augu\u017ft 2021",
        "two wee\u212as ago",
        "\u0131n apr\u0130l 2020",
    ],
)
def test_letters_that_are_the_same_but_for_case_are_read_as_the_plain_ones(text: str) -> None:
    assert len(find_times(text, SAID)) == 1


@given(st.sampled_from(DAY_NAMES + SHORT_NAMES), MOMENTS, st.data())
def test_last_and_next_day_of_the_week_are_the_nearest_on_either_side(
    name: str, moment: datetime, data: st.DataObject
) -> None:
    step, prefixes = data.draw(st.sampled_from([(-1, PAST), (1, FUTURE)]))
    expected = moment.date() + timedelta(days=step)
    while not expected.strftime("%A").lower().startswith(name[:2]):
        expected += timedelta(days=step)
    (found,) = find_times(f"{data.draw(st.sampled_from(prefixes))} {name}", moment)
    assert found.first == found.last == expected.toordinal()


@given(st.integers(1, 999), MOMENTS)
def test_so_many_days_ago_or_ahead_are_counted_by_the_calendar(count: int, moment: datetime) -> None:
    for text, days in ((f"{count} days ago", -count), (f"in {count} days", count), (f"{count} days from now", count)):
        (found,) = find_times(text, moment)
        assert found.first == found.last == moment.toordinal() + days


@given(st.integers(1, 999), MOMENTS)
def test_so_many_weeks_ago_are_within_three_days_of_the_very_day(count: int, moment: datetime) -> None:
    (found,) = find_times(f"{count} weeks ago", moment)
    assert (found.first, found.last) == tuple(moment.toordinal() - 7 * count + off for off in (-3, 3))


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)), MOMENTS)
def test_a_whole_date_means_that_day_however_it_is_written(day: date, moment: datetime) -> None:
    month = MONTH_NAMES[day.month - 1]
    written = [
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{day.month}/{day.day}/{day.year}",
        f"{day.day} {month} {day.year}",
        f"the {day.day}th of {month[:3]} {day.year}",
        f"{month.title()} {day.day}, {day.year}",
        f"{day.year}年{day.month}月{day.day}日",
    ]
    for text in written:
        found = [(one.first, one.last, one.yearless) for one in find_times(text, moment)]
        assert found == [(day.toordinal(), day.toordinal(), False)], text


@pytest.mark.parametrize(
    "text",
    ["When did she leave?", "In what year was it?", "How long have you lived there?", "你什么时候去的？", "他哪天来？"],
)
def test_a_question_for_a_time_is_known(text: str) -> None:
    assert has_time_question(text)


@pytest.mark.parametrize("text", ["Who left?", "Whenever you like", "What is her name?", "谁来了？"])
def test_other_questions_do_not_ask_for_a_time(text: str) -> None:
    assert not has_time_question(text)


@pytest.mark.parametrize(
    "piece", ["1 ", "in ", "last ", "年", "一", "May ", "a few ", "1/", "2023-", "十", "上上", "two weeks "]
)
def test_a_long_repetition_is_read_in_linear_time(piece: str) -> None:
    assert len(find_times(piece * 50_000, SAID)) <= 16
