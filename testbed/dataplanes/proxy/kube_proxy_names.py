"""How kube-proxy names a Service's port, in every mode; and, in its iptables mode, the chains of one.

A chain's name there has at most 28 characters, so the names of Services are hashed: SHA-256, base32, the
first 16 characters (kubernetes/kubernetes, pkg/proxy/iptables/proxier.go, portProtoHash).
"""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256

from testbed.inet import Protocol
from testbed.intent import Backend, ServiceForward, ServicePortForward

_HASH_CHARACTERS = 16


def service_port_name(service: ServiceForward, port: ServicePortForward) -> str:
    """Return a Service port's name in comments and hashes: "namespace/name:port", "namespace/name"."""
    name = f"{service.namespace}/{service.name}"
    return f"{name}:{port.name}" if port.name else name


def endpoint_name(backend: Backend) -> str:
    """Return an endpoint's name in comments and hashes, "10.244.1.5:8080". IPv4 alone."""
    return f"{backend.address}:{backend.port}"


def service_chain(port_name: str, protocol: Protocol) -> str:
    """Return the chain that spreads a Service port's connections over its endpoints.

    Args:
        port_name: as `service_port_name` returns it.
        protocol: the port's protocol.
    """
    return f"KUBE-SVC-{_hash(port_name, protocol)}"


def endpoint_chain(port_name: str, protocol: Protocol, endpoint: str) -> str:
    """Return the chain that sends a Service port's connections to one endpoint.

    Args:
        port_name: as `service_port_name` returns it.
        protocol: the port's protocol.
        endpoint: as `endpoint_name` returns it.
    """
    return f"KUBE-SEP-{_hash(port_name, protocol, endpoint)}"


def _hash(port_name: str, protocol: Protocol, endpoint: str = "") -> str:
    digest = sha256(f"{port_name}{protocol.lower()}{endpoint}".encode()).digest()
    return b32encode(digest).decode()[:_HASH_CHARACTERS]
