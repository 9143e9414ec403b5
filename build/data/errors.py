"""The root of what these programs refuse."""


class DataError(ValueError):
    """Something given to a program is not what it should be; the text says what, where and what to do."""
