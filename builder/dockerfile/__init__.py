"""pybuild: Dockerfile text to typed instructions."""
