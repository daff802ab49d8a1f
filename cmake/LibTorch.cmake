# LibTorch::cpu out of PyPI's torch wheel (find_package(Torch) wants CUDA; notes in docs/design.md). Looked for in this
# order: UDI_TORCH_DIR, the active Python, else installed into ${CMAKE_BINARY_DIR}/deps.
set(UDI_TORCH_VERSION 2.11.0)
set(UDI_TORCH_DIR "" CACHE PATH "Folder of a torch ${UDI_TORCH_VERSION} package (the one that holds lib/libtorch_cpu.so)")

function(udi_torch_of_python python result)
  execute_process(COMMAND ${python} -c
    "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  set(version "")
  if(folder AND EXISTS ${folder}/version.py)
    file(STRINGS ${folder}/version.py line REGEX "^__version__ = ")
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" version "${line}")
  endif()
  if(version STREQUAL UDI_TORCH_VERSION)
    set(${result} ${folder} PARENT_SCOPE)
  else()
    set(${result} "" PARENT_SCOPE)
  endif()
endfunction()

set(UDI_TORCH_NAMED OFF)
if(UDI_TORCH_DIR)
  set(torch_dir ${UDI_TORCH_DIR})
  set(UDI_TORCH_NAMED ON)
else()
  find_program(UDI_PYTHON NAMES python3 python)
  if(UDI_PYTHON)
    udi_torch_of_python(${UDI_PYTHON} torch_dir)
  endif()
  if(NOT torch_dir)
    set(deps ${CMAKE_BINARY_DIR}/deps)
    if(NOT EXISTS ${deps}/.torch-${UDI_TORCH_VERSION})
      message(STATUS "Installing torch ${UDI_TORCH_VERSION} from PyPI into ${deps} (544 MB)")
      execute_process(COMMAND ${UDI_PYTHON} -m venv ${deps} COMMAND_ERROR_IS_FATAL ANY)
      execute_process(COMMAND ${deps}/bin/pip install -q --disable-pip-version-check --no-deps
        torch==${UDI_TORCH_VERSION} nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85 COMMAND_ERROR_IS_FATAL ANY)
      file(TOUCH ${deps}/.torch-${UDI_TORCH_VERSION})
    endif()
    udi_torch_of_python(${deps}/bin/python torch_dir)
  endif()
endif()
if(NOT EXISTS ${torch_dir}/lib/libtorch_cpu.so)
  message(FATAL_ERROR "No LibTorch ${UDI_TORCH_VERSION} in '${torch_dir}': give -DUDI_TORCH_DIR=.../site-packages/torch")
endif()
file(STRINGS ${torch_dir}/include/torch/headeronly/version.h version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR) ")
string(REGEX MATCHALL "[0-9]+" version_numbers "${version_lines}")
list(JOIN version_numbers . torch_minor)
if(NOT UDI_TORCH_VERSION MATCHES "^${torch_minor}\\.")
  message(FATAL_ERROR "${torch_dir} is torch ${torch_minor}; libudi is written for ${UDI_TORCH_VERSION}")
endif()
message(STATUS "LibTorch ${torch_minor}: ${torch_dir}")
set(UDI_TORCH_FOUND_DIR ${torch_dir})
add_compile_options(-ffile-prefix-map=${torch_dir}=torch)

add_library(LibTorch::c10 SHARED IMPORTED)
set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION ${torch_dir}/lib/libc10.so)
add_library(LibTorch::cpu SHARED IMPORTED)
set_target_properties(LibTorch::cpu PROPERTIES
  IMPORTED_LOCATION ${torch_dir}/lib/libtorch_cpu.so
  INTERFACE_INCLUDE_DIRECTORIES "${torch_dir}/include"
  INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${torch_dir}/include"
  INTERFACE_LINK_LIBRARIES LibTorch::c10
  INTERFACE_LINK_OPTIONS "-Wl,--allow-shlib-undefined;-Wl,--no-as-needed")
