# Where the header wheels live. scikit-build-core puts the build environment's site-packages on
# CMAKE_PREFIX_PATH; cmeel wheels (Eigen) sit one level lower. A plain `cmake -B build` asks the
# interpreter instead, so both ways find the same Eigen; a system Eigen works as well.
macro(emisopt_add_cmeel_prefixes)
  set(_site_dirs ${CMAKE_PREFIX_PATH})
  if(NOT SKBUILD AND Python_EXECUTABLE)
    execute_process(
      COMMAND "${Python_EXECUTABLE}" -c
        "import sysconfig,sys;print(';'.join({sysconfig.get_path('purelib'),*[p for p in sys.path if p.endswith('site-packages')]}))"
      OUTPUT_VARIABLE _py_site OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    list(APPEND _site_dirs ${_py_site})
    list(APPEND CMAKE_PREFIX_PATH ${_py_site})
  endif()
  foreach(_d IN LISTS _site_dirs)
    if(IS_DIRECTORY "${_d}/cmeel.prefix")
      list(APPEND CMAKE_PREFIX_PATH "${_d}/cmeel.prefix")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES CMAKE_PREFIX_PATH)
endmacro()

# GoogleTest: a package of the system, else sources (those that EMISOPT_GOOGLETEST names, those that Debian's
# `googletest` leaves), else a download when asked. FetchContent without a route to the net takes a minute to
# fail, so it is opt-in.
set(EMISOPT_GOOGLETEST "/usr/src/googletest" CACHE PATH "Sources of GoogleTest, where there is no package of it")
macro(emisopt_find_googletest)
  find_package(GTest 1.12 CONFIG QUIET)
  if(NOT GTest_FOUND AND NOT TARGET GTest::gtest)
    if(EXISTS "${EMISOPT_GOOGLETEST}/CMakeLists.txt")
      set(INSTALL_GTEST OFF CACHE BOOL "" FORCE)
      set(BUILD_GMOCK OFF CACHE BOOL "" FORCE)
      add_subdirectory("${EMISOPT_GOOGLETEST}" "${CMAKE_BINARY_DIR}/googletest" EXCLUDE_FROM_ALL)
      if(NOT TARGET GTest::gtest_main)
        add_library(GTest::gtest ALIAS gtest)
        add_library(GTest::gtest_main ALIAS gtest_main)
      endif()
    elseif(EMISOPT_FETCH_DEPS)
      include(FetchContent)
      set(INSTALL_GTEST OFF CACHE BOOL "" FORCE)
      FetchContent_Declare(googletest
        URL https://github.com/google/googletest/archive/refs/tags/v1.14.0.tar.gz
        URL_HASH SHA256=8ad598c73ad796e0d8280b082cebd82a630d73e73cd3c70057938a6501bba5d7)
      FetchContent_MakeAvailable(googletest)
    else()
      message(FATAL_ERROR "GoogleTest not found. Install it (Debian: apt-get install libgtest-dev), "
        "or configure with -DEMISOPT_FETCH_DEPS=ON to download it.")
    endif()
  endif()
endmacro()
