"""The vocabulary of Open vSwitch's database: bridges and their ports. Flows are `openflow`'s."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.inet import MacAddress


@dataclass(frozen=True, slots=True)
class OvsBridge:
    """A bridge of the node's Open vSwitch."""

    name: str
    datapath_id: int
    mac: MacAddress

    @property
    def key(self) -> str:
        return f"bridge {self.name}"

    def text(self) -> str:
        return (
            f"add-br {self.name} other_config:datapath-id={self.datapath_id:016x}"
            f" other_config:hwaddr={self.mac} fail_mode=secure protocols=OpenFlow13,OpenFlow15"
        )


@dataclass(frozen=True, slots=True)
class OvsPort:
    """A port of a bridge. `type` is "" for a Linux interface, else patch, vxlan or geneve."""

    bridge: str
    name: str
    ofport: int
    type: str = ""
    options: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        return f"port {self.bridge} {self.name}"

    def text(self) -> str:
        options = "".join(f" options:{key}={value}" for key, value in self.options)
        kind = f" type={self.type}" if self.type else ""
        return f"add-port {self.bridge} {self.name} ofport_request={self.ofport}{kind}{options}"
