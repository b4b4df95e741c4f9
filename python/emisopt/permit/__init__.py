"""Permits as data, and what they say of a plant's measurements.

    permit = load_permit("permit.yaml")          # or a shipped one: load_permit("swiss_lrv")
    judged = permit.evaluate(frame)              # a DataFrame with time stamps
    judged.table(), judged["NOx daily"].deciding()

The rules, their sources and what is promised: docs/permit.md.
"""

from __future__ import annotations

from emisopt.permit.coming import Coming
from emisopt.permit.document import Permit, load_permit, shipped_permits
from emisopt.permit.evaluation import Evaluation, PermitStream, RuleResult
from emisopt.permit.signals import Signal
from emisopt.permit.zones import zone_table

__all__ = [
    "Coming",
    "Evaluation",
    "Permit",
    "PermitStream",
    "RuleResult",
    "Signal",
    "load_permit",
    "shipped_permits",
    "zone_table",
]
