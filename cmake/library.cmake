# libhopscope for other programs, shared and static, with its headers, its pkg-config file and its CMake package. Both hold the
# objects of all layers. What the public headers declare is exported (their pragma), under the symbol version HOPSCOPE_x.y;
# calls inside the shared library are bound when it is linked. A library that a layer links must be found by pkg-config,
# so that users of the static one can be told.
include(CMakePackageConfigHelpers)

set(objects "")
set(linked "")
foreach(layer IN LISTS HOPSCOPE_LAYERS)
  list(APPEND objects $<TARGET_OBJECTS:hs_${layer}>)
  get_target_property(links hs_${layer} LINK_LIBRARIES)
  list(APPEND linked ${links})
endforeach()
foreach(isa IN LISTS isas)
  list(APPEND objects $<TARGET_OBJECTS:hs_kernels_${isa}>)
endforeach()
list(REMOVE_DUPLICATES linked)

set(HOPSCOPE_MODULES "") # PREFIX=module, as pkg_check_modules was told
set(HOPSCOPE_LIBS "")    # flags to link with the static library
foreach(link IN LISTS linked)
  if(link MATCHES "^PkgConfig::(.+)$")
    list(APPEND HOPSCOPE_MODULES ${CMAKE_MATCH_1}=${${CMAKE_MATCH_1}_MODULE_NAME})
    list(APPEND HOPSCOPE_LIBS ${${CMAKE_MATCH_1}_LDFLAGS})
  elseif(link MATCHES "^(m|dl)$")
    list(APPEND HOPSCOPE_LIBS -l${link})
  elseif(NOT link MATCHES "^hs_" AND NOT link STREQUAL "Threads::Threads")
    message(FATAL_ERROR "cmake/library.cmake: users of the static library cannot be told of '${link}': link a pkg-config module")
  endif()
endforeach()
list(APPEND HOPSCOPE_LIBS -pthread)
list(REMOVE_DUPLICATES HOPSCOPE_LIBS)
foreach(folder IN LISTS CMAKE_C_IMPLICIT_LINK_DIRECTORIES) # where the linker looks anyway
  list(REMOVE_ITEM HOPSCOPE_LIBS -L${folder})
endforeach()
list(JOIN HOPSCOPE_LIBS " " HOPSCOPE_LIBS)
list(FILTER linked EXCLUDE REGEX "^hs_")

# Before 1.0 a new minor version may break programs, so it is another library to the loader; from then on a major one.
set(HOPSCOPE_ABI ${PROJECT_VERSION_MAJOR})
set(compatible SameMajorVersion)
if(PROJECT_VERSION_MAJOR EQUAL 0)
  set(HOPSCOPE_ABI 0.${PROJECT_VERSION_MINOR})
  set(compatible SameMinorVersion)
endif()

add_library(hopscope_shared SHARED ${objects})
add_library(hopscope_static STATIC ${objects})
foreach(kind shared static)
  set_target_properties(hopscope_${kind} PROPERTIES OUTPUT_NAME hopscope LINKER_LANGUAGE C)
  target_link_libraries(hopscope_${kind} PRIVATE ${linked})
  install(TARGETS hopscope_${kind} EXPORT hopscope-${kind} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT hopscope-${kind} NAMESPACE hopscope:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hopscope)
endforeach()
set_target_properties(hopscope_shared PROPERTIES EXPORT_NAME hopscope VERSION ${PROJECT_VERSION} SOVERSION ${HOPSCOPE_ABI})
set_target_properties(hopscope_static PROPERTIES EXPORT_NAME static)
# What gcc makes to choose between the clones of a function (src/model/clones.h) cannot be hidden otherwise.
file(GLOB_RECURSE sources CONFIGURE_DEPENDS src/*.c)
set(resolvers "")
foreach(source IN LISTS sources)
  file(STRINGS ${source} cloned REGEX "^HS_CLONES [a-z]+ hs_")
  foreach(line IN LISTS cloned)
    string(REGEX REPLACE ".* (hs_[a-z0-9_]+)\\(.*" "\\1.resolver; " line "${line}")
    string(APPEND resolvers "${line}")
  endforeach()
endforeach()
file(CONFIGURE OUTPUT generated/hopscope.map
     CONTENT "HOPSCOPE_@HOPSCOPE_ABI@ { global: hs_*; local: @resolvers@*; };\n" @ONLY)
target_link_options(hopscope_shared PRIVATE LINKER:--version-script=${CMAKE_BINARY_DIR}/generated/hopscope.map
                    LINKER:-Bsymbolic-functions LINKER:-z,defs LINKER:-z,relro LINKER:-z,now)
set_target_properties(hopscope_shared PROPERTIES LINK_DEPENDS ${CMAKE_BINARY_DIR}/generated/hopscope.map)

install(DIRECTORY include/hopscope DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
file(RELATIVE_PATH HOPSCOPE_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" HOPSCOPE_UP "${HOPSCOPE_UP}")
configure_file(cmake/hopscope.pc.in generated/hopscope.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/generated/hopscope.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(cmake/hopscopeConfig.cmake.in generated/hopscopeConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hopscope)
write_basic_package_version_file(generated/hopscopeConfigVersion.cmake COMPATIBILITY ${compatible})
install(FILES ${CMAKE_BINARY_DIR}/generated/hopscopeConfig.cmake ${CMAKE_BINARY_DIR}/generated/hopscopeConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hopscope)
