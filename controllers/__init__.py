"""The Ryu side: the pure OpenFlow pipeline and the controller that installs it."""
