// One name for Catch2 2 and 3.
#pragma once
#if OUTLIERLAB_CATCH2_VERSION >= 3
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
#include <algorithm>
#include <string>

#include "core/error.h"

/// Requires that an expression throws an Error whose message holds every one of the given parts.
#define REQUIRE_ERROR(expression, ...)                                                \
  do {                                                                                \
    std::string message_of_error;                                                     \
    try {                                                                             \
      (void)(expression);                                                             \
    } catch (const outlierlab::Error& error) {                                        \
      message_of_error = error.what();                                                \
    }                                                                                 \
    INFO("error: " << message_of_error);                                              \
    REQUIRE_FALSE(message_of_error.empty());                                          \
    for (const std::string& part : std::initializer_list<std::string>{__VA_ARGS__}) { \
      INFO("expected part: " << part);                                                \
      REQUIRE(message_of_error.find(part) != std::string::npos);                      \
    }                                                                                 \
  } while (false)
