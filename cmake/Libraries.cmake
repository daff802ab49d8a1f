# libudi.so (libc alone) and lib/udi/libudi_core.so behind it, laid out in the build tree as they are installed. The seam
# between them is generated from include/udi.h.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
file(STRINGS include/udi.h abi_line REGEX "define UDI_ABI_VERSION ")
string(REGEX MATCH "[0-9]+" UDI_ABI "${abi_line}")
set(gen ${CMAKE_BINARY_DIR}/gen)

add_custom_command(OUTPUT ${gen}/calls.h ${gen}/forwarders.c ${gen}/core_calls.c
  DEPENDS ${CMAKE_SOURCE_DIR}/include/udi.h ${CMAKE_SOURCE_DIR}/scripts/gen_forwarders.py
          ${CMAKE_SOURCE_DIR}/scripts/header.py
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/gen_forwarders.py ${CMAKE_SOURCE_DIR}/include/udi.h ${gen})

if(UDI_TORCH_NAMED)
  set(named_torch_lib ${UDI_TORCH_FOUND_DIR}/lib)
endif()
file(GLOB front_sources CONFIGURE_DEPENDS src/front/*.c)
add_library(udi SHARED ${front_sources} ${gen}/calls.h ${gen}/forwarders.c ${gen}/schema.c)
add_library(udi::udi ALIAS udi)
target_compile_definitions(udi PRIVATE UDI_TORCH_LIB="${named_torch_lib}")
target_compile_options(udi PRIVATE -g)  # types and all: abi/abi.py compares them, and there is little of it
target_include_directories(udi PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> PRIVATE src ${gen})
target_include_directories(udi SYSTEM PRIVATE ${UDI_TORCH_FOUND_DIR}/include)
target_link_options(udi PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/abi/libudi.map -Wl,-z,defs -Wl,-z,nodelete)
set_target_properties(udi PROPERTIES SOVERSION ${UDI_ABI}
  VERSION ${UDI_ABI}.${PROJECT_VERSION_MINOR}.${PROJECT_VERSION_PATCH} LINK_DEPENDS ${CMAKE_SOURCE_DIR}/abi/libudi.map)

file(GLOB api_sources CONFIGURE_DEPENDS src/api/*.cpp)
add_library(udi_core SHARED ${api_sources} ${gen}/calls.h ${gen}/core_calls.c)
target_include_directories(udi_core PRIVATE ${gen})
target_link_libraries(udi_core PRIVATE udi_jobs_static)
target_precompile_headers(udi_core REUSE_FROM udi_core_static)
set_source_files_properties(${gen}/core_calls.c PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
target_link_options(udi_core PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/abi/udi_core.map -Wl,-z,defs
                    -Wl,-z,nodelete -Wl,--exclude-libs,ALL)
set_target_properties(udi_core PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/udi
  LINK_DEPENDS ${CMAKE_SOURCE_DIR}/abi/udi_core.map BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH $ORIGIN)

# LibTorch's CPU libraries, which lie beside the core: links in the build tree, copies in the installed one. A folder that
# the user named is used where it is.
set(UDI_TORCH_LIBRARIES "")
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/lib/udi)
if(NOT UDI_TORCH_NAMED)
  foreach(library lib/libtorch_cpu.so lib/libc10.so lib/libgomp.so.1 ../nvidia/cu13/lib/libcudart.so.13
                  ../nvidia/cu13/lib/libcupti.so.13)
    if(EXISTS ${UDI_TORCH_FOUND_DIR}/${library})  # without NVIDIA's wheels the last two are the system's
      cmake_path(ABSOLUTE_PATH library BASE_DIRECTORY ${UDI_TORCH_FOUND_DIR} NORMALIZE)
      cmake_path(GET library FILENAME name)
      list(APPEND UDI_TORCH_LIBRARIES ${library})
      file(CREATE_LINK ${library} ${CMAKE_BINARY_DIR}/lib/udi/${name} SYMBOLIC)
    endif()
  endforeach()
endif()
