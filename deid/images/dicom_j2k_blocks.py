"""Whether code-blocks of a JPEG 2000 codestream hold bytes that their coding passes do not need.

A block says how many bytes it has, and a decoder stops after the last pass, wherever it is by then:
how much it has read only decoding tells. OpenJPEG tells it of streams that promise to end their
blocks predictably (T.800 D.4.2), so that a copy with that promise is decoded, for this alone. It
lets pass what a decoder takes in ahead, a few bytes a block (six were seen).

Of blocks in several segments, and of high throughput, nothing tells it.
"""

from __future__ import annotations

import struct

import cv2
import numpy as np

from deid.images.dicom_j2k import SOT, segments
from deid.images.dicom_j2k_header import COC, COD, SIZ
from deid.native_lines import caught

#: Styles of code-blocks of which OpenJPEG looks at the last segment, or at none: raw passes, an end
#: behind each pass, high throughput. And the promise of a predictable end.
_UNTOLD, _PREDICTABLE = 0x01 | 0x04 | 0x40, 0x10
#: Where the style of code-blocks stands in COD and COC, and where the components begin in SIZ.
_STYLES, _COMPONENTS = {COD: 8, COC: 5}, 36
#: OpenCV's decoder takes samples of 8 bits without sign; the coded data are the same.
_EIGHT_BITS = 7
_LEFT_OVER = b"remaining bytes in code block"


def may_hold_more(stream: bytes) -> bool:
    """Whether a block has bytes that are not needed, or nothing tells that none has.

    Parameters
    ----------
    stream
        As `deid.images.dicom_j2k.strip` gives it.
    """
    found, position = segments(stream, 2, SOT)
    copy = [stream[:2]]
    for marker, body in found:
        values = bytearray(body)
        if marker in _STYLES:
            if values[_STYLES[marker]] & _UNTOLD:
                return True
            values[_STYLES[marker]] |= _PREDICTABLE
        elif marker == SIZ:
            values[_COMPONENTS::3] = bytes([_EIGHT_BITS]) * len(values[_COMPONENTS::3])
        copy += [struct.pack(">HH", marker, len(values) + 2), bytes(values)]
    whole = np.frombuffer(b"".join([*copy, stream[position:]]), np.uint8)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_WARNING)
    with caught() as lines:
        try:
            decoded = cv2.imdecode(whole, cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return True
        lines.seek(0)
        return decoded is None or _LEFT_OVER in lines.read()
