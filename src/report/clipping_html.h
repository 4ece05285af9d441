#pragma once

#include <string>

#include "report/clipping.h"

namespace outlierlab {

/// The interactive figure of one model as HTML: drawn for the widest bound and 8 bits, with a table of other
/// bounds, so that it says the same without script. Ids start with `id`.
std::string clipping_html(const ClippingExample& example, const std::string& id);

}  // namespace outlierlab
