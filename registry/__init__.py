"""pybuild's view of registries: names today, the distribution protocol later. Knows ``layers``, not ``builder``."""
