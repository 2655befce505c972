# HOPSCOPE_INTERFACE: a digest of what the public headers say to the compiler, comments and white space left out. Equal digests
# are equal structures and functions: hs_interface() (core.h) gives it to those who declare them by themselves.
file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/hopscope/*.h)
list(SORT headers)
set(declarations "")
foreach(header IN LISTS headers)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  file(READ ${header} text)
  string(APPEND declarations "${text}")
endforeach()
string(REGEX REPLACE "/\\*([^*]|\\*+[^*/])*\\*+/" " " declarations "${declarations}")
string(REGEX REPLACE "[ \t\r\n\\\\]+" " " declarations "${declarations}")
string(SHA256 HOPSCOPE_INTERFACE "${declarations}")
string(SUBSTRING ${HOPSCOPE_INTERFACE} 0 16 HOPSCOPE_INTERFACE)
