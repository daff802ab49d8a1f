# What an installed libudi is: everything below one prefix, which may be moved as a whole. LibTorch's CPU libraries come
# along unless the user named a folder of it. The same files are laid out twice (Layout.cmake):
#
#   as configured       components library, development, tools, cuda (with nvcc alone); and two that are installed by name alone: debug (files for
#                       gdb) and bundle (libraries that a bare system lacks, for the .tar.gz)
#   as Debian wants it  one component a package, each by name alone (Packages.cmake)
include(CMakePackageConfigHelpers)
option(UDI_STRIP "Installed files have no symbols; the component debug has them" ON)

file(WRITE ${CMAKE_BINARY_DIR}/udiConfig.cmake "include(\${CMAKE_CURRENT_LIST_DIR}/udiTargets.cmake)\n")
write_basic_package_version_file(${CMAKE_BINARY_DIR}/udiConfigVersion.cmake COMPATIBILITY SameMinorVersion)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_BINDIR} OUTPUT_VARIABLE to_lib)
set_target_properties(udi_cli PROPERTIES INSTALL_RPATH $ORIGIN/${to_lib})

# A step of the installation, a call of InstallSteps.cmake. More arguments go to install().
function(udi_install_step component step)
  install(CODE "set(UDI_OBJCOPY \"${CMAKE_OBJCOPY}\")\nset(UDI_READELF \"${CMAKE_READELF}\")
include(\"${CMAKE_SOURCE_DIR}/cmake/InstallSteps.cmake\")\n${step}"
          COMPONENT ${component} ${ARGN})
endfunction()

# An installed target loses its symbols; the component for debugging gets them.
function(udi_strip_installed target at component)
  if(UDI_STRIP)
    set(built $<TARGET_FILE:${target}>)
    udi_install_step(${component} "udi_strip(\"${at}/$<TARGET_FILE_NAME:${target}>\" \"${built}\")" ${by_name})
    udi_install_step(${in_debug} "udi_install_debug(${debug_files} \"${at}\" \"${built}\")" EXCLUDE_FROM_ALL)
  endif()
endfunction()

# ---- As configured --------------------------------------------------------------------------------------------------
set(in_library library)
set(in_development development)
set(in_tools tools)
set(in_debug debug)
set(in_cuda cuda)
set(by_name "")
set(export udiTargets)
set(at_lib ${CMAKE_INSTALL_LIBDIR})
set(at_bin ${CMAKE_INSTALL_BINDIR})
set(at_include ${CMAKE_INSTALL_INCLUDEDIR})
set(at_man ${CMAKE_INSTALL_MANDIR})
set(at_share ${CMAKE_INSTALL_DATADIR})
set(at_zsh ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
set(at_doc ${CMAKE_INSTALL_DATADIR}/doc/libudi)
set(debug_files beside)
set(keeps_run_path ON)
set(torch_libraries ${UDI_TORCH_LIBRARIES})
include(Layout)

# The .tar.gz has the rest inside as well: all that the core needs but glibc and the compiler's own libraries.
set(names "")
foreach(library ${UDI_TORCH_LIBRARIES})
  cmake_path(GET library FILENAME name)
  list(APPEND names ${name})
endforeach()
udi_install_step(bundle "udi_install_bundle(\"$<TARGET_FILE:udi_core>\" \"${at_lib}/udi\" \"${at_doc}\" \"${names}\")"
                 EXCLUDE_FROM_ALL)

# ---- As Debian wants it ---------------------------------------------------------------------------------------------
if(CMAKE_LIBRARY_ARCHITECTURE AND NOT UDI_TORCH_NAMED)
  set(in_library libudi${UDI_ABI})
  set(in_development libudi-dev)
  set(in_tools udi-tools)
  set(in_cuda "")
  set(in_debug symbols)  # cpack clears away what is called -dbgsym
  set(by_name EXCLUDE_FROM_ALL)
  set(export udiDebianTargets)
  set(at_lib lib/${CMAKE_LIBRARY_ARCHITECTURE})
  set(at_bin bin)
  set(at_include include)
  set(at_man share/man)
  set(at_share share)
  set(at_zsh share/zsh/vendor-completions)
  set(at_doc share/doc/libudi${UDI_ABI})
  set(debug_files build-id)
  set(keeps_run_path OFF)  # /usr/lib is where the loader looks by itself
  list(FILTER torch_libraries EXCLUDE REGEX "/libgomp\\.so")  # Debian's own, which the rest of a process uses, too
  include(Layout)
  configure_file(packaging/debian/copyright.in ${CMAKE_BINARY_DIR}/debian/copyright @ONLY)
  foreach(package ${in_library} ${in_development} ${in_tools})
    install(FILES ${CMAKE_BINARY_DIR}/debian/copyright DESTINATION share/doc/${package} COMPONENT ${package} ${by_name})
  endforeach()
  install(FILES ${CMAKE_BINARY_DIR}/debian/copyright DESTINATION share/doc/libudi${UDI_ABI}-dbgsym
          COMPONENT ${in_debug} ${by_name})
endif()
include(Packages)
