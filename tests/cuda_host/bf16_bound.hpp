// How far rounding to bf16 can move each value of a network (docs/cuda.md, "bf16"): the network in double, op
// by op, with two numbers beside each value. `worst` bounds |bf16 - exact| whatever the roundings are;
// `spread` is the root mean square of the difference to first order when they are independent, uniform within
// half a unit.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "kernels/backend.hpp"

namespace emisopt::cuda_test {

constexpr double kBf16 = 1.0 / 256;  // largest relative error of the nearest number of 8 significant bits
constexpr double kFp32 = 1.0 / (1 << 23);  // per operation in fp32, cut or rounded

struct Rounded {
  double x = 0, worst = 0, variance = 0;
  double spread() const { return std::sqrt(variance); }
};

class Bf16Bound {
 public:
  /// One window: history (past, width), future (rows, width). fp32: names of values that stay fp32.
  /// own: by value id, what a program without a past has on future rows; then each op is given its own
  /// numbers, and the bound is that of one op.
  Bf16Bound(const kernels::OpList& net, const std::vector<float>& theta, std::set<std::string> fp32, int past,
            int rows, const float* history, const float* future,
            const std::vector<std::vector<float>>& own = {})
      : net_(net), theta_(theta), fp32_(std::move(fp32)), rows_{past, rows}, of_(net.values.size()) {
    for (auto& part : values_) part.resize(net.values.size());
    input(0, net.history, history);
    input(1, net.future, future);
    for (const kernels::Op& op : net.ops)
      for (const int part : {0, 1}) {
        if (rows_[at(part)] == 0 || !covers(op.rows, part)) continue;
        run(op, part);
        if (part == 0) continue;
        of_[at(op.y)] = values_[1][at(op.y)];
        if (own.empty()) continue;
        values_[1][at(op.y)].clear();
        for (const float x : own[at(op.y)]) values_[1][at(op.y)].push_back({static_cast<double>(x), 0, 0});
      }
  }
  /// (rows, width) of a value on future rows.
  const std::vector<Rounded>& future(int id) const { return of_[at(id)]; }

 private:
  using Rows = std::vector<Rounded>;
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }
  static bool covers(kernels::Rows rows, int part) {
    return rows == kernels::Rows::all || (rows == kernels::Rows::history) == (part == 0);
  }
  int width(int id) const { return net_.values[at(id)].width; }
  bool in_bf16(int id) const { return !fp32_.contains(net_.values[at(id)].name); }
  double weight(int parameter, int i) const {
    return static_cast<double>(theta_[net_.parameters[at(parameter)].offset + at(i)]);
  }
  // A linear op's weight, its correction of low rank added.
  double matrix(const kernels::Op& op, int l, int j) const {
    double w = weight(op.w, l * width(op.y) + j);
    const int rank = op.lora_a < 0 ? 0 : net_.parameters[at(op.lora_a)].shape[1];
    for (int r = 0; r < rank; ++r)
      w += weight(op.lora_a, l * rank + r) * weight(op.lora_b, r * width(op.y) + j);
    return w;
  }
  void input(int part, int id, const float* x) {
    Rows& rows = values_[at(part)][at(id)];
    for (int i = 0; i < rows_[at(part)] * width(id); ++i) rows.push_back({static_cast<double>(x[i]), 0, 0});
  }
  /// A result with what its operands' errors do to it and what fp32 arithmetic adds, stored.
  static Rounded stored(Rounded y, double fp32, bool bf16) {
    y.worst += fp32;  // too little to be seen in the spread
    if (!bf16) return y;
    return {y.x, y.worst + kBf16 * (std::abs(y.x) + y.worst), y.variance + y.x * y.x * kBf16 * kBf16 / 3};
  }
  /// `count` equal errors' share: c times each.
  static void add(Rounded& y, double c, const Rounded& from) {
    y.worst += std::abs(c) * from.worst;
    y.variance += c * c * from.variance;
  }

  void run(const kernels::Op& op, int part) {
    Rows& y = values_[at(part)][at(op.y)];
    const int n = rows_[at(part)], w = width(op.y);
    y.assign(at(n * w), {});
    for (int r = 0; r < n; ++r) {
      const Rounded* x = values_[at(part)][at(op.x)].data() + at(r * width(op.x));
      Rounded* to = y.data() + at(r * w);
      const bool bf16 = in_bf16(op.y);
      switch (op.kind) {
        case kernels::OpKind::linear:
          linear(op, x, to);
          break;
        case kernels::OpKind::rmsnorm:
          rmsnorm(op, x, to);
          break;
        case kernels::OpKind::rope:
          rope(op, x, to, part == 1 ? rows_[0] + r : r);
          break;
        case kernels::OpKind::attention:
          attention(op, part, r, to);
          break;
        case kernels::OpKind::swiglu:
          for (int c = 0; c < w; ++c) to[c] = stored(gated(x[c], x[w + c]), 0, bf16);
          break;
        case kernels::OpKind::add: {
          const Rounded* other = values_[at(part)][at(op.x2)].data() + at(r * w);
          for (int c = 0; c < w; ++c) {
            Rounded sum{x[c].x + other[c].x, 0, 0};
            add(sum, 1, x[c]);
            add(sum, 1, other[c]);
            to[c] = stored(sum, kFp32 * (std::abs(sum.x) + sum.worst), bf16);
          }
          break;
        }
        case kernels::OpKind::quantiles:
          quantiles(op, x, to);
          break;
      }
    }
  }

  // sum (x + dx)(w + dw), |dw| <= u |w|, and |dx| more where x is fp32 and rounded on the way
  void linear(const kernels::Op& op, const Rounded* x, Rounded* y) const {
    const int k = width(op.x), n = width(op.y);
    const bool rounds = in_bf16(op.x) || in_bf16(op.y);
    for (int j = 0; j < n; ++j) {
      Rounded sum{op.b >= 0 ? weight(op.b, j) : 0.0, 0, 0};
      double terms = std::abs(sum.x);
      for (int l = 0; l < k; ++l) {
        const double w = matrix(op, l, j);
        const Rounded read = stored(x[l], 0, rounds && !in_bf16(op.x));
        sum.x += read.x * w;
        add(sum, w, read);
        const double most = std::abs(read.x) + read.worst, u = rounds ? kBf16 : 0;
        sum.worst += u * most * std::abs(w);
        sum.variance += u * u * w * w * read.x * read.x / 3;
        terms += most * std::abs(w) * (1 + u);
      }
      y[j] = stored(sum, (k + 2) * kFp32 * terms, in_bf16(op.y));
    }
  }

  // y = w x / s, s = sqrt(mean x^2 + eps), which moves by no more than the root mean square of dx. It cannot
  // be further off than |y| + sqrt(width) |w|, whatever x is.
  void rmsnorm(const kernels::Op& op, const Rounded* x, Rounded* y) const {
    const int w = width(op.x);
    double squares = 0, worst = 0;
    for (int c = 0; c < w; ++c) {
      squares += x[c].x * x[c].x;
      worst += x[c].worst * x[c].worst;
    }
    const double eps = static_cast<double>(op.eps), s = std::sqrt(squares / w + eps),
                 moves = std::sqrt(worst / w), least = std::max(s - moves, std::sqrt(eps));
    double pull = 0;  // variance of sum x dx
    for (int c = 0; c < w; ++c) pull += x[c].x * x[c].x * x[c].variance;
    for (int c = 0; c < w; ++c) {
      const double g = std::abs(weight(op.w, c)), value = weight(op.w, c) * x[c].x / s;
      const double bound = g * (x[c].worst / least + std::abs(x[c].x) * moves / (s * least));
      const double own = 1 / s - x[c].x * x[c].x / (w * s * s * s), others = x[c].x / (w * s * s * s);
      const double spread =
          own * own * x[c].variance + others * others * (pull - x[c].x * x[c].x * x[c].variance);
      y[c] = stored({value, std::min(bound, std::abs(value) + std::sqrt(w) * g), g * g * spread},
                    (w + 8) * kFp32 * (std::abs(value) + bound), in_bf16(op.y));
    }
  }

  void rope(const kernels::Op& op, const Rounded* x, Rounded* y, int row) const {
    const int half = op.head_dim / 2;
    std::copy_n(x, width(op.x), y);  // what does not turn is passed on as it is
    for (int h = 0; h < op.heads; ++h)
      for (int i = 0; i < half; ++i) {
        const int a = h * op.head_dim + i, b = a + half;
        const double angle = row * std::pow(static_cast<double>(op.rope_base), -2.0 * i / op.head_dim);
        const double c = std::cos(angle), s = std::sin(angle);
        Rounded ya{x[a].x * c - x[b].x * s, 0, 0}, yb{x[b].x * c + x[a].x * s, 0, 0};
        add(ya, c, x[a]), add(ya, s, x[b]);
        add(yb, c, x[b]), add(yb, s, x[a]);
        const double fp32 = 4 * kFp32 * (std::abs(x[a].x) + std::abs(x[b].x) + x[a].worst + x[b].worst);
        y[a] = stored(ya, fp32, in_bf16(op.y));
        y[b] = stored(yb, fp32, in_bf16(op.y));
      }
  }

  // Where scores move by D, p_j' / p_j lies between e^{-D_j} / sum p_i e^{D_i} and e^{D_j} / sum p_i
  // e^{-D_i}; y moves by sum (p_j' - p_j)(v_j - y) + p_j' dv_j, and stays among the values.
  void attention(const kernels::Op& op, int part, int r, Rounded* y) const {
    const int hd = op.head_dim, past = part == 1 ? rows_[0] : 0, keys = past + r + 1;
    const int w = width(op.x);
    const auto row = [&](int j) {
      return j < past ? values_[0][at(op.x)].data() + at(j * w)
                      : values_[at(part)][at(op.x)].data() + at((j - past) * w);
    };
    const double scale = 1 / std::sqrt(hd);
    for (int h = 0; h < op.heads; ++h) {
      const int kv = h / (op.heads / op.kv_heads);
      const Rounded* q = row(past + r) + h * hd;
      std::vector<Rounded> s(at(keys));
      double top = -1e300, total = 0, falls = 0, rises = 0;
      for (int j = 0; j < keys; ++j) {
        const Rounded* k = row(j) + (op.heads + kv) * hd;
        double terms = 0;
        for (int c = 0; c < hd; ++c) {
          s[at(j)].x += scale * q[c].x * k[c].x;
          s[at(j)].worst += scale * (std::abs(q[c].x) * k[c].worst + std::abs(k[c].x) * q[c].worst +
                                     q[c].worst * k[c].worst);
          s[at(j)].variance +=
              scale * scale * (q[c].x * q[c].x * k[c].variance + k[c].x * k[c].x * q[c].variance);
          terms += (std::abs(q[c].x) + q[c].worst) * (std::abs(k[c].x) + k[c].worst);
        }
        s[at(j)].worst += (hd + 4) * kFp32 * scale * terms + 8 * kFp32;
        top = std::max(top, s[at(j)].x);
      }
      for (Rounded& x : s) total += x.x = std::exp(x.x - top);
      for (Rounded& x : s) {
        x.x /= total;
        x.worst = std::min(x.worst, 300.0);  // finite, and beyond anything that it could still say
        falls += x.x * std::exp(-x.worst);
        rises += x.x * std::exp(x.worst);
      }
      for (int c = 0; c < hd; ++c) {
        const auto v = [&](int j) { return row(j)[(op.heads + op.kv_heads + kv) * hd + c]; };
        Rounded mean;
        for (int j = 0; j < keys; ++j) mean.x += s[at(j)].x * v(j).x;
        double furthest = 0, terms = 0;
        for (int j = 0; j < keys; ++j) {
          const Rounded& p = s[at(j)];
          const double most = std::min(p.x * std::exp(p.worst) / falls, 1.0),
                       least = p.x * std::exp(-p.worst) / rises, away = std::abs(v(j).x - mean.x);
          mean.worst += std::max(most - p.x, p.x - least) * away + most * v(j).worst;
          mean.variance += p.x * p.x * (away * away * p.variance + v(j).variance);
          furthest = std::max(furthest, away + v(j).worst);
          terms = std::max(terms, std::abs(v(j).x) + v(j).worst);
        }
        mean.worst = std::min(mean.worst, furthest);
        y[h * hd + c] = stored(mean, (keys + 8) * kFp32 * terms, in_bf16(op.y));
      }
    }
  }

  // silu's slope lies in (-0.1, 1.1)
  static Rounded gated(const Rounded& gate, const Rounded& up) {
    const double s = 1 / (1 + std::exp(-gate.x)), silu = gate.x * s, slope = s * (1 + gate.x * (1 - s));
    Rounded y{silu * up.x, 0, 0};
    y.worst = 1.1 * gate.worst * (std::abs(up.x) + up.worst) + std::abs(silu) * up.worst;
    y.variance = slope * slope * up.x * up.x * gate.variance + silu * silu * up.variance;
    y.worst += 16 * kFp32 * (std::abs(silu) + 1.1 * gate.worst) * (std::abs(up.x) + up.worst);
    return y;
  }

  // softplus never moves by more than what it is of
  static void quantiles(const kernels::Op& op, const Rounded* x, Rounded* q) {
    for (int o = 0; o < op.outputs; ++o) {
      const Rounded* raw = x + o * op.levels;
      Rounded* to = q + o * op.levels;
      to[op.middle] = raw[op.middle];
      for (const int way : {1, -1})
        for (int l = op.middle + way; l >= 0 && l < op.levels; l += way) {
          const double step = std::log1p(std::exp(-std::abs(raw[l].x))) + std::max(raw[l].x, 0.0);
          Rounded y{to[l - way].x + way * step, 0, 0};
          add(y, 1, to[l - way]);
          add(y, 1 / (1 + std::exp(-raw[l].x)), raw[l]);
          y.worst = to[l - way].worst + raw[l].worst;
          to[l] = stored(y, 8 * kFp32 * (std::abs(to[l - way].x) + step + y.worst), false);
        }
    }
  }

  const kernels::OpList& net_;
  const std::vector<float>& theta_;
  std::set<std::string> fp32_;
  std::array<int, 2> rows_;
  std::array<std::vector<Rows>, 2> values_;  // by part and value id, as the next op reads them
  std::vector<Rows> of_;                     // as they came out
};

}  // namespace emisopt::cuda_test
