"""Training of the depth models that cloudypoints_ros runs."""
