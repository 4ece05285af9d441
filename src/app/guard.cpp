#include "app/guard.h"

#include <exception>
#include <iostream>

#include "core/error.h"

namespace outlierlab {

int guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const UsageError& error) {
    std::cerr << "outlierlab: " << error.what() << "\n";
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "outlierlab: " << error.what() << "\n";
    return 1;
  }
}

}  // namespace outlierlab
