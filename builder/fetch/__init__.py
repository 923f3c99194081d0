"""Inputs of a build that come from elsewhere: archives, HTTP, git. Part of pybuild."""
