"""pybuild's content: digests, entries, archives, images and the store. Knows nothing of Dockerfiles or HTTP."""
