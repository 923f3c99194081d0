"""Fuzzing what reads text that anybody may have written: ``tox -e fuzz -- TARGET SECONDS``."""
