target_link_libraries(hs_data PRIVATE PkgConfig::JANSSON)
add_executable(bench_data EXCLUDE_FROM_ALL bench/bench_data.c)
target_link_libraries(bench_data PRIVATE hs_data)
