"""Sandbox, underlay, nodes and Pods out of real kernel parts. The only importer of Mininet."""
