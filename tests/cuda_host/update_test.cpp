#include "kernels/ref/update.hpp"

#include "cuda_host/support.hpp"

namespace emisopt::cuda_test {
namespace {

using kernels::AdamW;

TEST(Update, IsTheReferencesForEverySetOfArrays) {
  in_every_order([] {
    for (const std::size_t n : {std::size_t{1}, std::size_t{31}, std::size_t{257}, std::size_t{10007}})
      for (const int arrays : {0, 1, 2, 3}) {
        auto theta = rounded<float>(normal(n, 1)), m = rounded<float>(normal(n, 2, 0.1));
        const auto gradient = rounded<float>(normal(n, 3)), anchor = rounded<float>(normal(n, 4));
        auto v = rounded<float>(normal(n, 5)), fisher = rounded<float>(normal(n, 6));
        for (double& x : v) x *= x;
        for (double& x : fisher) x *= x;
        v = rounded<float>(v), fisher = rounded<float>(fisher);
        std::vector<double> mask(n, 1);
        for (std::size_t i = 0; i < n; i += 3) mask[i] = 0;
        AdamW o;
        o.decay = 0.1f, o.l2sp = 0.02f, o.ewc = 0.3f, o.step = 7;
        const Device<float> theta_(as<float>(theta)), m_(as<float>(m)), v_(as<float>(v)),
            g_(as<float>(gradient)), mask_(as<float>(mask)), anchor_(as<float>(anchor)),
            fisher_(as<float>(fisher));
        const Device<double> norm2(1),
            partial(static_cast<std::size_t>(kernels::cuda::norm_blocks(static_cast<long>(n))));
        kernels::cuda::squared_norm(norm2.data(), partial.data(), g_.data(), static_cast<long>(n), nullptr);
        double squares = 0;
        for (const double g : gradient) squares += g * g;
        EXPECT_NEAR(norm2.values()[0], squares, 1e-11 * squares);
        const double clip = 0.5;
        kernels::cuda::adamw(theta_.data(), m_.data(), v_.data(), g_.data(),
                             arrays > 0 ? mask_.data() : nullptr, arrays > 1 ? anchor_.data() : nullptr,
                             arrays > 2 ? fisher_.data() : nullptr, n, o, norm2.data(),
                             static_cast<float>(clip), nullptr);
        const double t1 = 1 - std::pow(static_cast<double>(o.beta1), 7),
                     t2 = 1 - std::pow(static_cast<double>(o.beta2), 7);
        kernels::AdamWStep s{};
        s.clip = static_cast<float>(std::min(1.0, clip / std::sqrt(squares)));
        s.l2sp = 2 * o.l2sp, s.ewc = o.ewc, s.beta1 = o.beta1, s.beta2 = o.beta2, s.eps = o.eps;
        s.step_size = static_cast<float>(static_cast<double>(o.rate) / t1);
        s.root_scale = static_cast<float>(1 / std::sqrt(t2)), s.shrink = o.rate * o.decay;
        kernels::ref::adamw<double>(theta.data(), m.data(), v.data(), gradient.data(),
                                    arrays > 0 ? mask.data() : nullptr, arrays > 1 ? anchor.data() : nullptr,
                                    arrays > 2 ? fisher.data() : nullptr, static_cast<long>(n), s);
        expect_near(theta_.values(), theta, 1e-6, "theta");
        expect_near(m_.values(), m, 1e-6, "m");
        expect_near(v_.values(), v, 1e-6, "v");
      }
  });
}

}  // namespace
}  // namespace emisopt::cuda_test
