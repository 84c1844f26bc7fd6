"""The one exception that people are meant to read."""


class CloudyPointsError(Exception):
    """Something the user can mend.

    The message is one sentence or two: what was received, what was expected, what to do.
    """
