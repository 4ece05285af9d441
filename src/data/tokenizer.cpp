#include "data/tokenizer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "data/unicode.h"

namespace outlierlab {

using nlohmann::json;

namespace {
enum class CharacterClass : unsigned char { word, space, punctuation };

std::array<CharacterClass, 128> make_ascii_classes() {
  std::array<CharacterClass, 128> classes{};
  for (char32_t c = 0; c < 128; ++c) {
    if (unicode::is_white_space(c)) classes[c] = CharacterClass::space;
    if (unicode::is_punctuation(c)) classes[c] = CharacterClass::punctuation;
  }
  return classes;
}
const std::array<CharacterClass, 128> ascii_classes = make_ascii_classes();

bool is_ascii(std::string_view text) {
  unsigned char all = 0;
  for (const char c : text) all |= static_cast<unsigned char>(c);
  return all < 0x80;
}

CharacterClass classify(char32_t code) {
  if (code < 128) return ascii_classes[code];
  if (unicode::is_white_space(code)) return CharacterClass::space;
  return unicode::is_punctuation(code) ? CharacterClass::punctuation : CharacterClass::word;
}

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string normalize_ascii(std::string_view text, const TokenizerOptions& options) {
  std::string result;
  result.reserve(text.size());
  for (char c : text) {
    const bool control = c < ' ' || c == 0x7f;
    if (options.clean_text && control) {
      if (c != '\t' && c != '\n' && c != '\r') continue;
      c = ' ';
    }
    result += options.lowercase && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return result;
}

std::u32string clean_and_space(std::string_view text, const TokenizerOptions& options) {
  std::u32string codes;
  codes.reserve(text.size());
  for (std::size_t position = 0; position < text.size();) {
    const char32_t code = unicode::decode(text, position);
    if (options.clean_text && unicode::is_dropped(code)) continue;
    if (options.clean_text && unicode::is_white_space(code)) {
      codes += U' ';
    } else if (options.split_cjk && unicode::is_cjk(code)) {
      codes += {U' ', code, U' '};
    } else {
      codes += code;
    }
  }
  return codes;
}

/// The lengths to which Hugging Face's tokenizers cuts two texts that share `room` tokens.
std::pair<std::size_t, std::size_t> cut_longest_first(std::size_t first, std::size_t second,
                                                      std::size_t room) {
  if (first + second <= room) return {first, second};
  const std::size_t shorter = std::min(first, second), half = room / 2;
  const std::size_t small = shorter <= half ? shorter : half;
  return first > second ? std::pair{room - small, small} : std::pair{small, room - small};
}

/// A place in a JSON document for error messages.
struct JsonPlace {
  std::string file;
  std::string path;

  [[noreturn]] void fail(const std::string& expected, const json& found) const {
    std::string text = found.dump(-1, ' ', true, json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    fail_expected(file + ": " + path, expected, text);
  }
};

/// The value at a JSON pointer such as "/model/type"; null where it is missing.
const json& lookup(const json& root, const std::string& path) {
  static const json missing = nullptr;
  const json::json_pointer pointer(path);
  return root.contains(pointer) ? root.at(pointer) : missing;
}

void require_value(const json& root, const std::string& file, const std::string& path, const json& expected) {
  const json& found = lookup(root, path);
  if (found != expected) JsonPlace{file, path}.fail(expected.dump(), found);
}

bool read_flag(const json& root, const std::string& file, const std::string& path, bool fallback) {
  const json& found = lookup(root, path);
  if (found.is_null()) return fallback;
  if (!found.is_boolean()) JsonPlace{file, path}.fail("true or false", found);
  return found.get<bool>();
}

json parse_json(const std::filesystem::path& path) {
  try {
    json root = json::parse(read_file(path));
    if (!root.is_object()) JsonPlace{path.string(), "the document"}.fail("a JSON object", root);
    return root;
  } catch (const json::parse_error& error) {
    fail_expected(path.string() + ": byte " + std::to_string(error.byte), "valid JSON", "a syntax error");
  }
}

TokenizerOptions read_normalizer(const json& root, const std::string& file) {
  require_value(root, file, "/normalizer/type", "BertNormalizer");
  TokenizerOptions options;
  options.lowercase = read_flag(root, file, "/normalizer/lowercase", true);
  options.strip_accents = read_flag(root, file, "/normalizer/strip_accents", options.lowercase);
  options.split_cjk = read_flag(root, file, "/normalizer/handle_chinese_chars", true);
  options.clean_text = read_flag(root, file, "/normalizer/clean_text", true);
  return options;
}

void read_piece(std::vector<std::string>& vocabulary, const JsonPlace& place, const std::string& piece,
                const json& id) {
  if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= vocabulary.size()) {
    place.fail("an id below the number of pieces, " + std::to_string(vocabulary.size()), id);
  }
  std::string& slot = vocabulary[id.get<std::size_t>()];
  if (!slot.empty()) place.fail("each id once", id);
  slot = piece;
}

std::vector<std::string> read_pieces(const json& root, const std::string& file) {
  const json& pieces = lookup(root, "/model/vocab");
  if (!pieces.is_object() || pieces.empty())
    JsonPlace{file, "/model/vocab"}.fail("an object of pieces", pieces);
  std::vector<std::string> vocabulary(pieces.size());
  for (const auto& [piece, id] : pieces.items()) {
    const JsonPlace place{file, "/model/vocab/" + piece};
    if (piece.empty()) place.fail("a word piece", piece);
    read_piece(vocabulary, place, piece, id);
  }
  return vocabulary;
}

/// Texts of the tokens that are found before the text is split; new ones are appended to the vocabulary.
std::vector<std::string> read_added_tokens(const json& root, const std::string& file,
                                           std::vector<std::string>& vocabulary) {
  std::vector<std::string> texts;
  const json& tokens = lookup(root, "/added_tokens");
  if (tokens.is_null()) return texts;
  if (!tokens.is_array()) JsonPlace{file, "/added_tokens"}.fail("a list", tokens);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string path = "/added_tokens/" + std::to_string(i);
    const json &text = lookup(root, path + "/content"), &id = lookup(root, path + "/id");
    if (!text.is_string() || text.get<std::string>().empty())
      JsonPlace{file, path + "/content"}.fail("a text", text);
    for (const char* flag : {"/single_word", "/lstrip", "/rstrip", "/normalized"}) {
      if (read_flag(root, file, path + flag, false)) JsonPlace{file, path + flag}.fail("false", true);
    }
    if (!id.is_number_unsigned() || id.get<std::size_t>() > vocabulary.size()) {
      JsonPlace{file, path + "/id"}.fail("an id in the vocabulary or the next one", id);
    }
    texts.push_back(text);
    if (id.get<std::size_t>() == vocabulary.size()) {
      vocabulary.push_back(text);
    } else if (vocabulary[id.get<std::size_t>()] != texts.back()) {
      JsonPlace{file, path + "/content"}.fail(
          "'" + vocabulary[id.get<std::size_t>()] + "' as in /model/vocab", text);
    }
  }
  return texts;
}

std::vector<std::string> read_vocabulary_lines(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  std::vector<std::string> pieces;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::size_t length = end - begin - (end > begin && text[end - 1] == '\r' ? 1 : 0);
    pieces.push_back(text.substr(begin, length));
    begin = end + 1;
    const std::string place = path.string() + ":" + std::to_string(pieces.size());
    if (pieces.back().empty()) fail_expected(place, "a word piece", "an empty line");
    if (unicode::find_invalid_utf8(pieces.back()) != std::string_view::npos) {
      fail_expected(place, "UTF-8", "bytes that are not");
    }
  }
  return pieces;
}
}  // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& folder_or_file) {
  if (!std::filesystem::is_directory(folder_or_file)) {
    return folder_or_file.extension() == ".json" ? load_json(folder_or_file)
                                                 : load_vocabulary(folder_or_file);
  }
  if (const auto path = folder_or_file / "tokenizer.json"; std::filesystem::exists(path))
    return load_json(path);
  if (const auto path = folder_or_file / "vocab.txt"; std::filesystem::exists(path))
    return load_vocabulary(path);
  fail_expected(folder_or_file.string(), "tokenizer.json or vocab.txt", "neither");
}

Tokenizer Tokenizer::load_json(const std::filesystem::path& path) {
  const std::string file = path.string();
  const json root = parse_json(path);
  require_value(root, file, "/model/type", "WordPiece");
  require_value(root, file, "/model/continuing_subword_prefix", "##");
  require_value(root, file, "/model/unk_token", "[UNK]");
  require_value(root, file, "/pre_tokenizer/type", "BertPreTokenizer");
  TokenizerOptions options = read_normalizer(root, file);
  const json& longest = lookup(root, "/model/max_input_chars_per_word");
  if (!longest.is_number_unsigned())
    JsonPlace{file, "/model/max_input_chars_per_word"}.fail("a count", longest);
  options.max_word_characters = longest.get<std::size_t>();

  std::vector<std::string> vocabulary = read_pieces(root, file);
  const std::vector<std::string> added = read_added_tokens(root, file, vocabulary);
  Tokenizer tokenizer(std::move(vocabulary), options, file);
  tokenizer.set_special_tokens(added);
  return tokenizer;
}

Tokenizer Tokenizer::load_vocabulary(const std::filesystem::path& path) {
  TokenizerOptions options;
  const std::filesystem::path config = path.parent_path() / "tokenizer_config.json";
  if (std::filesystem::exists(config)) {
    const json root = parse_json(config);
    options.lowercase = read_flag(root, config.string(), "/do_lower_case", true);
    options.strip_accents = read_flag(root, config.string(), "/strip_accents", options.lowercase);
    options.split_cjk = read_flag(root, config.string(), "/tokenize_chinese_chars", true);
  }
  return Tokenizer(read_vocabulary_lines(path), options, path.string());
}

Tokenizer::Tokenizer(std::vector<std::string> vocabulary, TokenizerOptions options, const std::string& origin)
    : vocabulary_(std::move(vocabulary)), options_(options) {
  std::vector<std::pair<std::string, std::int32_t>> all, starts, continuations;
  for (std::size_t i = 0; i < vocabulary_.size(); ++i) {
    const std::string& piece = vocabulary_[i];
    const auto id = static_cast<std::int32_t>(i);
    all.emplace_back(piece, id);
    if (piece.rfind("##", 0) != 0) {
      starts.emplace_back(piece, id);
    } else if (piece.size() > 2) {
      continuations.emplace_back(piece.substr(2), id);
    }
  }
  std::sort(all.begin(), all.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string place = origin + ": id " + std::to_string(all[i].second);
    if (all[i].first.empty()) fail_expected(place, "a word piece", "an empty one");
    if (i > 0 && all[i - 1].first == all[i].first) {
      fail_expected(place, "each word piece once",
                    "'" + all[i].first + "' again, first at id " + std::to_string(all[i - 1].second));
    }
  }
  starts_ = PieceTrie(std::move(starts));
  continuations_ = PieceTrie(std::move(continuations));

  const auto required = [&](const char* piece) {
    const std::int32_t id = find(piece);
    if (id < 0) fail_expected(origin, std::string("a piece ") + piece, "none");
    return id;
  };
  pad_ = required("[PAD]");
  unk_ = required("[UNK]");
  cls_ = required("[CLS]");
  sep_ = required("[SEP]");
  mask_ = find("[MASK]");
  set_special_tokens({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"});
}

std::int32_t Tokenizer::find(std::string_view piece) const {
  const PieceTrie::Match match = starts_.longest(piece);
  return match.length == piece.size() ? match.id : -1;
}

void Tokenizer::set_special_tokens(const std::vector<std::string>& texts) {
  special_.clear();
  for (const std::string& text : texts) {
    if (const std::int32_t id = find(text); id >= 0) special_.push_back({text, id});
  }
  std::stable_sort(special_.begin(), special_.end(),
                   [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
}

const Tokenizer::SpecialToken* Tokenizer::special_at(std::string_view text, std::size_t position) const {
  for (const SpecialToken& token : special_) {
    if (text.compare(position, token.text.size(), token.text) == 0) return &token;
  }
  return nullptr;
}

std::string Tokenizer::normalize(std::string_view text) const {
  if (is_ascii(text)) return normalize_ascii(text, options_);
  std::u32string codes = clean_and_space(text, options_);
  if (options_.strip_accents) {
    codes = unicode::decompose(codes);
    codes.erase(std::remove_if(codes.begin(), codes.end(), unicode::is_nonspacing_mark), codes.end());
  }
  if (options_.lowercase) {
    std::u32string lower;
    for (const char32_t code : codes) unicode::append_lower(lower, code);
    codes = std::move(lower);
  }
  std::string result;
  for (const char32_t code : codes) unicode::append_utf8(result, code);
  return result;
}

void Tokenizer::append_word(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.empty()) return;
  const std::size_t before = ids.size();
  bool known =
      word.size() <= options_.max_word_characters || count_characters(word) <= options_.max_word_characters;
  for (const PieceTrie* pieces = &starts_; known && !word.empty(); pieces = &continuations_) {
    const PieceTrie::Match match = pieces->longest(word);
    known = match.length > 0;
    if (known) ids.push_back(match.id);
    word.remove_prefix(match.length);
  }
  if (known) return;
  ids.resize(before);
  ids.push_back(unk_);
}

void Tokenizer::append_plain(std::string_view text, std::vector<std::int32_t>& ids) const {
  const std::string normalized = normalize(text);
  const std::string_view view = normalized;
  std::size_t word = 0;
  for (std::size_t position = 0; position < view.size();) {
    const std::size_t start = position;
    const CharacterClass kind = classify(unicode::decode(view, position));
    if (kind == CharacterClass::word) continue;
    append_word(view.substr(word, start - word), ids);
    if (kind == CharacterClass::punctuation) append_word(view.substr(start, position - start), ids);
    word = position;
  }
  append_word(view.substr(word), ids);
}

std::vector<std::int32_t> Tokenizer::tokenize(std::string_view text) const {
  if (const std::size_t bad = unicode::find_invalid_utf8(text); bad != std::string_view::npos) {
    fail_expected("text to tokenize, byte " + std::to_string(bad), "UTF-8", "bytes that are not");
  }
  std::array<bool, 256> starts_special{};
  for (const SpecialToken& token : special_) starts_special[static_cast<unsigned char>(token.text[0])] = true;
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  std::size_t plain = 0;
  for (std::size_t position = 0; position < text.size();) {
    const bool candidate = starts_special[static_cast<unsigned char>(text[position])];
    const SpecialToken* special = candidate ? special_at(text, position) : nullptr;
    if (!special) {
      ++position;
      continue;
    }
    append_plain(text.substr(plain, position - plain), ids);
    ids.push_back(special->id);
    plain = position += special->text.size();
  }
  append_plain(text.substr(plain), ids);
  return ids;
}

EncodedExample Tokenizer::encode(const TextExample& text, std::size_t max_length, std::uint32_t index) const {
  const bool pair = text.pair || !text.second.empty();
  const std::size_t special = pair ? 3 : 2;
  if (max_length < special) {
    throw UsageError("max_length: expected at least " + std::to_string(special) + ", found " +
                     std::to_string(max_length));
  }
  const std::vector<std::int32_t> first = tokenize(text.first), second = tokenize(text.second);
  const auto [keep_first, keep_second] = cut_longest_first(first.size(), second.size(), max_length - special);

  EncodedExample example;
  example.index = index;
  example.label = text.label;
  std::vector<std::int32_t>& ids = example.token_ids;
  ids.reserve(keep_first + keep_second + special);
  const auto append = [&](const std::vector<std::int32_t>& part, std::size_t count, std::uint8_t type) {
    ids.insert(ids.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
    ids.push_back(sep_);
    example.token_types.resize(ids.size(), type);
  };
  ids.push_back(cls_);
  append(first, keep_first, 0);
  if (pair) append(second, keep_second, 1);
  return example;
}

std::vector<EncodedExample> Tokenizer::encode_all(const std::vector<TextExample>& texts,
                                                  std::size_t max_length) const {
  std::vector<EncodedExample> examples(texts.size());
  parallel_chunks(texts.size(), 128, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t i = begin; i < end; ++i) {
      examples[i] = encode(texts[i], max_length, static_cast<std::uint32_t>(i));
    }
  });
  return examples;
}

}  // namespace outlierlab
