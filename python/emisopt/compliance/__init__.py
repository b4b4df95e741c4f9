"""Compliance arithmetic: conversions, substitution of missing hours, audit records, statistics of tests.

What the law counts, as pure functions with their sources beside them (docs/compliance.md). Nothing here is a
certification, and no function says so.
"""

from __future__ import annotations

from emisopt.compliance.audit import AuditLog, AuditRecord
from emisopt.compliance.conversion import (
    FuelFactors,
    GasBasis,
    convert,
    default_fuel_factors,
    fuel_factors,
    mg_m3_from_ppm,
    o2_corrected,
    ppm_from_mg_m3,
)
from emisopt.compliance.maps import kg_h_map, lb_h_map, lb_mmbtu_map, t_a_map
from emisopt.compliance.rata import (
    AcceptanceLimit,
    MonitorTest,
    accuracy_audit,
    predictive_system,
    relative_accuracy,
    variability,
)
from emisopt.compliance.substitution import Substitution, monitor_availability, substitute

__all__ = [
    "AcceptanceLimit",
    "AuditLog",
    "AuditRecord",
    "FuelFactors",
    "GasBasis",
    "MonitorTest",
    "Substitution",
    "accuracy_audit",
    "convert",
    "default_fuel_factors",
    "fuel_factors",
    "kg_h_map",
    "lb_h_map",
    "lb_mmbtu_map",
    "mg_m3_from_ppm",
    "monitor_availability",
    "o2_corrected",
    "ppm_from_mg_m3",
    "predictive_system",
    "relative_accuracy",
    "substitute",
    "t_a_map",
    "variability",
]
