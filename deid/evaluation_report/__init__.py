"""What `deid evaluate --report` writes: the figures, and a page with plots to show around.

The page names data sets and modalities; patients and files it does not name.
"""

from __future__ import annotations

from deid.evaluation_report.folder import PAGE, Report, ReportError
from deid.evaluation_report.table import absences, beside_whiten, lines

__all__ = ["PAGE", "Report", "ReportError", "absences", "beside_whiten", "lines"]
