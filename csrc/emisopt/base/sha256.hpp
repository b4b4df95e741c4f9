// SHA-256 (FIPS 180-4): tells a flipped bit in a checkpoint, names a config or a permit by its content.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace emisopt {

class Sha256 {
 public:
  void update(std::string_view bytes);
  /// 64 lower-case hexadecimal digits. Ends the stream: update() afterwards has no meaning.
  std::string hex();

 private:
  void block(const unsigned char* bytes);  // (64)

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> buffer_ = {};
  std::size_t filled_ = 0;    // bytes waiting in buffer_
  std::uint64_t length_ = 0;  // bytes seen
};

std::string sha256_hex(std::string_view bytes);

}  // namespace emisopt
