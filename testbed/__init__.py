"""A laboratory for Kubernetes networking: from one experiment YAML to a measured cluster and its figures."""
