"""The benchmark: ``python -m tests.bench`` times pybuild beside the other builders of this machine.

It prints and records; it fails nobody for being slow. Ratios mean something on a quiet machine only.

texts      text that compresses as real text does (pure)
trees      a tree like node_modules
contexts   what is built: seeded contexts of files
scenarios  which context, whether the store is warm, what changes between runs
command    one timed command, and what it used
builders   what a builder is; pybuild, as root and as an ordinary user
buildkit   BuildKit, with a buildkitd of our own
peers      buildah and Docker's BuildKit
field      which of them are here, and all of them started
registry   where bases come from and results go
phases     where one build of pybuild spent its time, out of its own events (pure)
figures    medians, ratios, the table, the JSON document (pure)
targets    what is to be reached, and whether it is (pure)
measure    the runs themselves, in turn
"""
