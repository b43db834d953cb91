"""How the processes of a worker talk over their sockets: each frame is its length, and a message as MessagePack."""

import struct
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import msgspec

M = TypeVar("M")

_LENGTH: Final = struct.Struct("!I")
_ENCODER: Final = msgspec.msgpack.Encoder()


def framed(message: msgspec.Struct) -> bytes:
    """*message*, as it travels."""
    body = _ENCODER.encode(message)
    return _LENGTH.pack(len(body)) + body


class Frames(Generic[M]):
    """Makes messages of what arrives, in whatever pieces."""

    def __init__(self, decoder: "msgspec.msgpack.Decoder[M]") -> None:
        """Nothing has arrived."""
        self._decoder = decoder
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[M]:
        """The messages that are whole with *data*."""
        self._data += data
        at = 0
        try:
            while len(self._data) - at >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._data, at)
                end = at + _LENGTH.size + length
                if len(self._data) < end:
                    return
                body = bytes(self._data[at + _LENGTH.size : end])
                at = end
                yield self._decoder.decode(body)
        finally:
            del self._data[:at]
