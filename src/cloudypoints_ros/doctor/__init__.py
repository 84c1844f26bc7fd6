"""``cloudypoints doctor``: what is wrong on this machine and what to do about it.

Nothing here but the standard library is imported into the doctor's own process: libraries, ROS, the model and the
cameras are looked at by children, so that one that is missing, crashes or hangs is a finding.
"""

from cloudypoints_ros.doctor.session import add_arguments, main

__all__ = ["add_arguments", "main"]
