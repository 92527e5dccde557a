"""An application that sleeps: `idle_client.py FILE LOOK` makes a router, looks at the file first if told to, says `ready`, and
does nothing until it gets a line. Then it says where it would write, by its router and by `write_owner`."""

from __future__ import annotations

import sys

from stepflow_tui.client import ReadRouter, write_owner


def main(path: str, look: str) -> None:
    """Wait, then write once."""
    with ReadRouter(path) as router:
        if look == "looked":
            router.write(lambda side: side)
        print("ready", flush=True)
        sys.stdin.readline()
        print(router.write(lambda side: side), write_owner(path), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
