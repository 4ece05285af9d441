#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/example.h"

namespace outlierlab {

/// A QNLI-like task made from nothing but a seed: questions and sentences about the lives of invented
/// persons. A sentence states one of ten relations (born, studied, died, moved, plays, wrote, married, won,
/// founded, visited); the label says whether it answers the question. Half of the pairs are positive; 70 % of
/// the negatives state another relation of the same person, 30 % the same relation of another one. Telling
/// relations apart is thus worth 85 % and only comparing persons gives the rest, as in QNLI, where overlap of
/// words alone is not enough.
struct CorpusOptions {
  std::uint64_t seed = 1;
  /// Number of examples by split; a split that is not named has none. `calibration` needs no entry: it is the
  /// first 256 of train.
  std::map<std::string, std::size_t> split_sizes = {{"train", 40000}, {"tune", 2048}, {"dev", 2048}};
  double label_noise = 0;  ///< probability, in [0, 0.5], that a label is flipped, in every split
};

/// The word pieces: [PAD], [UNK], [CLS], [SEP], [MASK], punctuation, every letter and digit alone and as a
/// `##` continuation, and every word of the corpus. With it Tokenizer's defaults give no [UNK] on any text of
/// the corpus. It depends on the seed only.
std::vector<std::string> corpus_vocabulary(const CorpusOptions& options);

/// The labels by index: 0 entailment, 1 not_entailment.
const std::vector<std::string>& corpus_labels();

/// The examples of a split. Each split is a random stream of its own, so a longer split starts with the
/// examples of a shorter one and noise changes no text. Throws UsageError for a split that the options do not
/// name.
std::vector<TextExample> corpus_split(const CorpusOptions& options, const std::string& split);

/// `count` sentences from a further stream, each stating one fact: text for masked-language-model training.
std::vector<std::string> corpus_text(const CorpusOptions& options, std::size_t count);

}  // namespace outlierlab
