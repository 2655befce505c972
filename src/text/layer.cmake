target_link_libraries(hs_text PRIVATE PkgConfig::JANSSON PkgConfig::YAML PkgConfig::PCRE2)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/text/templates.c PROPERTIES
  COMPILE_DEFINITIONS "HS_TEMPLATES_FILE=\"${CMAKE_SOURCE_DIR}/data/templates/default.yaml\""
  OBJECT_DEPENDS ${CMAKE_SOURCE_DIR}/data/templates/default.yaml)
