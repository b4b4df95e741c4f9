// The part of DLPack's C interface that arrays are handed over by (https://dmlc.github.io/dlpack, versions
// 0.x and 1.x): layouts and numbers are the standard's, the words are ours.
#pragma once
#include <cstddef>
#include <cstdint>

namespace emisopt::python::dlpack {

enum DeviceType : std::int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13 };
enum TypeCode : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kComplex = 5, kBool = 6 };
enum Flag : std::uint64_t { kReadOnly = 1, kIsCopied = 2 };

struct Version {
  std::uint32_t major, minor;
};
/// What we write, and the newest that we ask for; minor versions add only what may be passed over.
inline constexpr Version kVersion{1, 1};

struct Tensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t ndim;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t* shape;
  std::int64_t* strides;      // in scalars; null: row after row without gaps
  std::uint64_t byte_offset;  // of the first number behind `data`
};
/// Before version 1.0; capsules named "dltensor".
struct Managed {
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);  // may be null; any thread may call it, with and without the GIL
};
/// From 1.0 on; capsules named "dltensor_versioned". Up to `flags` the same in every version to come.
struct ManagedVersioned {
  Version version;
  void* context;
  void (*deleter)(ManagedVersioned*);
  std::uint64_t flags;
  Tensor tensor;
};
static_assert(sizeof(Tensor) == 48 && offsetof(Tensor, shape) == 24 && offsetof(Tensor, code) == 20);
static_assert(sizeof(Managed) == 64 && sizeof(ManagedVersioned) == 80);

template <class M>
inline constexpr const char* kName = "dltensor";
template <>
inline constexpr const char* kName<ManagedVersioned> = "dltensor_versioned";
/// What a consumer renames the capsule to: it will call the deleter, nobody else may take it.
template <class M>
inline constexpr const char* kUsed = "used_dltensor";
template <>
inline constexpr const char* kUsed<ManagedVersioned> = "used_dltensor_versioned";

}  // namespace emisopt::python::dlpack
