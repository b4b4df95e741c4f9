# emisopt_room(NAME DEPS ...): csrc/emisopt/NAME/*.cpp becomes the static library emisopt_NAME.
# DEPS are earlier rooms (by name), `kernels`, or other targets.
function(emisopt_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/csrc/emisopt/${name}/*.cpp")
  set(links)
  foreach(dep IN LISTS ROOM_DEPS)
    if(TARGET emisopt_${dep})
      list(APPEND links emisopt_${dep})
    else()
      list(APPEND links ${dep})
    endif()
  endforeach()
  if(sources)
    add_library(emisopt_${name} STATIC ${sources})
    target_include_directories(emisopt_${name} PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/csrc> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
      $<INSTALL_INTERFACE:include>)
    target_link_libraries(emisopt_${name} PUBLIC ${links} Threads::Threads ${CMAKE_DL_LIBS}
      PRIVATE $<BUILD_INTERFACE:emisopt_flags>)
  else()
    add_library(emisopt_${name} INTERFACE)
    target_include_directories(emisopt_${name} INTERFACE
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/csrc> $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
      $<INSTALL_INTERFACE:include>)
    target_link_libraries(emisopt_${name} INTERFACE ${links} Threads::Threads)
  endif()
  set_property(GLOBAL APPEND PROPERTY EMISOPT_ROOMS ${name}) # EmisoptInstall.cmake and tests/cpp read it
endfunction()
