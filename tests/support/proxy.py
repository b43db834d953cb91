"""The proxy of ``conveyor chaos``, which loses answers to COMMITs."""

from conveyor.cli.chaos.proxy import Cut, Proxy

__all__ = ["Cut", "Proxy"]
