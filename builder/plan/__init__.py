"""pybuild: instructions to a graph of steps with cache keys."""
