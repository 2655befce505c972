target_link_libraries(hs_report PRIVATE PkgConfig::JANSSON)
