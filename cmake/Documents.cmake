# Man pages and shell completions, from the tool's own --help, the job schema and the header. Sanitizers' builds have none.
set(UDI_DOCUMENTS "")
if(NOT UDI_SANITIZE)
  set(UDI_DOCUMENTS ${CMAKE_BINARY_DIR}/documents)
  set(stamp ${UDI_DOCUMENTS}/.made)
  set(schema ${CMAKE_SOURCE_DIR}/src/jobs/schema.json)
  set(header ${CMAKE_SOURCE_DIR}/include/udi.h)
  set(makers commands gen_completions gen_man header_page roff)
  set(scripts ${CMAKE_SOURCE_DIR}/scripts)
  list(TRANSFORM makers REPLACE "(.+)" "${scripts}/\\1.py")
  add_custom_command(OUTPUT ${stamp} DEPENDS udi_cli ${schema} ${header} ${makers}
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${UDI_DOCUMENTS}
    COMMAND ${Python3_EXECUTABLE} ${scripts}/gen_man.py $<TARGET_FILE:udi_cli> ${schema} ${header} ${UDI_DOCUMENTS}
    COMMAND ${Python3_EXECUTABLE} ${scripts}/gen_completions.py $<TARGET_FILE:udi_cli> ${schema} ${UDI_DOCUMENTS}
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp})
  add_custom_target(documents ALL DEPENDS ${stamp})
endif()
