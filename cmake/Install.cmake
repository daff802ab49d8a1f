# What an installed libudi is: everything below one prefix, which may be moved as a whole. LibTorch's CPU libraries come
# along unless the user named a folder of it.
include(CMakePackageConfigHelpers)
set(udi_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/udi)

install(TARGETS udi EXPORT udiTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS udi_core LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/udi)
install(FILES include/udi.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(library ${UDI_TORCH_LIBRARIES})
  cmake_path(GET library FILENAME name)
  file(REAL_PATH ${library} file)
  install(FILES ${file} DESTINATION ${CMAKE_INSTALL_LIBDIR}/udi RENAME ${name})
endforeach()
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_BINDIR} OUTPUT_VARIABLE to_lib)
set_target_properties(udi_cli PROPERTIES INSTALL_RPATH $ORIGIN/${to_lib})
install(TARGETS udi_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# udi::udi: a header and a library, no Torch.
install(EXPORT udiTargets NAMESPACE udi:: DESTINATION ${udi_package_dir})
file(WRITE ${CMAKE_BINARY_DIR}/udiConfig.cmake "include(\${CMAKE_CURRENT_LIST_DIR}/udiTargets.cmake)\n")
write_basic_package_version_file(${CMAKE_BINARY_DIR}/udiConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/udiConfig.cmake ${CMAKE_BINARY_DIR}/udiConfigVersion.cmake
        DESTINATION ${udi_package_dir})

# The loader looks into system folders by itself; elsewhere the program has to carry the way. The configured prefix counts,
# not that of `cmake --install --prefix`: who stages a package for /usr wants no rpath.
set(UDI_PC_RPATH "-Wl,-rpath,\${libdir} ")
if(CMAKE_INSTALL_FULL_LIBDIR IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
  set(UDI_PC_RPATH "")
endif()
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
           OUTPUT_VARIABLE UDI_PC_PREFIX)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE UDI_PC_LIBDIR)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX}
           OUTPUT_VARIABLE UDI_PC_INCLUDEDIR)
configure_file(pkgconfig/libudi.pc.in ${CMAKE_BINARY_DIR}/libudi.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/libudi.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
