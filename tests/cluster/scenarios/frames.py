"""Frames on a wire: capturing them, making them by hand, reading them. Bytes by the RFCs, no library.

RFC 791 (IPv4), RFC 768 (UDP), RFC 826 (ARP), RFC 7348 (VXLAN), RFC 8926 (Geneve).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import nullcontext
from ipaddress import IPv4Address
from time import monotonic
from typing import Any

from testbed.emulation.namespaces import entered

ETH_ALL = 0x0003
ETH_IPV4 = 0x0800
ETH_ARP = 0x0806
BROADCAST = "ff:ff:ff:ff:ff:ff"
VXLAN_PORTS = {4789, 8472}
"""RFC 7348, and Linux' default from before it, which Flannel has kept."""
GENEVE_PORT = 6081
_ETHERNET_IN_GENEVE = 0x6558
_BUFFER_BYTES = 8 << 20


class Sniffer:
    """Captures every frame of an interface from its making on. `namespace` "" is the sandbox's own."""

    def __init__(self, namespace: str, interface: str) -> None:
        with entered(namespace) if namespace else nullcontext():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._socket.bind((interface, ETH_ALL))

    def __enter__(self) -> Sniffer:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        """Put a frame on the interface as it is."""
        self._socket.send(frame)

    def until(self, timeout_s: float) -> Iterator[bytes]:
        """Yield frames as they come, for this long at most."""
        deadline = monotonic() + timeout_s
        while (left_s := deadline - monotonic()) > 0:
            self._socket.settimeout(left_s)
            try:
                yield self._socket.recv(65_536)
            except TimeoutError:
                return

    def taken(self) -> list[bytes]:
        """Return the frames that have come and were not yet read."""
        self._socket.setblocking(False)
        frames = []
        while True:
            try:
                frames.append(self._socket.recv(65_536))
            except BlockingIOError:
                return frames


def parse_frame(frame: bytes) -> dict[str, Any]:
    """Return what a frame says: type, addresses, ports, length; and, of a tunnel, key and inner frame."""
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    said: dict[str, Any] = {
        "type": ethertype,
        "eth_src": mac_text(frame[6:12]),
        "eth_dst": mac_text(frame[:6]),
    }
    if ethertype != ETH_IPV4:
        return said
    packet = frame[14:]
    header_bytes = (packet[0] & 0xF) * 4
    said |= {
        "src": str(IPv4Address(packet[12:16])),
        "dst": str(IPv4Address(packet[16:20])),
        "protocol": packet[9],
        "length": struct.unpack_from("!H", packet, 2)[0],
    }
    is_first = not struct.unpack_from("!H", packet, 6)[0] & 0x1FFF
    if packet[9] == socket.IPPROTO_UDP and is_first:
        said["src_port"], said["dst_port"] = struct.unpack_from("!HH", packet, header_bytes)
        said |= _tunnel(said["dst_port"], packet[header_bytes + 8 :])
    return said


def _tunnel(port: int, payload: bytes) -> dict[str, Any]:
    if port in VXLAN_PORTS:
        is_key_valid = bool(payload[0] & 0x08)
        key = int.from_bytes(payload[4:7]) if is_key_valid else None
        return {"tunnel": "vxlan", "key": key, "inner": parse_frame(payload[8:])}
    if port == GENEVE_PORT:
        options_bytes = (payload[0] & 0x3F) * 4
        (inner_type,) = struct.unpack_from("!H", payload, 2)
        inner = parse_frame(payload[8 + options_bytes :]) if inner_type == _ETHERNET_IN_GENEVE else {}
        return {"tunnel": "geneve", "key": int.from_bytes(payload[4:7]), "inner": inner}
    return {}


def udp_frame(
    macs: tuple[str, str], addresses: tuple[str, str], ports: tuple[int, int], data: bytes
) -> bytes:
    """Return a UDP datagram in IPv4 in Ethernet; each pair is (source, destination)."""
    datagram = struct.pack("!HHHH", *ports, 8 + len(data), 0) + data  # checksum 0: none (RFC 768)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, socket.IPPROTO_UDP, 0)
    head += IPv4Address(addresses[0]).packed + IPv4Address(addresses[1]).packed
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    return ethernet(macs, ETH_IPV4) + head + datagram


def arp_request(mac: str, sender: str, target: str) -> bytes:
    """Return a broadcast question who has an address, from a MAC and an address."""
    body = struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, 1) + mac_bytes(mac) + IPv4Address(sender).packed
    return ethernet((mac, BROADCAST), ETH_ARP) + body + bytes(6) + IPv4Address(target).packed


def arp_reply(frame: bytes) -> tuple[str, str] | None:
    """Return the (address, MAC) that a frame tells as an ARP reply, or None if it is no such thing."""
    if frame[12:14] != struct.pack("!H", ETH_ARP) or frame[20:22] != b"\0\2":
        return None
    return str(IPv4Address(frame[28:32])), mac_text(frame[22:28])


def ethernet(macs: tuple[str, str], ethertype: int) -> bytes:
    """Return an Ethernet header from one MAC to another."""
    return mac_bytes(macs[1]) + mac_bytes(macs[0]) + struct.pack("!H", ethertype)


def mac_bytes(mac: str) -> bytes:
    """Return the six octets of a MAC."""
    return bytes.fromhex(mac.replace(":", ""))


def mac_text(octets: bytes) -> str:
    """Return the text of six octets."""
    return octets.hex(":")


def _checksum(head: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
