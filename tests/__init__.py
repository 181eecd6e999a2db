"""Tests and benchmarks. A package, because a dependency installs one of the same name."""
