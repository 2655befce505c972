target_link_libraries(hs_model PRIVATE PkgConfig::JANSSON)
