"""The composition root: a run out of all layers.

The parent plans and records; a child in a sandbox builds and measures.
"""
