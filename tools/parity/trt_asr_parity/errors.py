"""What the ladder raises: always the field, what was expected, what was received, and what to do."""


class ParityError(Exception):
    """A ladder that cannot be climbed: an input, a file or a side that does not fit. A difference is no error but a result."""

    def __init__(self, field: str, expected: str, received: str, remedy: str):
        super().__init__(f"{field}: expected {expected}, received {received}. {remedy}")
        self.field, self.expected, self.received, self.remedy = field, expected, received, remedy
