#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/batch.h"
#include "data/task.h"

namespace outlierlab {

/// How text is cleaned before WordPiece; the defaults are those of uncased BERT.
struct TokenizerOptions {
  bool lowercase = true;
  bool strip_accents = true;  ///< Hugging Face: strip_accents = null follows lowercase
  bool split_cjk = true;
  bool clean_text = true;
  std::size_t max_word_characters = 100;  ///< longer words become [UNK]
};

/// BERT's tokenizer (Devlin et al. 2018, arXiv 1810.04805; WordPiece: Wu et al. 2016, arXiv 1609.08144), id for id
/// the same as Hugging Face's BertTokenizer: cleaning, CJK spacing, NFD accent stripping, lower-casing,
/// punctuation splitting, greedy longest-match-first WordPiece with `##` continuations. Special tokens that stand
/// in the text ("[SEP]", "[MASK]") are recognised as Hugging Face does.
class Tokenizer {
 public:
  /// Reads tokenizer.json if present, else vocab.txt (with tokenizer_config.json if present) from a model folder;
  /// or the file itself. Errors name file and line or JSON path.
  static Tokenizer load(const std::filesystem::path& folder_or_file);

  /// From a list of pieces; id = position. Throws Error if [PAD], [UNK], [CLS] or [SEP] is missing or a piece
  /// repeats.
  Tokenizer(std::vector<std::string> vocabulary, TokenizerOptions options, const std::string& origin = "vocabulary");

  std::size_t vocabulary_size() const { return vocabulary_.size(); }
  const std::string& piece(std::int32_t id) const { return vocabulary_.at(static_cast<std::size_t>(id)); }
  std::int32_t pad_id() const { return pad_; }
  std::int32_t cls_id() const { return cls_; }
  std::int32_t sep_id() const { return sep_; }
  std::int32_t unk_id() const { return unk_; }
  std::int32_t mask_id() const { return mask_; }  ///< -1 if the vocabulary has no [MASK]

  /// Ids of a text without special tokens. `text` is valid UTF-8.
  std::vector<std::int32_t> tokenize(std::string_view text) const;

  /// [CLS] a [SEP] (token type 0) b [SEP] (type 1), cut longest-first from the right to `max_length` tokens with
  /// the special ones counted (Hugging Face's `longest_first`; ties cut the second).
  EncodedExample encode(const TextExample& text, std::size_t max_length, std::uint32_t index = 0) const;

  /// Encodes all examples in parallel; index = position.
  std::vector<EncodedExample> encode_all(const std::vector<TextExample>& texts, std::size_t max_length) const;

 private:
  std::vector<std::string> vocabulary_;
  std::unordered_map<std::string, std::int32_t> ids_;
  TokenizerOptions options_;
  std::int32_t pad_ = -1, unk_ = -1, cls_ = -1, sep_ = -1, mask_ = -1;
};

}  // namespace outlierlab
