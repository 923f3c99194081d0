"""Differential runs: hundreds of Dockerfiles, written by hand and generated, through pybuild and Docker's BuildKit."""
