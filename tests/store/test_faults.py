"""What goes wrong at the database is told once, and as what it is."""

import asyncpg
import pytest

from journey_async.errors import DatabaseUnavailable
from journey_async.store.faults import AnswerLate, connecting, translated


@pytest.mark.parametrize(
    ("raised", "told", "text"),
    [
        (OSError("gone"), DatabaseUnavailable, "PostgreSQL cannot be reached: gone"),
        (asyncpg.InterfaceError("closed"), DatabaseUnavailable, "PostgreSQL cannot be reached: c"),
        (TimeoutError(), AnswerLate, "PostgreSQL did not answer in time"),
    ],
)
def test_what_is_translated_within_something_translated_stays_as_it_is(
    raised: Exception, told: type[Exception], text: str
) -> None:
    with pytest.raises(DatabaseUnavailable) as caught, translated(), connecting():
        raise raised
    assert type(caught.value) is told
    assert str(caught.value).startswith(text)
