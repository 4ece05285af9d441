// The sequence that stands for a product of bytes where there is no instruction for it: pairs of bytes to
// int16, four of those added, pairs of that to int32, and their sum. %0: the sum; %1, %2: scratch; %3: the
// bytes; %4: ones.
#pragma once

#define OUTLIERLAB_BYTE_CHAIN \
  "vpmaddubsw %3, %3, %1\n\t" \
  "vpmaddubsw %3, %3, %2\n\t" \
  "vpaddw %2, %1, %1\n\t"     \
  "vpmaddubsw %3, %3, %2\n\t" \
  "vpaddw %2, %1, %1\n\t"     \
  "vpmaddubsw %3, %3, %2\n\t" \
  "vpaddw %2, %1, %1\n\t"     \
  "vpmaddwd %4, %1, %1\n\t"   \
  "vpaddd %1, %0, %0"
