#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "data/example.h"
#include "data/piece_trie.h"

namespace outlierlab {

/// How text is cleaned before WordPiece; the defaults are those of uncased BERT.
struct TokenizerOptions {
  bool lowercase = true;
  bool strip_accents = true;  ///< Hugging Face: strip_accents = null follows lowercase
  bool split_cjk = true;      ///< Hugging Face: tokenize_chinese_chars, handle_chinese_chars
  bool clean_text = true;
  std::size_t max_word_characters = 100;  ///< longer words become [UNK]
};

/// BERT's tokenizer (Devlin et al. 2018, arXiv 1810.04805; WordPiece: Wu et al. 2016, arXiv 1609.08144), id
/// for id the same as Hugging Face's fast BertTokenizer: cleaning, CJK spacing, NFD accent stripping,
/// lower-casing, punctuation splitting, greedy longest-match-first WordPiece with `##` continuations. Special
/// tokens that stand in the text ("[SEP]", "[MASK]") become their ids, as there.
class Tokenizer {
 public:
  /// Reads tokenizer.json if present, else vocab.txt (with tokenizer_config.json if present) from a model
  /// folder; or the file itself. Errors name file and line or JSON path. The truncation and padding that
  /// tokenizer.json may carry are ignored: the caller's max_length counts.
  static Tokenizer load(const std::filesystem::path& folder_or_file);

  /// From a list of pieces; id = position. Throws Error if [PAD], [UNK], [CLS] or [SEP] is missing or a piece
  /// repeats.
  Tokenizer(std::vector<std::string> vocabulary, TokenizerOptions options,
            const std::string& origin = "vocabulary");

  std::size_t vocabulary_size() const { return vocabulary_.size(); }
  const std::string& piece(std::int32_t id) const { return vocabulary_.at(static_cast<std::size_t>(id)); }
  std::int32_t pad_id() const { return pad_; }
  std::int32_t cls_id() const { return cls_; }
  std::int32_t sep_id() const { return sep_; }
  std::int32_t unk_id() const { return unk_; }
  std::int32_t mask_id() const { return mask_; }  ///< -1 if the vocabulary has no [MASK]

  /// Ids of a text without special tokens. Throws Error if `text` is not UTF-8.
  std::vector<std::int32_t> tokenize(std::string_view text) const;

  /// [CLS] a [SEP] (token type 0) and, if `text.pair` or the second text is not empty, b [SEP] (type 1). Cut
  /// from the right to `max_length` tokens with the special ones counted, as Hugging Face's `longest_first`
  /// does: the longer text is cut; if both must be, they share the room and the originally longer one (in a
  /// tie the second) gets an odd token. Throws UsageError if `max_length` has no room for the special tokens.
  EncodedExample encode(const TextExample& text, std::size_t max_length, std::uint32_t index = 0) const;

  /// Encodes all examples in parallel; index = position.
  std::vector<EncodedExample> encode_all(const std::vector<TextExample>& texts, std::size_t max_length) const;

 private:
  struct SpecialToken {
    std::string text;
    std::int32_t id;
  };
  static Tokenizer load_json(const std::filesystem::path& path);
  static Tokenizer load_vocabulary(const std::filesystem::path& path);
  std::int32_t find(std::string_view piece) const;
  void set_special_tokens(const std::vector<std::string>& texts);
  const SpecialToken* special_at(std::string_view text, std::size_t position) const;
  std::string normalize(std::string_view text) const;
  void append_plain(std::string_view text, std::vector<std::int32_t>& ids) const;
  void append_word(std::string_view word, std::vector<std::int32_t>& ids) const;

  std::vector<std::string> vocabulary_;
  TokenizerOptions options_;
  PieceTrie starts_;         ///< pieces that start a word
  PieceTrie continuations_;  ///< pieces after `##`
  std::vector<SpecialToken> special_;
  std::int32_t pad_ = -1, unk_ = -1, cls_ = -1, sep_ = -1, mask_ = -1;
};

}  // namespace outlierlab
