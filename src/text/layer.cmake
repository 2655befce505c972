target_link_libraries(hs_text PRIVATE PkgConfig::JANSSON PkgConfig::YAML PkgConfig::PCRE2)
