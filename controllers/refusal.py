"""The answer to a connection that a Service cannot take: TCP RST, or ICMP port unreachable. Pure bytes.

RFC 9293 section 3.5.2 (a reset answers a SYN with sequence 0 and acknowledges it; any other segment at its
own acknowledgement number); RFC 792 and RFC 1122 section 3.2.2.1 (destination unreachable, code 3, quoting
the IP header and eight octets). RFC 1122 section 3.2.2 forbids answering an ICMP error with one.
"""

from __future__ import annotations

import controllers.ryu_compat  # noqa: F401 - must come before Ryu

from ryu.lib.packet import ethernet, icmp, ipv4, packet, stream_parser, tcp

from testbed.inet import MacAddress

_ICMP_ERRORS = {3, 4, 5, 11, 12}
_TTL = 64


def refusal(frame: bytes, router_mac: MacAddress) -> bytes | None:
    """Return the frame that refuses a frame, or None where none may be sent.

    Args:
        frame: an Ethernet frame, possibly cut short behind its transport header.
        router_mac: the MAC the answer comes from.
    """
    try:
        received = packet.Packet(frame)
    except (stream_parser.StreamParser.TooSmallException, ValueError, AssertionError):
        return None  # not worth an answer: no whole header
    link, network = received.get_protocol(ethernet.ethernet), received.get_protocol(ipv4.ipv4)
    if link is None or network is None or network.offset:
        return None
    segment = received.get_protocol(tcp.tcp)
    error = received.get_protocol(icmp.icmp)
    if error is not None and error.type in _ICMP_ERRORS:
        return None
    answer = packet.Packet()
    answer.add_protocol(ethernet.ethernet(dst=link.src, src=router_mac, ethertype=link.ethertype))
    if segment is not None:
        if segment.has_flags(tcp.TCP_RST):
            return None
        answer.add_protocol(ipv4.ipv4(src=network.dst, dst=network.src, proto=6, ttl=_TTL))
        answer.add_protocol(_reset(segment, _payload_bytes(network, segment)))
    else:
        quoted = frame[14 : 14 + network.header_length * 4 + 8]
        answer.add_protocol(ipv4.ipv4(src=network.dst, dst=network.src, proto=1, ttl=_TTL))
        answer.add_protocol(icmp.icmp(icmp.ICMP_DEST_UNREACH, 3, 0, icmp.dest_unreach(data=quoted)))
    answer.serialize()
    return bytes(answer.data)


def _payload_bytes(network: ipv4.ipv4, segment: tcp.tcp) -> int:
    return max(0, int(network.total_length) - int(network.header_length) * 4 - int(segment.offset) * 4)


def _reset(segment: tcp.tcp, payload_bytes: int) -> tcp.tcp:
    ports = {"src_port": segment.dst_port, "dst_port": segment.src_port}
    if segment.has_flags(tcp.TCP_ACK):
        return tcp.tcp(**ports, seq=segment.ack, bits=tcp.TCP_RST)
    syn_and_fin = segment.has_flags(tcp.TCP_SYN) + segment.has_flags(tcp.TCP_FIN)
    acknowledged = (segment.seq + payload_bytes + syn_and_fin) & 0xFFFFFFFF
    return tcp.tcp(**ports, seq=0, ack=acknowledged, bits=tcp.TCP_RST | tcp.TCP_ACK)
