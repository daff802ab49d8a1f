# The install rules of one layout: its places are at_*, its components in_* (Install.cmake sets them).
set(at_private ${at_lib}/udi)
set(at_package ${at_lib}/cmake/udi)

# ---- What a program needs that runs -----------------------------------------------------------------------------------
install(TARGETS udi EXPORT ${export}
        LIBRARY DESTINATION ${at_lib} COMPONENT ${in_library} ${by_name} NAMELINK_COMPONENT ${in_development}
        INCLUDES DESTINATION ${at_include})
install(TARGETS udi_core LIBRARY DESTINATION ${at_private} COMPONENT ${in_library} ${by_name})
# Kernels and graphs for NVIDIA GPUs, where they are built; packages have LibTorch's CPU libraries alone, and do without.
foreach(target udi_cuda udi_cuda_graph)
  if(TARGET ${target} AND in_cuda)
    install(TARGETS ${target} LIBRARY DESTINATION ${at_private} COMPONENT ${in_cuda})
    udi_strip_installed(${target} ${at_private} ${in_cuda})
  endif()
endforeach()
udi_strip_installed(udi ${at_lib} ${in_library})
udi_strip_installed(udi_core ${at_private} ${in_library})
foreach(library ${torch_libraries})
  cmake_path(GET library FILENAME name)
  file(REAL_PATH ${library} file)
  install(FILES ${file} DESTINATION ${at_private} RENAME ${name} COMPONENT ${in_library} ${by_name})
  udi_install_step(${in_library} "udi_strip(\"${at_private}/${name}\" \"\")" ${by_name})
endforeach()
if(torch_libraries)
  file(GLOB licences ${UDI_TORCH_FOUND_DIR}/../torch-*.dist-info/licenses/*)
  install(FILES ${licences} DESTINATION ${at_doc}/libtorch COMPONENT ${in_library} ${by_name})
  file(GLOB licences ${UDI_TORCH_FOUND_DIR}/../nvidia_cuda_runtime-*.dist-info/licenses/*)
  install(FILES ${licences} DESTINATION ${at_doc}/nvidia COMPONENT ${in_library} ${by_name})
endif()

# ---- What a program needs that is built: udi::udi is a header and a library, no Torch ----------------------------------
install(FILES include/udi.h include/udi.hpp DESTINATION ${at_include} COMPONENT ${in_development} ${by_name})
install(DIRECTORY include/udi DESTINATION ${at_include} COMPONENT ${in_development} ${by_name})
install(EXPORT ${export} FILE udiTargets.cmake NAMESPACE udi:: DESTINATION ${at_package}
        COMPONENT ${in_development} ${by_name})
install(FILES ${CMAKE_BINARY_DIR}/udiConfig.cmake ${CMAKE_BINARY_DIR}/udiConfigVersion.cmake DESTINATION ${at_package}
        COMPONENT ${in_development} ${by_name})

# The loader looks into system folders by itself; elsewhere the program has to carry the way. The configured prefix counts,
# not that of `cmake --install --prefix`: who stages a package for /usr wants no rpath.
cmake_path(ABSOLUTE_PATH at_lib BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE full_lib)
cmake_path(ABSOLUTE_PATH at_include BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE full_include)
set(UDI_PC_RPATH "-Wl,-rpath,\${libdir} ")
if(NOT keeps_run_path OR full_lib IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
  set(UDI_PC_RPATH "")
endif()
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${full_lib}/pkgconfig OUTPUT_VARIABLE UDI_PC_PREFIX)
cmake_path(RELATIVE_PATH full_lib BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE UDI_PC_LIBDIR)
cmake_path(RELATIVE_PATH full_include BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE UDI_PC_INCLUDEDIR)
configure_file(pkgconfig/libudi.pc.in ${CMAKE_BINARY_DIR}/pkgconfig/${in_development}/libudi.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/pkgconfig/${in_development}/libudi.pc DESTINATION ${at_lib}/pkgconfig
        COMPONENT ${in_development} ${by_name})

# ---- The tool ---------------------------------------------------------------------------------------------------------
install(TARGETS udi_cli RUNTIME DESTINATION ${at_bin} COMPONENT ${in_tools} ${by_name})
if(NOT keeps_run_path)
  udi_install_step(${in_tools} "udi_remove_run_path(\"${at_bin}/$<TARGET_FILE_NAME:udi_cli>\")" ${by_name})
endif()
udi_strip_installed(udi_cli ${at_bin} ${in_tools})

# ---- Documents ------------------------------------------------------------------------------------------------------
install(FILES LICENSE DESTINATION ${at_doc} COMPONENT ${in_library} ${by_name})
if(UDI_DOCUMENTS)
  install(DIRECTORY ${UDI_DOCUMENTS}/man3 DESTINATION ${at_man} COMPONENT ${in_development} ${by_name})
  install(DIRECTORY ${UDI_DOCUMENTS}/man1 DESTINATION ${at_man} COMPONENT ${in_tools} ${by_name})
  install(FILES ${UDI_DOCUMENTS}/udi.bash DESTINATION ${at_share}/bash-completion/completions RENAME udi
          COMPONENT ${in_tools} ${by_name})
  install(FILES ${UDI_DOCUMENTS}/_udi DESTINATION ${at_zsh} COMPONENT ${in_tools} ${by_name})
  install(FILES ${UDI_DOCUMENTS}/udi.fish DESTINATION ${at_share}/fish/vendor_completions.d
          COMPONENT ${in_tools} ${by_name})
endif()
