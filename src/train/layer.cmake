target_link_libraries(hs_train PRIVATE PkgConfig::SQLITE PkgConfig::JANSSON)
