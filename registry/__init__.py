"""pybuild's view of registries: names, credentials and the distribution protocol. Knows ``layers``, not ``builder``."""
