"""The bytes at the edge: refusals as frames, and entries that come back from their OpenFlow messages."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest
import ryu_without_green_threads  # noqa: F401 - must come before Ryu
from hypothesis import given, settings
from hypothesis import strategies as st
from ryu.ofproto import ofproto_v1_5 as ofproto
from ryu.ofproto import ofproto_v1_5_parser as parser
from small_clusters import cluster_of, flows_of, groups_of, pod, service

from controllers.decode import UnknownEntryError, decode_action, decode_flow, decode_group
from controllers.encode import SWITCH, encode_flow, encode_group, encode_group_removal
from controllers.pipeline.service import service_entries
from controllers.pipeline.tables import VIRTUAL_ROUTER_MAC
from controllers.refusal import refusal
from testbed.dataplanes.openflow import Flow, Group, Output, SetField, match
from testbed.inet import MacAddress, Protocol
from testbed.intent import Backend, ServiceForward, ServicePortForward

# --- refusals ----------------------------------------------------------------------------------------------

CLIENT, CLUSTER_IP = IPv4Address("10.244.0.2"), IPv4Address("10.96.0.10")
CLIENT_MAC = MacAddress("0a:58:0a:f4:00:02")
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
ICMP, TCP, UDP = 1, 6, 17


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(ip_proto: int, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    """Return a frame from the client to the ClusterIP; `fragment` is the field of flags and offset."""
    words = 5 + len(options) // 4
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x40 | words, 0, words * 4 + len(payload), 7, fragment, 63, ip_proto, 0,
        CLIENT.packed, CLUSTER_IP.packed,
    )  # fmt: skip
    head = head[:10] + struct.pack("!H", internet_checksum(head + options)) + head[12:]
    return mac(VIRTUAL_ROUTER_MAC) + mac(CLIENT_MAC) + b"\x08\x00" + head + options + payload


def segment(flags: int, *, seq: int = 1000, ack: int = 0, data: bytes = b"", options: bytes = b"") -> bytes:
    words = 5 + len(options) // 4
    return struct.pack("!HHIIBBHHH", 40000, 80, seq, ack, words << 4, flags, 512, 0, 0) + options + data


def datagram(data: bytes = b"hello") -> bytes:
    return struct.pack("!HHHH", 40000, 53, 8 + len(data), 0) + data


def internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass
class Answer:
    """A refusal, taken apart by hand."""

    ip_proto: int
    body: bytes


def answer_to(received: bytes) -> Answer:
    sent = refusal(received, VIRTUAL_ROUTER_MAC)
    assert sent is not None
    assert sent[:14] == mac(CLIENT_MAC) + mac(VIRTUAL_ROUTER_MAC) + b"\x08\x00"
    head = sent[14:34]
    assert head[0] == 0x45
    assert internet_checksum(head) == 0
    assert (head[12:16], head[16:20]) == (CLUSTER_IP.packed, CLIENT.packed)
    (length,) = struct.unpack_from("!H", head, 2)
    body = sent[34 : 14 + length]
    assert len(body) == length - 20
    if head[9] == TCP:
        pseudo = head[12:20] + struct.pack("!BBH", 0, TCP, len(body))
        assert internet_checksum(pseudo + body) == 0
    else:
        assert internet_checksum(body) == 0
    return Answer(head[9], body)


def reset_fields(answer: Answer) -> tuple[int, ...]:
    """Return source port, destination port, sequence, acknowledgement, flags."""
    assert answer.ip_proto == TCP
    source, destination, seq, ack, _offset, flags = struct.unpack_from("!HHIIBB", answer.body)
    return source, destination, seq, ack, flags


@pytest.mark.parametrize(
    "options", [b"", b"\x02\x04\x05\xb4", b"\x02\x04\x05\xb4\x01\x03\x03\x07\x04\x02\x00\x00"]
)
def test_a_syn_is_answered_by_a_reset_that_acknowledges_it(options: bytes) -> None:
    answer = answer_to(frame(TCP, segment(SYN, seq=1000, options=options)))
    assert reset_fields(answer) == (80, 40000, 0, 1001, RST | ACK)


def test_the_acknowledgement_wraps_around() -> None:
    assert reset_fields(answer_to(frame(TCP, segment(SYN, seq=0xFFFFFFFF))))[3] == 0


def test_data_without_acknowledgement_is_acknowledged_whole() -> None:
    answer = answer_to(frame(TCP, segment(FIN, seq=5, data=b"123456")))
    assert reset_fields(answer) == (80, 40000, 0, 12, RST | ACK)


def test_a_segment_with_acknowledgement_is_reset_at_it() -> None:
    answer = answer_to(frame(TCP, segment(ACK | PSH, seq=5, ack=777, data=b"data")))
    assert reset_fields(answer) == (80, 40000, 777, 0, RST)


def test_a_data_segment_cut_short_is_acknowledged_by_its_full_length() -> None:
    whole = frame(TCP, segment(SYN, seq=5, data=b"x" * 400))
    assert reset_fields(answer_to(whole[:128]))[3] == 5 + 400 + 1


@pytest.mark.parametrize("flags", [RST, RST | ACK])
def test_a_reset_is_never_answered(flags: int) -> None:
    assert refusal(frame(TCP, segment(flags, ack=1)), VIRTUAL_ROUTER_MAC) is None


@pytest.mark.parametrize("options", [b"", b"\x01\x01\x01\x00"])
def test_a_datagram_is_answered_by_port_unreachable_that_quotes_it(options: bytes) -> None:
    received = frame(UDP, datagram(b"a longer question"), options=options)
    answer = answer_to(received)
    assert answer.ip_proto == ICMP
    assert answer.body[:2] == bytes([3, 3])
    quoted = 20 + len(options) + 8
    assert answer.body[8:] == received[14 : 14 + quoted]


def test_a_ping_is_answered_by_port_unreachable() -> None:
    echo = struct.pack("!BBHHH", 8, 0, internet_checksum(struct.pack("!BBHHH", 8, 0, 0, 1, 1)), 1, 1)
    answer = answer_to(frame(ICMP, echo))
    assert (answer.ip_proto, answer.body[:2]) == (ICMP, bytes([3, 3]))


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_an_icmp_error_is_never_answered(kind: int) -> None:
    quoted = frame(UDP, datagram())[14 : 14 + 28]
    error = struct.pack("!BBHI", kind, 0, 0, 0) + quoted
    assert refusal(frame(ICMP, error), VIRTUAL_ROUTER_MAC) is None


@pytest.mark.parametrize("ip_proto", [TCP, UDP])
@pytest.mark.parametrize("fragment", [1, 0x2001, 185])
def test_a_later_fragment_is_never_answered(ip_proto: int, fragment: int) -> None:
    payload = segment(SYN) if ip_proto == TCP else datagram()
    assert refusal(frame(ip_proto, payload, fragment=fragment), VIRTUAL_ROUTER_MAC) is None


WHOLE = [
    frame(TCP, segment(SYN, options=b"\x02\x04\x05\xb4")),
    frame(UDP, datagram()),
    frame(ICMP, struct.pack("!BBHHH", 8, 0, 0, 1, 1)),
    frame(ICMP, struct.pack("!BBHI", 3, 1, 0, 0) + frame(UDP, datagram())[14:42]),
    frame(TCP, segment(ACK, data=b"x"), options=b"\x01\x01\x01\x00"),
]


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_frames_cut_anywhere_do_no_harm(number: int) -> None:
    for length in range(len(WHOLE[number]) + 1):
        refusal(WHOLE[number][:length], VIRTUAL_ROUTER_MAC)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(WHOLE),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=6),
    st.integers(0, 90),
)
def test_frames_with_wrong_octets_do_no_harm(
    whole: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    broken = bytearray(whole)
    for place, octet in changes:
        broken[place % len(broken)] = octet
    refusal(bytes(broken[:length]), VIRTUAL_ROUTER_MAC)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=96), st.booleans())
def test_junk_does_no_harm(junk: bytes, is_ip: bool) -> None:
    refusal(WHOLE[0][:14] + junk if is_ip else junk, VIRTUAL_ROUTER_MAC)


# --- messages ----------------------------------------------------------------------------------------------


def entries() -> list[Flow | Group]:
    found: dict[str, Flow | Group] = {}
    for encapsulation in ("vxlan", "none"):
        cluster = cluster_of(
            [
                pod("a", "web"), pod("b", "web"), pod("c", "web"),
                service("web", "web", [(80, "TCP", 8080), (53, "UDP", 53), (9, "UDP", 9)]),
                service("empty", "nobody"),
            ],
            encapsulation=encapsulation,
        )  # fmt: skip
        for program in cluster.programs:
            found |= {thing.key: thing for thing in (*flows_of(program), *groups_of(program))}
    return [found[key] for key in sorted(found)]


def parsed(data: bytes, message: type):
    """Return the message that a switch would read, and check the header it reads first."""
    version, kind, length, xid = struct.unpack_from("!BBHI", data)
    assert (version, length) == (ofproto.OFP_VERSION, len(data))
    return message.parser(SWITCH, version, kind, length, xid, data)


def test_every_flow_comes_back_from_its_message() -> None:
    flows = [entry for entry in entries() if isinstance(entry, Flow)]
    assert len(flows) > 50
    for flow in flows:
        message = encode_flow(flow, 5)
        assert message.xid == 5
        read = parsed(message.data, parser.OFPFlowMod)
        assert (read.command, read.xid) == (ofproto.OFPFC_ADD, 5)
        assert decode_flow(flow.bridge, read) == flow


def test_a_removal_names_the_flow_and_no_action() -> None:
    flow = next(entry for entry in entries() if isinstance(entry, Flow) and entry.actions)
    read = parsed(encode_flow(flow, 6, is_removal=True).data, parser.OFPFlowMod)
    assert read.command == ofproto.OFPFC_DELETE_STRICT
    again = decode_flow(flow.bridge, read)
    assert (again.key, again.actions) == (flow.key, ())


def test_every_group_comes_back_from_its_message() -> None:
    groups = [entry for entry in entries() if isinstance(entry, Group)]
    assert len(groups) >= 3
    for group in groups:
        for is_new, command in ((True, ofproto.OFPGC_ADD), (False, ofproto.OFPGC_MODIFY)):
            data = encode_group(group, 7, is_new=is_new).data
            number, buckets = group_buckets(data, command)
            read = type("Stats", (), {"group_id": number, "buckets": buckets})
            assert decode_group(group.bridge, read) == group


def group_buckets(data: bytes, command: int) -> tuple[int, list]:
    """Take a group modification apart (struct ofp15_group_mod)."""
    said, kind, number, octets = struct.unpack_from("!HBxIHxx", data, 8)
    assert (said, kind) == (command, ofproto.OFPGT_SELECT)
    buckets, place = [], 24
    while place < 24 + octets:
        buckets.append(parser.OFPBucket.parser(data, place))
        (length,) = struct.unpack_from("!H", data, place)
        assert length % 8 == 0
        place += length
    return number, buckets


def selection_method(group: Group) -> bytes:
    data = encode_group(group, 8, is_new=True).data
    (octets,) = struct.unpack_from("!H", data, 16)
    return data[24 + octets :]


def test_a_group_says_how_it_chooses() -> None:
    group = next(entry for entry in entries() if isinstance(entry, Group))
    method = selection_method(group)
    kind, length, vendor, number, _reserved, name, parameter = struct.unpack_from("!HHIII16sQ", method)
    assert (kind, length, vendor, number) == (0xFFFF, 40, 0x154D, 1)
    assert (name.rstrip(b"\0"), parameter) == (b"dp_hash", 0)
    assert len(method) == 40


def test_a_large_group_names_the_fields_that_it_hashes() -> None:
    address = IPv4Address("10.96.0.9")
    many = tuple(Backend(IPv4Address("10.244.0.2") + number, 80) for number in range(40))
    port = ServicePortForward(address, Protocol.TCP, 80, 0, many)
    made = service_entries(ServiceForward("default", "web", 9, (address,), (port,)))
    method = selection_method(next(entry for entry in made if isinstance(entry, Group)))
    (_kind, length) = struct.unpack_from("!HH", method)
    assert method[16:32].rstrip(b"\0") == b"hash"
    # OXM headers of OpenFlow 1.5, class 0x8000: IPV4_SRC is field 11, TCP_SRC field 13; all bits count.
    assert method[40:length] == bytes.fromhex("80001604 ffffffff 80001a02 ffff".replace(" ", ""))
    assert len(method) == length + -length % 8


def test_a_group_removal_names_the_group() -> None:
    group = next(entry for entry in entries() if isinstance(entry, Group))
    number, buckets = group_buckets(encode_group_removal(group, 9).data, ofproto.OFPGC_DELETE)
    assert (number, buckets) == (group.group_id, [])


def test_what_the_testbed_never_writes_is_not_decoded() -> None:
    with pytest.raises(UnknownEntryError, match="OFPActionPushVlan"):
        decode_action(parser.OFPActionPushVlan(0x8100))


def test_words_stand_beside_the_bytes() -> None:
    flow = Flow("br-int", 0, 1, match(in_port=3), (SetField("reg0", 1), Output(2)))
    assert encode_flow(flow, 1).about == flow.text()
    assert encode_flow(flow, 1, is_removal=True).about == f"remove {flow.text()}"
