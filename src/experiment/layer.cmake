target_link_libraries(hs_experiment PRIVATE PkgConfig::YAML PkgConfig::JANSSON PkgConfig::SQLITE)
