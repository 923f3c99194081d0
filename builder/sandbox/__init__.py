"""pybuild: runs one command in namespaces of its own."""
