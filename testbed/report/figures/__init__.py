"""The figures, one module a family. Each takes a RunView and returns Drawn figures; none touches a file."""
