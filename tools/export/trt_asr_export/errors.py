"""The one kind of error that a user sees: what was expected for which field, what came, and what to do."""


class ExportError(Exception):
    """A checkpoint, an option or a target folder is not what the exporter can work with."""

    def __init__(self, field: str, expected: str, received: str, remedy: str):
        self.field, self.expected, self.received, self.remedy = field, expected, received, remedy
        super().__init__(f"expected {expected} for {field}, received {received}. {remedy}")


UNSUPPORTED = "This checkpoint is of a kind the exporter does not know; see README.md for the kinds it does"


def _same(expected, received) -> bool:
    """Equality for which true is not 1."""
    return received == expected and isinstance(received, bool) == isinstance(expected, bool)


def require(field: str, expected, received) -> None:
    """Refuses a configuration value that is not the only one the exporter knows."""
    if not _same(expected, received):
        raise ExportError(field, repr(expected), repr(received), UNSUPPORTED)


def require_in(field: str, expected, received) -> None:
    """Refuses a configuration value that is not one of those the exporter knows."""
    if not any(_same(one, received) for one in expected):
        raise ExportError(field, "one of " + ", ".join(map(repr, expected)), repr(received), UNSUPPORTED)
