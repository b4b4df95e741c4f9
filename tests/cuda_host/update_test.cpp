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
        const Device<double> losses(std::vector<double>(10, 0.25));
        const Device<kernels::cuda::StepVerdict> verdict(std::vector<kernels::cuda::StepVerdict>(1));
        kernels::cuda::verdict(verdict.data(), losses.data(), 2, {{1, 0, 2, 0, 0}}, norm2.data(), clip,
                               nullptr);
        EXPECT_EQ(verdict.values()[0].loss, 1.5);
        const Device<kernels::cuda::UpdateStep> step(
            std::vector<kernels::cuda::UpdateStep>{kernels::cuda::update_step(o, 0.75f)});
        const Device<float> working(n), shadow(as<float>(theta));
        kernels::cuda::update({theta_.data(), m_.data(), v_.data(), g_.data(),
                               arrays > 0 ? mask_.data() : nullptr, arrays > 1 ? anchor_.data() : nullptr,
                               arrays > 2 ? fisher_.data() : nullptr, nullptr, working.data(), shadow.data()},
                              n, step.data(), verdict.data(), nullptr);
        const std::vector<double> before = theta;
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
        EXPECT_EQ(working.values(), theta_.values());
        std::vector<double> average(n);
        for (std::size_t i = 0; i < n; ++i) average[i] = 0.75 * before[i] + 0.25 * theta[i];
        expect_near(shadow.values(), average, 1e-6, "average");
        expect_near(m_.values(), m, 1e-6, "m");
        expect_near(v_.values(), v, 1e-6, "v");
      }
  });
}

TEST(Update, AStepThatIsNotFiniteChangesNothingNorDoesAnyAfterIt) {
  const std::vector<float> ones(40, 1.0f);
  const Device<float> theta(ones), m(ones), v(ones), gradient(ones);
  const Device<kernels::cuda::StepVerdict> verdict(std::vector<kernels::cuda::StepVerdict>(1));
  const Device<kernels::cuda::UpdateStep> step(
      std::vector<kernels::cuda::UpdateStep>{kernels::cuda::update_step({}, -1)});
  const Device<double> norm2(std::vector<double>{40});
  for (const double loss : {std::nan(""), 1.0}) {
    const Device<double> losses(std::vector<double>(5, loss));
    kernels::cuda::verdict(verdict.data(), losses.data(), 1, {{1, 0, 0, 0, 0}}, norm2.data(), 0, nullptr);
    kernels::cuda::update({theta.data(), m.data(), v.data(), gradient.data(), nullptr, nullptr, nullptr,
                           nullptr, nullptr, nullptr},
                          ones.size(), step.data(), verdict.data(), nullptr);
    EXPECT_EQ(verdict.values()[0].stopped, 1);
    EXPECT_EQ(theta.values(), ones);
    EXPECT_EQ(m.values(), ones);
  }
}

}  // namespace
}  // namespace emisopt::cuda_test
