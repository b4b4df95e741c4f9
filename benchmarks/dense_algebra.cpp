// kernels/dense.hpp beside Eigen (compiled in, -O3 -march=native -DNDEBUG) and OpenBLAS (opened at run time,
// one thread). Usage: dense_algebra ROUNDS OPENBLAS_LIBRARY|- N... ; prints the measured peak and a line per
// operation and order: "row OP N FLOP OURS EIGEN OPENBLAS", medians in ns (of the thread's own time where all
// sides take more than 50 us), nan where a peer has no such function. Calls take turns; only the call itself
// is timed, and what it destroys is restored outside.
#include <dlfcn.h>
#include <time.h>

#include <Eigen/Dense>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/dense.hpp"

namespace {

using namespace emisopt::kernels;
using Clock = std::chrono::steady_clock;
using Column = Eigen::MatrixXd;
using Row = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

// ---- OpenBLAS, of a wheel or of the system -------------------------------------------------------------
struct OpenBlas {
  using Gemv = void (*)(const char*, const int*, const int*, const double*, const double*, const int*,
                        const double*, const int*, const double*, double*, const int*);
  using Symv = void (*)(const char*, const int*, const double*, const double*, const int*, const double*,
                        const int*, const double*, double*, const int*);
  using Syrk = void (*)(const char*, const char*, const int*, const int*, const double*, const double*,
                        const int*, const double*, double*, const int*);
  using Potrf = void (*)(const char*, const int*, double*, const int*, int*);
  using Trsv = void (*)(const char*, const char*, const char*, const int*, const double*, const int*, double*,
                        const int*);
  using Trsm = void (*)(const char*, const char*, const char*, const char*, const int*, const int*,
                        const double*, const double*, const int*, double*, const int*);
  using Rotg = void (*)(double*, double*, double*, double*);
  using Rot = void (*)(const int*, double*, const int*, double*, const int*, const double*, const double*);
  Gemv gemv = nullptr;
  Symv symv = nullptr;
  Syrk syrk = nullptr;
  Potrf potrf = nullptr;
  Trsv trsv = nullptr;
  Trsm trsm = nullptr;
  Rotg rotg = nullptr;
  Rot rot = nullptr;
  std::string config;

  explicit OpenBlas(const char* path) {
    void* library = std::strcmp(path, "-") ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    if (!library) return;
    const auto find = [&](auto& f, const char* name) {
      for (const char* prefix : {"scipy_", ""})
        if (!f)
          f = reinterpret_cast<std::decay_t<decltype(f)>>(
              dlsym(library, (std::string(prefix) + name).c_str()));
    };
    void (*set_threads)(int) = nullptr;
    char* (*get_config)() = nullptr;
    find(set_threads, "openblas_set_num_threads");
    find(get_config, "openblas_get_config");
    if (set_threads) set_threads(1);
    if (get_config) config = get_config();
    find(gemv, "dgemv_");
    find(symv, "dsymv_");
    find(syrk, "dsyrk_");
    find(potrf, "dpotrf_");
    find(trsv, "dtrsv_");
    find(trsm, "dtrsm_");
    find(rotg, "drotg_");
    find(rot, "drot_");
  }
};

// ---- timing --------------------------------------------------------------------------------------------
double now_ns() { return std::chrono::duration<double, std::nano>(Clock::now().time_since_epoch()).count(); }

// Of this thread alone, for calls long enough to be interrupted by what else the machine does.
double cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}
constexpr double kLong = 50e3;  // ns

double median(std::vector<double> x) {
  if (x.empty()) return std::nan("");
  std::nth_element(x.begin(), x.begin() + static_cast<long>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

double clock_cost(double (*clock)()) {
  std::vector<double> x;
  for (int i = 0; i < 2000; ++i) {
    const double start = clock();
    x.push_back(clock() - start);
  }
  return median(x);
}

// What one core can do in fused multiply-adds on the widest vectors of this build, GFLOP/s.
double peak() {
  using Wide = double __attribute__((vector_size(64)));
  double best = 0;
  for (int round = 0; round < 20; ++round) {
    Wide s[16], a, b;
    for (auto& v : s) {
      v = Wide{};
      asm volatile("" : "+v"(v));
    }
    for (int i = 0; i < 8; ++i) a[i] = 1 + 1e-9 * i, b[i] = 1e-9 * i;
    const int turns = 20000;
    const double start = now_ns();
    for (int i = 0; i < turns; ++i) {
      asm volatile("" : "+v"(a), "+v"(b));
#pragma GCC unroll 16
      for (auto& v : s) v = v * a + b;
    }
    const double took = now_ns() - start;
    for (auto& v : s) asm volatile("" ::"v"(v));
    best = std::max(best, 2.0 * 8 * 16 * turns / took);
  }
  return best;
}

struct Peer {
  int owner;  // 0: ours, 1: Eigen, 2: OpenBLAS; of several ways of one owner the fastest counts
  std::function<void()> restore, call;
};

void report(const char* op, int n, double flop, int rounds, const std::vector<Peer>& peers) {
  double shortest = HUGE_VAL;
  for (const Peer& p : peers) {
    if (p.restore) p.restore();
    const double start = cpu_ns();
    p.call();
    shortest = std::min(shortest, cpu_ns() - start);
  }
  const auto clock = shortest > kLong ? cpu_ns : now_ns;
  const double cost = clock_cost(clock);
  std::vector<std::vector<double>> ns(peers.size());
  for (int round = -3; round < rounds; ++round)
    for (std::size_t p = 0; p < peers.size(); ++p) {
      // twice in a row, the second timed: each starts with its own data in the caches
      for (int twice = 0; twice < 2; ++twice) {
        if (peers[p].restore) peers[p].restore();
        const double start = clock();
        peers[p].call();
        const double took = clock() - start - cost;
        if (round >= 0 && twice == 1) ns[p].push_back(took);
      }
    }
  double best[3] = {std::nan(""), std::nan(""), std::nan("")};
  for (std::size_t p = 0; p < peers.size(); ++p)
    best[peers[p].owner] = std::fmin(best[peers[p].owner], median(ns[p]));
  std::printf("row %s %d %.0f %.1f %.1f %.1f\n", op, n, flop, best[0], best[1], best[2]);
  std::fflush(stdout);
}

void measure(int n, int rounds, const OpenBlas& blas) {
  std::mt19937 generator(7);
  std::normal_distribution<double> normal;
  const auto fill = [&](auto& m) {
    for (Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = normal(generator);
  };
  const DenseTable& ours = dense_table();
  const int one = 1;
  const double unit = 1, nothing = 0;
  std::vector<double> work(static_cast<std::size_t>(dense_work(n)));
  Column a(n, n);
  fill(a);
  const Column spd = a * a.transpose() / n + Column::Identity(n, n);
  const Row a_row = a;  // same matrix in both layouts
  Vector x(n), w(n), y(n), y_eigen(n), y_blas(n);
  fill(x);
  fill(w);
  w = w.cwiseAbs();
  const double nn = double(n) * n, cube = nn * n;
  std::vector<Peer> peers;
  const auto own = [&](auto call, std::function<void()> restore = {}) {
    peers.push_back({0, restore, call});
  };
  const auto eigen = [&](auto call, std::function<void()> restore = {}) {
    peers.push_back({1, restore, call});
  };
  const auto open = [&](bool there, auto call, std::function<void()> restore = {}) {
    if (there) peers.push_back({2, restore, call});
  };
  const auto finish = [&](const char* op, double flop) {
    report(op, n, flop, rounds, peers);
    peers.clear();
  };

  // lower C += A' A; column-major peers see the same memory as A A'
  Row c = spd;
  Column ce = spd, cb = spd, scaled(n, n);
  own([&] { ours.syrk_transposed(c.data(), n, a_row.data(), n, nullptr, n, n, true, work.data()); });
  eigen([&] { ce.selfadjointView<Eigen::Lower>().rankUpdate(a); });
  eigen([&] { ce.selfadjointView<Eigen::Lower>().rankUpdate(a.transpose()); });
  for (const char* t : {"N", "T"})
    for (const char* u : {"L", "U"})
      open(blas.syrk, [&, t, u] { blas.syrk(u, t, &n, &n, &unit, a.data(), &n, &unit, cb.data(), &n); });
  finish("syrk", cube);
  // lower C += A A', A by rows
  own([&] { ours.syrk(c.data(), n, a_row.data(), n, nullptr, n, n, true, work.data()); });
  eigen([&] { ce.selfadjointView<Eigen::Lower>().rankUpdate(a_row); });
  for (const char* u : {"L", "U"})
    open(blas.syrk, [&, u] { blas.syrk(u, "T", &n, &n, &unit, a.data(), &n, &unit, cb.data(), &n); });
  finish("syrk_rows", cube);
  // with weights, which the peers put in as roots beforehand
  const Vector roots = w.cwiseSqrt();
  own([&] { ours.syrk_transposed(c.data(), n, a_row.data(), n, w.data(), n, n, true, work.data()); });
  eigen([&] {
    scaled.noalias() = a * roots.asDiagonal();
    ce.selfadjointView<Eigen::Lower>().rankUpdate(scaled);
  });
  open(blas.syrk, [&] {
    scaled.noalias() = a * roots.asDiagonal();
    blas.syrk("L", "N", &n, &n, &unit, scaled.data(), &n, &unit, cb.data(), &n);
  });
  finish("syrk_weighted", cube);

  c = spd;
  own([&] { ours.potrf(c.data(), n, n, work.data()); }, [&] { c = spd; });
  eigen([&] { Eigen::internal::llt_inplace<double, Eigen::Lower>::blocked(ce); }, [&] { ce = spd; });
  Row cr = spd;
  eigen([&] { Eigen::internal::llt_inplace<double, Eigen::Lower>::blocked(cr); }, [&] { cr = spd; });
  int info = 0;
  for (const char* u : {"L", "U"})
    open(blas.potrf, [&, u] { blas.potrf(u, &n, cb.data(), &n, &info); }, [&] { cb = spd; });
  finish("potrf", cube / 3);

  Row l = spd;
  ours.potrf(l.data(), n, n, work.data());
  for (int i = 0; i < n; ++i)
    for (int j = i + 1; j < n; ++j) l(i, j) = 0;
  const Column lc = l, upper = l.transpose();
  for (const bool back : {false, true}) {
    own([&, back] { (back ? ours.trsv_transposed : ours.trsv)(y.data(), l.data(), n, n); }, [&] { y = x; });
    const auto reset_e = [&] { y_eigen = x; };
    const auto reset_b = [&] { y_blas = x; };
    if (back) {
      eigen([&] { lc.transpose().triangularView<Eigen::Upper>().solveInPlace(y_eigen); }, reset_e);
      eigen([&] { l.transpose().triangularView<Eigen::Upper>().solveInPlace(y_eigen); }, reset_e);
      open(blas.trsv, [&] { blas.trsv("L", "T", "N", &n, lc.data(), &n, y_blas.data(), &one); }, reset_b);
      open(blas.trsv, [&] { blas.trsv("U", "N", "N", &n, upper.data(), &n, y_blas.data(), &one); }, reset_b);
    } else {
      eigen([&] { lc.triangularView<Eigen::Lower>().solveInPlace(y_eigen); }, reset_e);
      eigen([&] { l.triangularView<Eigen::Lower>().solveInPlace(y_eigen); }, reset_e);
      open(blas.trsv, [&] { blas.trsv("L", "N", "N", &n, lc.data(), &n, y_blas.data(), &one); }, reset_b);
      open(blas.trsv, [&] { blas.trsv("U", "T", "N", &n, upper.data(), &n, y_blas.data(), &one); }, reset_b);
    }
    finish(back ? "trsv_back" : "trsv", nn);
  }

  const int m = 24;  // right sides
  Row rhs(n, m);
  fill(rhs);
  const Column rhs_c = rhs;
  Row b = rhs, be_row = rhs;
  Column be = rhs, bb = rhs, bb_t = rhs.transpose();
  own([&] { ours.trsm(b.data(), m, l.data(), n, n, m); }, [&] { b = rhs; });
  eigen([&] { lc.triangularView<Eigen::Lower>().solveInPlace(be); }, [&] { be = rhs_c; });
  eigen([&] { l.triangularView<Eigen::Lower>().solveInPlace(be_row); }, [&] { be_row = rhs; });
  open(
      blas.trsm, [&] { blas.trsm("L", "L", "N", "N", &n, &m, &unit, lc.data(), &n, bb.data(), &n); },
      [&] { bb = rhs_c; });
  open(
      blas.trsm, [&] { blas.trsm("R", "U", "N", "N", &m, &n, &unit, upper.data(), &n, bb_t.data(), &m); },
      [&] { bb_t = rhs.transpose(); });
  finish("trsm24", nn * m);

  own([&] { ours.gemv(y.data(), a_row.data(), n, x.data(), n, n); });
  eigen([&] { y_eigen.noalias() = a_row * x; });
  open(blas.gemv, [&] {
    blas.gemv("T", &n, &n, &unit, a_row.data(), &n, x.data(), &one, &nothing, y_blas.data(), &one);
  });
  finish("gemv", 2 * nn);
  own([&] { ours.gemv_transposed(y.data(), a_row.data(), n, x.data(), n, n); });
  eigen([&] { y_eigen.noalias() += a_row.transpose() * x; });
  open(blas.gemv,
       [&] { blas.gemv("N", &n, &n, &unit, a_row.data(), &n, x.data(), &one, &unit, y_blas.data(), &one); });
  finish("gemv_transposed", 2 * nn);
  own([&] { ours.symv(y.data(), spd.data(), n, x.data(), n); });
  eigen([&] { y_eigen.noalias() = spd.selfadjointView<Eigen::Lower>() * x; });
  eigen([&] { y_eigen.noalias() = spd.selfadjointView<Eigen::Upper>() * x; });
  for (const char* u : {"L", "U"})
    open(blas.symv,
         [&, u] { blas.symv(u, &n, &unit, spd.data(), &n, x.data(), &one, &nothing, y_blas.data(), &one); });
  finish("symv", 2 * nn);

  Row lu = l;
  Column le = lc, lb = lc;
  Vector v(n), v_e(n), v_b(n);
  own([&] { ours.update(lu.data(), n, v.data(), n, work.data()); }, [&] { lu = l, v = x; });
  eigen([&] { Eigen::internal::llt_inplace<double, Eigen::Lower>::rankUpdate(le, x, 1.0); },
        [&] { le = lc; });
  open(
      blas.rot,
      [&] {  // BLAS has rotations, not the update
        for (int k = 0; k < n; ++k) {
          double cosine, sine;
          blas.rotg(&lb(k, k), &v_b(k), &cosine, &sine);
          const int rest = n - k - 1;
          if (rest > 0) blas.rot(&rest, &lb(k + 1, k), &one, v_b.data() + k + 1, &one, &cosine, &sine);
        }
      },
      [&] { lb = lc, v_b = x; });
  finish("update", 3 * nn);
  const Vector small = 0.5 / std::sqrt(x.dot(x)) * (l * x);
  own([&] { ours.downdate(lu.data(), n, v.data(), n, work.data()); }, [&] { lu = l, v = small; });
  eigen([&] { Eigen::internal::llt_inplace<double, Eigen::Lower>::rankUpdate(le, small, -1.0); },
        [&] { le = lc; });
  finish("downdate", 4 * nn);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: dense_algebra ROUNDS OPENBLAS_LIBRARY|- N...\n");
    return 2;
  }
  const OpenBlas blas(argv[2]);
  std::printf("about ours %s, Eigen %d.%d.%d, %s\n", dense_table().name, EIGEN_WORLD_VERSION,
              EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION,
              blas.config.empty() ? "no OpenBLAS" : blas.config.c_str());
  std::printf("peak %.2f\n", peak());
  for (int i = 3; i < argc; ++i) measure(std::atoi(argv[i]), std::atoi(argv[1]), blas);
  std::printf("peak %.2f\n", peak());
}
