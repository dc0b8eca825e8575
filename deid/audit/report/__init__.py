"""The page of an audit, to read and to show around: ``audit.html``.

It is made of the audit's record, which names sources and attackers; patients and files it does not.
"""

from __future__ import annotations

from deid.audit.report.page import pieces

__all__ = ["pieces"]
