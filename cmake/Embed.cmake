# embed_text(FILE SYMBOL OUT): OUT becomes a C source that defines `const char SYMBOL[]` with the text of FILE.
function(embed_text file symbol out)
  add_custom_command(OUTPUT ${out} DEPENDS ${file} ${CMAKE_SOURCE_DIR}/cmake/Embed.cmake
    COMMAND ${CMAKE_COMMAND} -DIN=${file} -DOUT=${out} -DSYMBOL=${symbol} -P ${CMAKE_SOURCE_DIR}/cmake/EmbedText.cmake)
endfunction()
