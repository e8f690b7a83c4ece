from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_async import Graph, input_node, tick_recurring
from journey_async.core import schedules
from journey_async.core.description import Description
from journey_async.core.schedules import Cron, Every, cron, every
from journey_async.errors import InvalidNodeError
from tests.core.story import Story

BERLIN = ZoneInfo("Europe/Berlin")


def firings(schedule: Cron, start: datetime, number: int) -> list[datetime]:
    """The next firings, each asked for at the time of the one before."""
    found = []
    for _ in range(number):
        following = schedule.next_after(start)
        assert following is not None
        start = following.astimezone(UTC)
        found.append(start)
    return found


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def test_cron_is_read_in_its_zone() -> None:
    workdays = cron("0 9 * * MON-FRI", tz="Europe/Berlin")
    assert firings(workdays, utc(2024, 3, 1, 12), 2) == [utc(2024, 3, 4, 8), utc(2024, 3, 5, 8)]
    assert firings(cron("0 9 * * 1-5"), utc(2024, 3, 1, 12), 1) == [utc(2024, 3, 4, 9)]


def test_cron_gives_a_time_after_now_even_at_the_very_moment() -> None:
    assert firings(cron("0 9 * * *"), utc(2024, 3, 1, 9), 1) == [utc(2024, 3, 2, 9)]


def test_the_hour_stays_when_the_clock_is_put_forward() -> None:
    daily = cron("0 9 * * *", tz="Europe/Berlin")
    assert firings(daily, utc(2024, 3, 30, 0), 2) == [utc(2024, 3, 30, 8), utc(2024, 3, 31, 7)]


def test_the_hour_stays_when_the_clock_is_put_back() -> None:
    daily = cron("0 9 * * *", tz="Europe/Berlin")
    assert firings(daily, utc(2024, 10, 26, 0), 2) == [utc(2024, 10, 26, 7), utc(2024, 10, 27, 8)]


def test_an_hour_that_does_not_exist_still_fires_once_that_day() -> None:
    nightly = cron("30 2 * * *", tz="Europe/Berlin")
    found = firings(nightly, utc(2024, 3, 30, 0), 3)
    assert [time.astimezone(BERLIN).date().day for time in found] == [30, 31, 1]
    assert found[1] == utc(2024, 3, 31, 1)


def test_an_hour_that_comes_twice_fires_once_that_day() -> None:
    nightly = cron("30 2 * * *", tz="Europe/Berlin")
    found = firings(nightly, utc(2024, 10, 26, 12), 2)
    assert found == [utc(2024, 10, 27, 0, 30), utc(2024, 10, 28, 1, 30)]


@pytest.mark.parametrize("day", [utc(2024, 3, 30, 22), utc(2024, 10, 26, 22)])
def test_every_ten_minutes_is_ten_minutes_through_a_change_of_clocks(day: datetime) -> None:
    found = firings(cron("*/10 * * * *", tz="Europe/Berlin"), day, 60)
    assert [later - earlier for earlier, later in pairwise(found)] == [timedelta(minutes=10)] * 59


@given(
    st.integers(0, 2 * 366 * 86400).map(lambda s: utc(2024, 1, 1) + timedelta(seconds=s)),
    st.sampled_from(["30 2 * * *", "*/7 * * * *", "0 * * * *", "15 1-3 * * *", "0 0 1 * *"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"]),
)
def test_the_next_time_lies_ahead(now: datetime, expression: str, zone: str) -> None:
    following = cron(expression, tz=zone).next_after(now)
    assert following is not None
    assert following.astimezone(UTC) > now


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "0 0 30 2 *", "a b c d e", "@daily", "*/0 * * * *"],
)
def test_a_bad_expression_is_refused(expression: str) -> None:
    with pytest.raises(InvalidNodeError, match="is no cron expression"):
        cron(expression)


def test_five_fields_are_five() -> None:
    with pytest.raises(InvalidNodeError):
        cron("* * * * * *")


@pytest.mark.parametrize(
    "zone", ["", "Europe", "Europe/Nowhere", "../etc/passwd", "CET+1", "\0", "/UTC"]
)
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidNodeError, match="no IANA time zone"):
        cron("0 9 * * *", tz=zone)


@pytest.mark.parametrize("given_", [(5, "UTC"), ("0 9 * * *", None), (None, "UTC")])
def test_what_is_no_text_is_refused(given_: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidNodeError):
        cron(given_[0], tz=given_[1])


def test_every_does_not_drift() -> None:
    schedule = every(timedelta(seconds=10))
    start = utc(2024, 1, 1)
    previous = schedule.next_after(start, None)
    assert previous == start + timedelta(seconds=10)
    for late in (0.3, 1.7, 9.9):
        now = previous + timedelta(seconds=late)
        following = schedule.next_after(now, previous)
        assert following == previous + timedelta(seconds=10)
        previous = following


def test_every_skips_what_was_missed() -> None:
    previous = utc(2024, 1, 1)
    now = previous + timedelta(seconds=95)
    assert every(timedelta(seconds=10)).next_after(now, previous) == previous + timedelta(
        seconds=100
    )


def test_a_new_input_does_not_disturb_the_beat_of_every() -> None:
    now = utc(2024, 1, 1)
    ahead = now + timedelta(minutes=5)
    assert every(timedelta(hours=1)).next_after(now, ahead) == ahead


@given(
    st.timedeltas(timedelta(microseconds=1), timedelta(days=400)),
    st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_every_lies_ahead_and_on_its_grid(interval: timedelta, passed: timedelta) -> None:
    previous = utc(2024, 1, 1)
    now = previous + passed
    following = every(interval).next_after(now, previous)
    assert now < following <= now + interval
    assert (following - previous) % interval == timedelta(0)


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(seconds=-1), 60, "1h", None])
def test_a_bad_interval_is_refused(interval: Any) -> None:
    with pytest.raises(InvalidNodeError):
        every(interval)


def test_an_interval_beyond_all_times_is_refused() -> None:
    with pytest.raises(InvalidNodeError):
        every(timedelta.max)


@pytest.mark.parametrize(
    "schedule", [cron("0 9 * * *", tz="Europe/Berlin"), every(timedelta(minutes=5))]
)
def test_a_description_is_equal(schedule: Cron | Every) -> None:
    assert type(schedule).model_validate(schedule.model_dump(mode="json")) == schedule


def test_a_stored_definition_is_read_where_nothing_is_there_to_check_its_schedule_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client without the extra, on a machine without the data of time zones."""
    schedule = cron("0 9 * * MON-FRI", tz="Europe/Berlin")
    graph = Graph("g", "v1", [input_node("x"), tick_recurring("daily", ["x"], schedule)])
    stored = graph.model_dump_json()

    def nothing_there(*_: object) -> None:
        raise InvalidNodeError("there is nothing to read it with")

    monkeypatch.setattr(schedules, "_cronsim", nothing_there)
    monkeypatch.setattr(schedules, "ZoneInfo", nothing_there)
    assert Description(stored).graph.hash == graph.hash
    with pytest.raises(InvalidNodeError, match="nothing to read it with"):
        cron("0 9 * * MON-FRI")


def test_who_has_nothing_to_read_a_schedule_with_leaves_it_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schedule = cron("0 9 * * MON-FRI")
    graph = Graph("g", "v1", [input_node("x"), tick_recurring("daily", ["x"], schedule)])
    told = Story(graph)
    told.start()
    with monkeypatch.context() as without:
        without.setattr(Cron, "is_readable", False)
        told.graph = Description(graph.model_dump_json()).graph
        told.set(x=1)
    assert not told.is_set("daily")
    assert told.wakes_in == 0
    told.graph = graph
    told.wake()
    assert told.is_set("daily")
