# scripts/package, or `cpack` in the build folder: udi-VERSION-linux-x86_64.tar.gz, which runs on a bare Debian 12,
# and the .deb packages of Install.cmake's second layout. A build with a LibTorch that the user named has neither.
if(UDI_TORCH_NAMED)
  return()
endif()
set(CPACK_GENERATOR TGZ)
if(CMAKE_LIBRARY_ARCHITECTURE)
  list(APPEND CPACK_GENERATOR DEB)
endif()
string(TOLOWER ${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR} system)
set(CPACK_PACKAGE_FILE_NAME udi-${PROJECT_VERSION}-${system})
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_VENDOR "The libudi authors")
set(CPACK_PACKAGE_CONTACT "The libudi authors <maintainers@libudi.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "UDI pretraining of vision transformers, features and evaluation")
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_THREADS 0)  # as many as there are cores
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/cmake/PackageKinds.cmake)

# ---- .deb: a component a package; zstd is read by dpkg since Debian 12 ------------------------------------------------
set(packages libudi${UDI_ABI} libudi-dev udi-tools symbols)
if(NOT UDI_STRIP)
  list(REMOVE_ITEM packages symbols)
endif()
set(CPACK_UDI_DEBIAN_PACKAGES ${packages})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_HOMEPAGE https://arxiv.org/abs/2407.17671)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(package ${packages})
  string(TOUPPER ${package} key)
  set(CPACK_DEBIAN_${key}_PACKAGE_NAME ${package})
endforeach()

set(same_library "libudi${UDI_ABI} (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_LIBUDI${UDI_ABI}_DESCRIPTION "UDI pretraining of vision transformers: library
 libudi pretrains vision transformers on images without labels (\"Unsqueeze [CLS]
 Bottleneck to Learn Rich Representations\", ECCV 2024), extracts features and
 evaluates. LibTorch's CPU libraries are inside, in a folder of their own.")
set(CPACK_DEBIAN_LIBUDI${UDI_ABI}_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBUDI${UDI_ABI}_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib ${UDI_TORCH_FOUND_DIR}/lib)
configure_file(packaging/debian/shlibs.in ${CMAKE_BINARY_DIR}/debian/shlibs @ONLY)
set(CPACK_DEBIAN_LIBUDI${UDI_ABI}_PACKAGE_CONTROL_EXTRA
    ${CMAKE_BINARY_DIR}/debian/shlibs ${CMAKE_SOURCE_DIR}/packaging/debian/triggers)

set(CPACK_COMPONENT_LIBUDI-DEV_DESCRIPTION "UDI pretraining of vision transformers: development files
 The header, pkg-config and CMake files of libudi. Programs that link it need
 neither Torch nor CUDA to build.")
set(CPACK_DEBIAN_LIBUDI-DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBUDI-DEV_PACKAGE_DEPENDS ${same_library})

set(CPACK_COMPONENT_UDI-TOOLS_DESCRIPTION "UDI pretraining of vision transformers: the tool udi
 Pretraining, features, nearest neighbours, attention maps and conversion of
 weights from a shell.")
set(CPACK_DEBIAN_UDI-TOOLS_PACKAGE_SECTION science)
set(CPACK_DEBIAN_UDI-TOOLS_PACKAGE_DEPENDS ${same_library})
set(CPACK_DEBIAN_UDI-TOOLS_PACKAGE_SHLIBDEPS ON)

set(CPACK_COMPONENT_SYMBOLS_DESCRIPTION "UDI pretraining of vision transformers: files for gdb
 Symbols and line numbers of libudi${UDI_ABI} and udi-tools.")
set(CPACK_DEBIAN_SYMBOLS_PACKAGE_NAME libudi${UDI_ABI}-dbgsym)
set(CPACK_DEBIAN_SYMBOLS_PACKAGE_SECTION debug)
set(CPACK_DEBIAN_SYMBOLS_PACKAGE_DEPENDS ${same_library})
include(CPack)
