# An overlay port of the sources that it lies in; it needs cargo, as `make` does:
#
#   vcpkg install evloop --overlay-ports=packaging/vcpkg
#
# What is checked: the tests run this file with stand-ins for vcpkg's functions, and build a program
# with what it installs, for static and for dynamic triplets. By vcpkg itself it has not been run.

get_filename_component(SOURCES "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(SOURCE_PATH "${CURRENT_BUILDTREES_DIR}/src")
set(VCPKG_BUILD_TYPE release) # a debug build of the library would be the same one

# A copy, so that nothing is built in the sources.
file(REMOVE_RECURSE "${SOURCE_PATH}")
foreach(PART Cargo.toml Cargo.lock Makefile build.rs LICENSE-MIT LICENSE-APACHE src include packaging c_examples
             tests benches docs)
  file(COPY "${SOURCES}/${PART}" DESTINATION "${SOURCE_PATH}" PATTERN site EXCLUDE PATTERN __pycache__ EXCLUDE)
endforeach()

vcpkg_execute_required_process(
  COMMAND make package man
  WORKING_DIRECTORY "${SOURCE_PATH}"
  LOGNAME "build-${TARGET_TRIPLET}")
vcpkg_execute_required_process(
  COMMAND make install PREFIX=/ LIBDIR=/lib CMAKEDIR=/share/evloop "DESTDIR=${CURRENT_PACKAGES_DIR}"
  WORKING_DIRECTORY "${SOURCE_PATH}"
  LOGNAME "install-${TARGET_TRIPLET}")

if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
  file(GLOB UNWANTED "${CURRENT_PACKAGES_DIR}/lib/libevloop.so*")
else()
  set(UNWANTED "${CURRENT_PACKAGES_DIR}/lib/libevloop.a")
endif()
file(REMOVE ${UNWANTED})

vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE-MIT" "${SOURCE_PATH}/LICENSE-APACHE")
file(WRITE "${CURRENT_PACKAGES_DIR}/share/evloop/usage"
  "evloop provides CMake targets:\n\n  find_package(evloop CONFIG REQUIRED)\n"
  "  target_link_libraries(main PRIVATE $<IF:$<TARGET_EXISTS:evloop::evloop>,evloop::evloop,evloop::static>)\n")
