"""The audit: how many patients an attacker still finds in the pixels of a whole data set."""

from __future__ import annotations

from deid.audit.asked import Options
from deid.audit.run import audit, check
from deid.audit.trouble import AuditError

__all__ = ["AuditError", "Options", "audit", "check"]
