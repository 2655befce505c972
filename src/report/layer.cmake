target_link_libraries(hs_report PRIVATE PkgConfig::JANSSON PkgConfig::ZLIB PkgConfig::MICROHTTPD)

# The files of the page become part of the program: a list of them in the order in which the page has them, which
# src/report/page/page.c reads several times. Scripts: ECharts, the shell's in the order that app.js names, others and panels in
# order of names, live.js.
set(web ${CMAKE_SOURCE_DIR}/src/report/page/web)
file(GLOB page_scripts CONFIGURE_DEPENDS RELATIVE ${web} ${web}/*.js)
set(page_panels ${page_scripts})
list(FILTER page_panels INCLUDE REGEX "^panel_")
set(page_first echarts.min.js app.js state.js chart.js frame.js header.js)
list(REMOVE_ITEM page_scripts ${page_first} live.js ${page_panels})
set(page_names page.html style.css ECHARTS-LICENSE ECHARTS-NOTICE ${page_first} ${page_scripts} ${page_panels} live.js)
set(page_list "")
set(page_files "")
foreach(name IN LISTS page_names)
  set(path ${web}/${name})
  list(APPEND page_files ${path})
  string(MAKE_C_IDENTIFIER ${name} symbol)
  string(APPEND page_list "HS_X(${symbol}, \"${name}\", \"${path}\")\n")
endforeach()
file(CONFIGURE OUTPUT generated/report/page/assets.h CONTENT "@page_list@" @ONLY)
target_include_directories(hs_report PRIVATE ${CMAKE_BINARY_DIR}/generated)
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/report/page/page.c PROPERTIES OBJECT_DEPENDS "${page_files}")
