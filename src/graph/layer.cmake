target_link_libraries(hs_graph PRIVATE PkgConfig::JANSSON)
if(SERD_FOUND)
  target_link_libraries(hs_graph PRIVATE PkgConfig::SERD)
  target_compile_definitions(hs_graph PRIVATE HS_WITH_SERD)
endif()
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/graph/read/world.c PROPERTIES
  COMPILE_DEFINITIONS "HS_WORLD_FILE=\"${CMAKE_SOURCE_DIR}/data/world/world.tsv\""
  OBJECT_DEPENDS ${CMAKE_SOURCE_DIR}/data/world/world.tsv)
