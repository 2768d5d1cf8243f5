# Runs packaging/vcpkg/portfile.cmake with stand-ins for the functions of vcpkg that it calls: each
# takes the same words and refuses others. They do the work, so that there is a package to look at.

function(vcpkg_execute_required_process)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "" "WORKING_DIRECTORY;LOGNAME" "COMMAND")
  if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_COMMAND OR NOT ARG_WORKING_DIRECTORY OR NOT ARG_LOGNAME)
    message(FATAL_ERROR "vcpkg_execute_required_process: ${ARGV}")
  endif()
  # What make has built of the same sources: so it takes seconds.
  file(COPY "${BUILT}" DESTINATION "${ARG_WORKING_DIRECTORY}/target")
  execute_process(COMMAND ${ARG_COMMAND} WORKING_DIRECTORY "${ARG_WORKING_DIRECTORY}" RESULT_VARIABLE RESULT)
  if(NOT RESULT EQUAL 0)
    message(FATAL_ERROR "${ARG_COMMAND}: ${RESULT}")
  endif()
endfunction()

function(vcpkg_fixup_pkgconfig)
  if(ARGN OR NOT EXISTS "${CURRENT_PACKAGES_DIR}/lib/pkgconfig/evloop.pc")
    message(FATAL_ERROR "vcpkg_fixup_pkgconfig: ${ARGV}")
  endif()
endfunction()

function(vcpkg_install_copyright)
  cmake_parse_arguments(PARSE_ARGV 0 ARG "" "COMMENT" "FILE_LIST")
  if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_FILE_LIST)
    message(FATAL_ERROR "vcpkg_install_copyright: ${ARGV}")
  endif()
  foreach(FILE IN LISTS ARG_FILE_LIST)
    file(READ "${FILE}" TEXT)
    file(APPEND "${CURRENT_PACKAGES_DIR}/share/evloop/copyright" "${TEXT}")
  endforeach()
endfunction()

include("${CMAKE_CURRENT_LIST_DIR}/../../packaging/vcpkg/portfile.cmake")

file(READ "${CMAKE_CURRENT_LIST_DIR}/../../packaging/vcpkg/vcpkg.json" MANIFEST)
foreach(KEY name version description homepage license supports)
  string(JSON VALUE GET "${MANIFEST}" ${KEY}) # stops here if it is no JSON, or the key is missing
endforeach()
