# What `make uninstall` needs to know: for each DESTDIR and prefix a list, in the build folder, of the files installed there
# and of the folders that installing made. To be included before the first install(); hs_record_install() comes after
# the last one.
file(CONFIGURE OUTPUT generated/record_before.cmake CONTENT [[
set(hs_made "")
foreach(folder @CMAKE_INSTALL_BINDIR@ @CMAKE_INSTALL_LIBDIR@/pkgconfig @CMAKE_INSTALL_LIBDIR@/cmake/hopscope
        @CMAKE_INSTALL_INCLUDEDIR@/hopscope @CMAKE_INSTALL_MANDIR@/man1 @CMAKE_INSTALL_DATADIR@/bash-completion/completions)
  set(folder ${CMAKE_INSTALL_PREFIX}/${folder})
  while(NOT EXISTS "$ENV{DESTDIR}${folder}" AND NOT folder STREQUAL "/")
    list(APPEND hs_made "${folder}")
    get_filename_component(folder "${folder}" DIRECTORY)
  endwhile()
endforeach()
]] @ONLY)
file(CONFIGURE OUTPUT generated/record_after.cmake CONTENT [[
string(MD5 hs_record "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
set(hs_record "@CMAKE_BINARY_DIR@/installed/${hs_record}.txt")
set(hs_lines "")
if(EXISTS "${hs_record}") # installed before, perhaps another version
  file(STRINGS "${hs_record}" hs_lines ENCODING UTF-8)
endif()
foreach(path IN LISTS CMAKE_INSTALL_MANIFEST_FILES hs_made)
  list(APPEND hs_lines "${path}")
endforeach()
list(REMOVE_DUPLICATES hs_lines)
list(JOIN hs_lines "\n" hs_lines)
file(WRITE "${hs_record}" "${hs_lines}\n")
]] @ONLY)
install(SCRIPT ${CMAKE_BINARY_DIR}/generated/record_before.cmake)
macro(hs_record_install)
  install(SCRIPT ${CMAKE_BINARY_DIR}/generated/record_after.cmake)
endmacro()
