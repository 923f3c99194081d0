"""pybuild: runs the steps of a plan."""
