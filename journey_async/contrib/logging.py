"""Log records that programs can read: what they are about, as fields and as JSON. No extra."""

import json
import logging
import traceback
from datetime import UTC, datetime

from journey_async.engine.logs import ABOUT

__all__ = ["ContextFilter", "JSONFormatter"]

PREFIX = "journey_"


class ContextFilter(logging.Filter):
    """For a handler: adds to each record which attempt it is about.

    So a function's own records, and those of the libraries it calls, carry the fields as well:
    `journey_execution_id`, `journey_graph_name`, `journey_graph_version`, `journey_node_name`,
    `journey_computation_id`, `journey_attempt`, `journey_worker`. It lets every record pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what is not there yet."""
        for name, value in ABOUT.get().items():
            record.__dict__.setdefault(name, value)
        return True


class JSONFormatter(logging.Formatter):
    """One line of JSON for each record: time, level, logger, message, the fields, an error.

    Of an exception it tells the type, and where it was raised; its text, which may hold values,
    only with `record_values`.
    """

    def __init__(self, *, record_values: bool = False) -> None:
        super().__init__()
        self._record_values = record_values

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {name: value for name, value in vars(record).items() if name.startswith(PREFIX)}
        if record.exc_info and record.exc_info[0] is not None:
            told["error_type"] = record.exc_info[0].__qualname__
            told["error_stack"] = "".join(traceback.format_tb(record.exc_info[2]))
            if self._record_values:
                told["error"] = str(record.exc_info[1])
        return json.dumps(told, ensure_ascii=False, default=str)
