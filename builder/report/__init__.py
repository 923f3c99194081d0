"""pybuild: draws the event stream."""
