"""Kubernetes objects and the testbed's own kinds: read, defaulted, validated, with the place of every value."""
