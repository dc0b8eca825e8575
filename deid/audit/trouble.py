"""What stops an audit."""

from __future__ import annotations


class AuditError(ValueError):
    """An audit can not be made: one line that says what is wrong and what to do.

    The text names options, tables and rows, never a value out of a table and never a path.
    """
