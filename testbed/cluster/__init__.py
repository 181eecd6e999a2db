"""What a control plane decides: addresses, scheduling, endpoints. Pure."""
