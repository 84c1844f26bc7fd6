"""The one exception that people are meant to read, and the sentence for a package that is missing."""


class CloudyPointsError(Exception):
    """Something the user can mend.

    The message is one sentence or two: what was received, what was expected, what to do.
    """


def missing_package(error: ImportError) -> str:
    """What to do about an import that failed."""
    return (
        f"the Python package '{error.name}' cannot be imported ({error}); install it with "
        "pip install '.[standalone,demo,jazzy]' (or kilted) in the checkout, or in a ROS 2 workspace with apt, and "
        "source the workspace."
    )
