"""From NodeIntent to the kernel and Open vSwitch state that achieves it. Pure."""
