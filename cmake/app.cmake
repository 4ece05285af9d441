# The commands are a library of their own, so that tests can link them; the executable adds main().
file(GLOB_RECURSE app_sources CONFIGURE_DEPENDS src/app/*.cpp experiments/*.cpp)
list(FILTER app_sources EXCLUDE REGEX "/main\\.cpp$")
add_library(outlierlab_app STATIC ${app_sources})
target_include_directories(outlierlab_app PUBLIC src ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_link_libraries(outlierlab_app PUBLIC outlierlab_lower outlierlab_store outlierlab_report
  PRIVATE Boost::program_options)
if(TARGET outlierlab_cuda)
  target_link_libraries(outlierlab_app PUBLIC outlierlab_cuda)
endif()
target_compile_definitions(outlierlab_app PRIVATE
  OUTLIERLAB_VERSION="${PROJECT_VERSION}" OUTLIERLAB_HDF5_VERSION="${HDF5_VERSION}")

set(revision_header ${CMAKE_BINARY_DIR}/generated/app/revision.h)
add_custom_target(outlierlab_revision BYPRODUCTS ${revision_header}
  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DHEADER=${revision_header}
    -P ${CMAKE_SOURCE_DIR}/cmake/revision.cmake
  COMMENT "Git revision")
add_dependencies(outlierlab_app outlierlab_revision)

add_executable(outlierlab src/app/main.cpp)
target_link_libraries(outlierlab PRIVATE outlierlab_app)

# `outlierlab train` runs a program of its own: only that one is linked to libtorch, whose loading alone takes longer than
# most commands run.
if(TARGET outlierlab_training)
  add_executable(outlierlab-train src/app/training/main.cpp)
  target_link_libraries(outlierlab-train PRIVATE outlierlab_app outlierlab_training)
  add_dependencies(outlierlab outlierlab-train)
endif()
