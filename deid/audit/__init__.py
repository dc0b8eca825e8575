"""The audit: how many patients an attacker still finds in the pixels of a whole data set."""

from __future__ import annotations

from deid.audit.run import Options, audit
from deid.audit.trouble import AuditError

__all__ = ["AuditError", "Options", "audit"]
