#include "emisopt/base/safetensors.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "emisopt/base/error.hpp"
#include "emisopt/base/os.hpp"
#include "emisopt/base/rng.hpp"

namespace emisopt {
namespace {

SafeTensors small_file() {
  SafeTensors file;
  file.metadata = {{"format", "emisopt"}, {"note", "\"NOx\" in \xC2\xB5g"}};
  file.add("w", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6.5f});
  file.add("scale", {}, std::vector<double>{0.25});
  file.add("ids", {2}, std::vector<std::int64_t>{-1, 7});
  file.add("empty", {0, 4}, std::vector<float>{});
  return file;
}

// Bytes of a file with this header text and so many bytes of data.
std::string with_header(const std::string& header, std::size_t data = 0) {
  std::string out;
  for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>(header.size() >> shift & 0xFF);
  return out + header + std::string(data, '\0');
}

std::string refusal(std::string_view bytes) {
  try {
    SafeTensors::from_bytes(bytes, "f");
  } catch (const FileError& error) {
    return error.what();
  }
  return "accepted";
}

void expect_says(const std::string& bytes, const std::string& part) {
  EXPECT_NE(refusal(bytes).find(part), std::string::npos) << refusal(bytes);
}

TEST(SafeTensors, RoundTrips) {
  const SafeTensors file = small_file();
  const SafeTensors back = SafeTensors::from_bytes(file.to_bytes(), "f");
  EXPECT_EQ(back.metadata, file.metadata);
  EXPECT_EQ(back.to_bytes(), file.to_bytes());
  EXPECT_EQ(back.f32("w", "f"), (std::vector<float>{1, 2, 3, 4, 5, 6.5f}));
  EXPECT_EQ(back.f64("scale", "f"), std::vector<double>{0.25});
  EXPECT_EQ(back.i64("ids", "f"), (std::vector<std::int64_t>{-1, 7}));
  EXPECT_TRUE(back.f32("empty", "f").empty());
}

TEST(SafeTensors, WritesTheBytesOfTheFormat) {
  SafeTensors file;
  file.add("b", {1}, std::vector<float>{1.0f});
  file.add("a", {1}, std::vector<double>{-2.0});
  const std::string header =
      "{\"a\":{\"data_offsets\":[0,8],\"dtype\":\"F64\",\"shape\":[1]},"
      "\"b\":{\"data_offsets\":[8,12],\"dtype\":\"F32\",\"shape\":[1]}}";
  const std::size_t padded = (header.size() + 7) / 8 * 8;
  std::string expected = with_header(header + std::string(padded - header.size(), ' '));
  expected += std::string("\0\0\0\0\0\0\0\xC0", 8);  // -2.0, little-endian binary64
  expected += std::string("\0\0\x80\x3F", 4);        // 1.0f
  EXPECT_EQ(file.to_bytes(), expected);
}

TEST(SafeTensors, EveryTruncationIsRefused) {
  const std::string bytes = small_file().to_bytes();
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_NE(refusal(bytes.substr(0, length)), "accepted") << length;
  EXPECT_NE(refusal(bytes + '\0'), "accepted");
}

TEST(SafeTensors, EveryFlippedBitOfASealedFileIsRefused) {
  SafeTensors file = small_file();
  file.seal();
  const std::string bytes = file.to_bytes();
  EXPECT_NO_THROW(SafeTensors::from_bytes(bytes, "f").verify("f"));
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    bool same_text = false;
    try {
      const SafeTensors read = SafeTensors::from_bytes(flipped, "f");
      // A space that turned into another kind of JSON space says the same; all else must be noticed.
      same_text = read.to_bytes() == bytes;
      read.verify("f");
      EXPECT_TRUE(same_text) << "bit " << bit;
    } catch (const FileError&) {
    }
  }
}

TEST(SafeTensors, RandomHeadersNeverCrash) {
  Rng rng(11);
  const std::string bytes = small_file().to_bytes();
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string mutant = bytes;
    const std::int64_t cut = rng.below(10) ? static_cast<std::int64_t>(bytes.size()) : rng.below(400);
    mutant.resize(
        static_cast<std::size_t>(std::min<std::int64_t>(cut, static_cast<std::int64_t>(bytes.size()))));
    static constexpr std::string_view kLetters = "{}[]\",:0123456789-eE.FIU \xFF";
    for (std::int64_t k = rng.below(6); k >= 0 && !mutant.empty(); --k)
      mutant[static_cast<std::size_t>(rng.below(static_cast<std::int64_t>(mutant.size())))] =
          kLetters[static_cast<std::size_t>(rng.below(static_cast<std::int64_t>(kLetters.size())))];
    accepted += refusal(mutant) == "accepted";
  }
  EXPECT_LT(accepted, 20000);
}

TEST(SafeTensors, NamesWhatIsWrongWithAHeader) {
  expect_says("", "at least 8 bytes, got 0");
  expect_says(with_header("[]"), "not a safetensors file");
  expect_says("PK\x03\x04 this is a zip archive", "not a safetensors file");
  expect_says(std::string("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 8) + "{", "not a safetensors file");
  expect_says(std::string("\x40\0\0\0\0\0\0\0", 8) + "{}",
              "truncated: the header takes 64 bytes, the file holds 2");
  const auto one = [](const std::string& body) { return "{\"a\":{" + body + "}}"; };
  expect_says(with_header("{\"a\":1}"), "tensor 'a': expected an object");
  expect_says(with_header(one("\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]"), 2), "type 'BF16'");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"), 4), "needs 8 bytes");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8), "(a gap)");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]"), 8), "corrupt");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 3), "truncated");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 5),
              "1 bytes follow");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4),
              "0 or more, got -1");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]"), 4), "an integer");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4),
              "two data_offsets, got 1");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shape\":[1]"), 4), "'data_offsets' is missing");
  expect_says(with_header(one("\"dtype\":\"F32\",\"shap\":[1],\"data_offsets\":[0,4]"), 4),
              "did you mean 'shape'");
  expect_says(with_header(one("\"dtype\":\"F64\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]")),
              "too large");
  expect_says(with_header("{\"__metadata__\":{\"a\":1}}"), "'a': expected a string, got number 1");
  const std::string a = "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}";
  expect_says(with_header("{" + a + "," + a + "}", 4), "stands twice");
  expect_says(with_header("{" + a + ",\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6),
              "overlaps another");
}

TEST(SafeTensors, GettersSayWhatIsMissing) {
  const SafeTensors file = small_file();
  const auto text = [&](auto call) -> std::string {
    try {
      call();
    } catch (const FileError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(text([&] { file.f32("scal", "f"); }), "f: tensor 'scal' is missing; did you mean 'scale'?");
  EXPECT_EQ(text([&] { file.f32("scale", "f"); }), "f: tensor 'scale': expected type F32, got F64");
  const std::vector<std::int64_t> wrong = {3, 2}, right = {-1, 3};
  EXPECT_EQ(text([&] { file.f32("w", "f", &wrong); }), "f: tensor 'w': expected shape (3, 2), got (2, 3)");
  EXPECT_EQ(text([&] { file.f32("w", "f", &right); }), "accepted");
  EXPECT_NE(text([&] { file.note("tags", "f"); }).find("'tags' is missing"), std::string::npos);
  EXPECT_NE(text([&] { file.verify("f"); }).find("'content_sha256' is missing"), std::string::npos);
}

TEST(SafeTensors, AddChecksNameAndCount) {
  SafeTensors file = small_file();
  EXPECT_THROW(file.add("w", {1}, std::vector<float>{1}), InputError);
  EXPECT_THROW(file.add("__metadata__", {1}, std::vector<float>{1}), InputError);
  EXPECT_THROW(file.add("x", {2}, std::vector<float>{1}), ShapeError);
}

TEST(SafeTensors, AStateIsOfItsKindItsVersionAndUnchanged) {
  SafeTensors file = small_file();
  file.metadata.erase("format");
  const auto refusal = [&] {
    try {
      file.expect_state("Clock", "emisopt-clock", 3, "here");
    } catch (const FileError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(
      refusal(),
      "here: expected the state of a Clock (metadata format 'emisopt-clock'), got a file without that entry");
  file.metadata["format"] = "emisopt-watch";
  EXPECT_NE(refusal().find("got 'emisopt-watch'"), std::string::npos);
  file.metadata["format"] = "emisopt-clock";
  EXPECT_NE(refusal().find("'format_version' is missing"), std::string::npos);
  file.metadata["format_version"] = "2";
  EXPECT_EQ(refusal(), "here: expected format_version 3, got '2'; load it with the emisopt that wrote it");
  file.metadata["format_version"] = "3";
  EXPECT_NE(refusal(), "");  // not sealed
  file.seal();
  EXPECT_EQ(refusal(), "");
  file.metadata["more"] = "1";
  EXPECT_NE(refusal(), "");
}

TEST(SafeTensors, SavesAndLoads) {
  const std::string path =
      testing::TempDir() + "emisopt_" + std::to_string(os::process_id()) + ".safetensors";
  SafeTensors file = small_file();
  file.seal();
  file.save(path);
  EXPECT_EQ(os::read_file(path), file.to_bytes());
  SafeTensors::load(path).verify(path);
  std::filesystem::remove(path);
  EXPECT_THROW(SafeTensors::load(path), FileError);
}

}  // namespace
}  // namespace emisopt
