"""What this package logs in another process, to be said again where somebody listens."""

import logging
from dataclasses import dataclass

OURS = "drehr_rag"


@dataclass(frozen=True, slots=True)
class Said:
    """A log message on its way."""

    logger: str
    level: int
    message: str

    def again(self) -> None:
        """Say it here."""
        logging.getLogger(self.logger).log(self.level, "%s", self.message)


class Hearing(logging.Handler):
    """Keeps the package's messages from warnings up while it is open, instead of printing them."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        super().__init__(logging.WARNING)
        self._said: list[Said] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self._said.append(Said(record.name, record.levelno, record.getMessage()))

    def take(self) -> list[Said]:
        """What was said since the last call."""
        said, self._said = self._said, []
        return said

    def __enter__(self) -> "Hearing":
        logging.getLogger(OURS).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(OURS).removeHandler(self)
