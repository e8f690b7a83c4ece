"""The clock of a Journey, which the database sets."""

from datetime import timedelta

from journey_async.engine.clock import SystemClock

HOUR = timedelta(hours=1)


def test_it_takes_over_the_time_of_the_database() -> None:
    clock = SystemClock()
    for shift in (HOUR, -HOUR):
        expected = clock.now() + shift
        clock.discipline(expected, elapsed=0.0)
        assert timedelta(0) <= clock.now() - expected < timedelta(minutes=1)


def test_set_back_by_a_little_it_stands_still() -> None:
    clock = SystemClock()
    before = clock.now()
    clock.discipline(before - timedelta(milliseconds=500), elapsed=0.0)
    assert clock.now() == before
    clock.discipline(before + timedelta(milliseconds=500), elapsed=0.0)
    assert clock.now() > before


def test_of_an_answer_that_took_long_it_takes_what_is_certain() -> None:
    """The database's time lies anywhere between question and answer."""
    clock = SystemClock()
    now = clock.now()
    clock.discipline(now - timedelta(minutes=1), elapsed=240.0)  # it may be right as it is
    assert clock.now() - now < timedelta(minutes=0.5)
    clock.discipline(now + HOUR, elapsed=240.0)
    assert clock.now() - now >= HOUR
