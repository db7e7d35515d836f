"""How deep MessagePack nests, found without recursion.

The decoder recurses in native code, once for each container, and again inside each extension. Bytes
from a store that others can write could nest a million levels and overflow the stack, which no
exception can undo. So extensions inside extensions are measured before they are decoded.
"""

from typing import Final

# Head byte -> width in bytes of the length that follows it.
_SIZED: Final = {
    0xC4: 1, 0xC5: 2, 0xC6: 4,  # bin
    0xC7: 1, 0xC8: 2, 0xC9: 4,  # ext
    0xD9: 1, 0xDA: 2, 0xDB: 4,  # str
}  # fmt: skip
_COUNTED: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
_FIXED: Final = {
    0xCA: 4, 0xCB: 8,  # float
    0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,  # uint
    0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,  # int
    0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,  # fixext, its tag included
}  # fmt: skip


def deeper_than(payload: bytes, limit: int) -> bool:
    """Whether arrays and maps nest more than `limit` deep, not looking inside extensions.

    Damaged bytes are measured as far as they go; the decoder judges them.
    """
    open_containers: list[int] = []
    at, end = 0, len(payload)
    while at < end:
        head = payload[at]
        at += 1
        items = -1
        if head >= 0xE0 or head < 0x80:
            pass
        elif head < 0x90:
            items = (head & 0x0F) * 2
        elif head < 0xA0:
            items = head & 0x0F
        elif head < 0xC0:
            at += head & 0x1F
        elif head in _SIZED:
            width = _SIZED[head]
            at += width + int.from_bytes(payload[at : at + width], "big")
            at += 0xC7 <= head <= 0xC9
        elif head in _COUNTED:
            width, each = _COUNTED[head]
            items = int.from_bytes(payload[at : at + width], "big") * each
            at += width
        else:
            at += _FIXED.get(head, 0)
        if items > 0:
            open_containers.append(items)
            if len(open_containers) > limit:
                return True
            continue
        while open_containers:
            open_containers[-1] -= 1
            if open_containers[-1]:
                break
            open_containers.pop()
    return False
