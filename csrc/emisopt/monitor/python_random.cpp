#include "emisopt/monitor/python_random.hpp"

#include <algorithm>
#include <bit>

namespace emisopt {

PythonRandom::PythonRandom(std::uint64_t seed) {
  const std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  const std::uint32_t length = key[1] ? 2 : 1;  // digits of 32 bits; 0 is one digit
  state_[0] = 19650218u;
  for (std::uint32_t i = 1; i < kWords; ++i)
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  std::uint32_t i = 1, j = 0;
  for (int k = kWords; k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] + j;
    if (++i == kWords) state_[0] = state_[kWords - 1], i = 1;
    if (++j == length) j = 0;
  }
  for (int k = kWords - 1; k > 0; --k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) - i;
    if (++i == kWords) state_[0] = state_[kWords - 1], i = 1;
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  constexpr int kShift = 397;
  const auto twist = [](std::uint32_t high, std::uint32_t low) {
    const std::uint32_t y = (high & 0x80000000u) | (low & 0x7fffffffu);
    return (y >> 1) ^ ((0u - (y & 1u)) & 0x9908b0dfu);
  };
  std::uint32_t* s = state_.data();
  int i = 0;
  for (; i < kWords - kShift; ++i) s[i] = s[i + kShift] ^ twist(s[i], s[i + 1]);
  for (; i < kWords - 1; ++i) s[i] = s[i + kShift - kWords] ^ twist(s[i], s[i + 1]);
  s[kWords - 1] = s[kShift - 1] ^ twist(s[kWords - 1], s[0]);
  for (int k = 0; k < kWords; ++k) {
    std::uint32_t y = s[k];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    y ^= y >> 18;
    tempered_[static_cast<std::size_t>(k)] = y;
  }
  at_ = 0;
}

double PythonRandom::uniform() {
  const std::uint32_t a = word() >> 5, b = word() >> 6;
  return (a * 67108864.0 + b) * (1.0 / 9007199254740992.0);
}

std::uint32_t PythonRandom::below(std::uint32_t n) {
  const int count = std::bit_width(n);
  std::uint32_t r = bits(count);
  while (r >= n) r = bits(count);
  return r;
}

void PythonRandom::sample(std::uint32_t n, std::uint32_t k, std::uint32_t* out,
                          std::vector<std::uint32_t>& pool) {
  // CPython weighs a list of n against a set of k: 21, and the least power of 4 from 3 k on.
  std::uint64_t set_size = 21;
  if (k > 5) {
    std::uint64_t table = 1;
    while (table < std::uint64_t{3} * k) table *= 4;
    set_size += table;
  }
  if (n <= set_size) {
    pool.resize(n);
    for (std::uint32_t i = 0; i < n; ++i) pool[i] = i;
    for (std::uint32_t i = 0; i < k; ++i) {
      const std::uint32_t j = below(n - i);
      out[i] = pool[j];
      pool[j] = pool[n - i - 1];
    }
    return;
  }
  pool.assign((n + 31) / 32, 0);  // one bit per number: chosen
  for (std::uint32_t i = 0; i < k; ++i) {
    std::uint32_t j = below(n);
    while (pool[j / 32] >> (j % 32) & 1u) j = below(n);
    pool[j / 32] |= 1u << (j % 32);
    out[i] = j;
  }
}

}  // namespace emisopt
