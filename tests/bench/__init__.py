"""The benchmark: ``python -m tests.bench`` times pybuild beside the other builders of this machine.

It prints and records; it judges nothing. Ratios mean something on a quiet machine only.

contexts   what is built: seeded contexts of files (pure but for writing them)
scenarios  which context, whether the store is warm, what changes between runs
builders   pybuild, buildah and Docker's BuildKit behind one interface
phases     where one build of pybuild spent its time, out of its own events (pure)
figures    medians, ratios, the table, the JSON document (pure)
measure    the runs themselves, in turn
"""
