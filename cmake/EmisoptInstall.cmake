# Install of the C++ core for find_package(emisopt). Component `cpp`; the wheel takes `python` only.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
