"""One module per kernel or switch mechanism: observe, diff, apply."""
