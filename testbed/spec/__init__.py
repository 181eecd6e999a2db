"""Kubernetes objects and the testbed's own kinds: read, defaulted, validated, placed in their file."""
