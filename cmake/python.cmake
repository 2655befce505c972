# The Python package (pyproject.toml): the shared library, and what python/generate.py reads of the public headers.
find_package(Python REQUIRED COMPONENTS Interpreter)
set(declarations ${CMAKE_BINARY_DIR}/generated/_declarations.py)
add_custom_command(OUTPUT ${declarations} generated/layout.c
                   COMMAND Python::Interpreter ${CMAKE_SOURCE_DIR}/python/generate.py ${CMAKE_SOURCE_DIR}/include
                           ${CMAKE_C_COMPILER} ${HOPSCOPE_INTERFACE} ${declarations} generated/layout.c
                   DEPENDS python/generate.py ${headers} VERBATIM)
add_library(hopscope_layout OBJECT ${CMAKE_BINARY_DIR}/generated/layout.c) # compiled for its assertions
target_include_directories(hopscope_layout PRIVATE include)
add_custom_target(hopscope_python DEPENDS ${declarations} hopscope_layout hopscope_shared)
install(FILES $<TARGET_FILE:hopscope_shared> DESTINATION hopscope RENAME libhopscope.so COMPONENT python)
install(FILES ${declarations} DESTINATION hopscope COMPONENT python)
