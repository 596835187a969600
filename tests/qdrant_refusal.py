"""How the loopback says no."""


class Refused(Exception):
    """The server says no.

    Args:
        status: HTTP status.
        message: What stands in the answer.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Unsupported(Exception):
    """The loopback can not do what Qdrant can."""
