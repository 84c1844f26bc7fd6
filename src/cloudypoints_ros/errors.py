"""The exception that people are meant to read, its one kind that a caller acts on, and what to do about a package."""


class CloudyPointsError(Exception):
    """Something the user can mend.

    The message is one sentence or two: what was received, what was expected, what to do.
    """


class EngineLost(CloudyPointsError):
    """An engine that worked does not any more: out of GPU memory, a lost device, work that cannot be queued.

    What it has put out since is worth nothing; another engine has to go on.
    """


def missing_package(error: ImportError) -> str:
    """What to do about an import that failed."""
    return (
        f"the Python package '{error.name}' cannot be imported ({error}); install it with "
        "pip install '.[standalone,demo,jazzy]' (or kilted) in the checkout, or in a ROS 2 workspace with apt, and "
        "source the workspace."
    )
