// Emission rates: concentration and gas to mass per heat input, per hour, per year; and the ways back.
//
//   lb/MMBtu = K C Fd 20.9 / (20.9 - O2)   C ppm and O2 % dry (40 CFR 60 appendix A, Method 19)
//   lb/MMBtu = K C Fc 100 / CO2            C and CO2 on one basis: CO2 per heat input, by its share
//   lb/h     = K C 60 Q                    Q dscf/min
//   kg/h     = 1e-6 C Q                    C mg/m3 and Q m3/h on one basis
//   t/a      = 1e-3 (kg/h) (h/a)
//
// K: lb/scf that 1 ppm is. Every function writes n rows, leaves NaN NaN and throws InputError naming tag, row
// and time of the first row with a value that is out of its range. `out` must not be one of the inputs.
#pragma once
#include <string_view>

#include "emisopt/permit/rows.hpp"

namespace emisopt {

/// lb/scf per ppm: NOx 1.194e-7 and SO2 1.660e-7 as 40 CFR prints them (Method 19, table 19-1), CO 7.268e-8
/// as stack-test sheets print it. Throws InputError for others: lb_scf_per_ppm_of_mass() computes theirs.
double lb_scf_per_ppm(std::string_view pollutant);
/// The same from the molar mass and 24.055 l/mol; within 0.2 % of the printed three.
double lb_scf_per_ppm_of_mass(std::string_view pollutant);

void lb_mmbtu_from_ppm(double* out, Index n, const double* ppm, double k, Column fd, Column o2,
                       const RowLabel& label);
void ppm_from_lb_mmbtu(double* out, Index n, const double* lb_mmbtu, double k, Column fd, Column o2,
                       const RowLabel& label);
/// CO2 in (0, 100] %, on the basis (wet or dry) of the concentration.
void lb_mmbtu_from_ppm_co2(double* out, Index n, const double* ppm, double k, Column fc, Column co2,
                           const RowLabel& label);

void lb_h_from_ppm(double* out, Index n, const double* ppm, double k, Column dscf_min, const RowLabel& label);
void ppm_from_lb_h(double* out, Index n, const double* lb_h, double k, Column dscf_min,
                   const RowLabel& label);
void kg_h_from_mg_m3(double* out, Index n, const double* mg_m3, Column m3_h, const RowLabel& label);
void mg_m3_from_kg_h(double* out, Index n, const double* kg_h, Column m3_h, const RowLabel& label);
/// lb/h from lb/MMBtu and the heat input in MMBtu/h.
void lb_h_from_lb_mmbtu(double* out, Index n, const double* lb_mmbtu, Column mmbtu_h, const RowLabel& label);
/// hours in [0, 8784] per year.
void t_a_from_kg_h(double* out, Index n, const double* kg_h, Column hours, const RowLabel& label);
void kg_h_from_t_a(double* out, Index n, const double* t_a, Column hours, const RowLabel& label);

}  // namespace emisopt
