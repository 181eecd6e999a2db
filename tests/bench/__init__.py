"""The benchmark of the testbed itself: how fast it builds, changes and probes, and what memory that takes.

`python -m tests.bench` runs it; docs/benchmarks.md says how to read it. Nothing here asserts: a goal that is
not reached is written down as missed.
"""
