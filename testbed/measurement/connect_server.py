"""Program: accepts TCP connections on a port and closes each at once, until it is ended.

Run inside a server's namespace as `python -I connect_server.py PORT [--address ::]`. Uses the standard
library alone and imports nothing of the testbed. The backlog is large enough that no SYN is refused for
want of room; the namespace's net.core.somaxconn caps it (4096 by default).
"""

from __future__ import annotations

import argparse
import socket

BACKLOG = 4096


def serve(address: str, port: int) -> None:
    """Accept and close, for ever."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family, backlog=BACKLOG) as listener:
        while True:
            connection, _ = listener.accept()
            connection.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Accept TCP connections and close each at once.")
    parser.add_argument("port", type=int)
    parser.add_argument("--address", default="0.0.0.0")  # noqa: S104  every address of its own namespace
    arguments = parser.parse_args()
    serve(arguments.address, arguments.port)


if __name__ == "__main__":
    main()
