"""NodeIntent to flows and groups, one file per group of tables. Pure: no Ryu."""
