# Install of the C++ core for find_package(emisopt). Component `cpp`; the wheel takes `python` only.
#   cmake --install build/release --component cpp --prefix PREFIX
# All rooms and the engines become static libraries behind one target, emisopt::emisopt.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/emisopt")
get_property(_rooms GLOBAL PROPERTY EMISOPT_ROOMS)
foreach(_room kernels ${_rooms})
  set_target_properties(emisopt_${_room} PROPERTIES EXPORT_NAME ${_room})
  install(TARGETS emisopt_${_room} EXPORT emisoptTargets
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT cpp)
endforeach()
install(TARGETS emisopt EXPORT emisoptTargets COMPONENT cpp)
install(EXPORT emisoptTargets NAMESPACE emisopt:: DESTINATION "${_package_dir}" COMPONENT cpp)

# Of the engines the seam is public, their sources are not.
install(DIRECTORY "${PROJECT_SOURCE_DIR}/csrc/emisopt" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT cpp FILES_MATCHING PATTERN "*.hpp")
install(FILES "${PROJECT_SOURCE_DIR}/kernels/backend.hpp" "${PROJECT_SOURCE_DIR}/kernels/choices.hpp"
  "${PROJECT_SOURCE_DIR}/kernels/device_memory.hpp" "${PROJECT_SOURCE_DIR}/kernels/dense.hpp"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/kernels" COMPONENT cpp)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT cpp)

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/emisoptConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/emisoptConfig.cmake" INSTALL_DESTINATION "${_package_dir}")
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/emisoptConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/emisoptConfig.cmake" "${PROJECT_BINARY_DIR}/emisoptConfigVersion.cmake"
  DESTINATION "${_package_dir}" COMPONENT cpp)
