#include "data/corpus.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/random.h"

namespace outlierlab {

namespace {
// FROZEN: the checkpoints in models/demo are trained on exactly this corpus (at 320 persons the base reaches
// 85 % by step 1,250 of 2,000). Changing anything here means training them again: do not.
constexpr std::size_t calibration_size = 256;
constexpr std::size_t person_count = 320, city_count = 120;
constexpr int first_year = 1800, last_year = 1959;

constexpr std::array<std::string_view, 20> fields = {
    "physics", "law",        "music",   "botany",    "history",   "medicine", "chess",
    "poetry",  "algebra",    "geology", "astronomy", "chemistry", "grammar",  "sculpture",
    "zoology", "philosophy", "optics",  "weaving",   "rhetoric",  "surgery"};
constexpr std::array<std::string_view, 12> instruments = {"violin",  "piano",    "flute",   "harp",
                                                          "drum",    "organ",    "cello",   "guitar",
                                                          "trumpet", "clarinet", "bassoon", "lute"};

/// {p} the person in question, {q} another one, {c} a city, {y} a year, {f} a field, {i} an instrument.
struct Relation {
  std::array<std::string_view, 2> questions;
  std::array<std::string_view, 2> sentences;
};

constexpr std::array<Relation, 10> relations = {{
    {{"Where was {p} born?", "In which place did {p} come into the world?"},
     {"{p} was born in {c} in {y}.", "In {y} {p} was born near {c}."}},
    {{"What did {p} study?", "Which subject did {p} learn?"},
     {"{p} studied {f} in {c}.", "In {c} {p} learned {f} until {y}."}},
    {{"Where did {p} die?", "In which town did the life of {p} end?"},
     {"{p} died in {c} in {y}.", "In {y}, while in {c}, {p} passed away."}},
    {{"Where did {p} move to?", "Which town did {p} leave for?"},
     {"{p} moved to {c} in {y}.", "{p} left for {c} after {y}."}},
    {{"What did {p} play?", "Which instrument did {p} use?"},
     {"{p} played the {i} in {c}.", "At {c} the {i} was played by {p}."}},
    {{"What did {p} write about?", "On which subject is the book of {p}?"},
     {"{p} wrote a book on {f} in {y}.", "A work about {f} by {p} appeared in {y}."}},
    {{"Who married {p}?", "Whom did {p} wed?"}, {"{p} married {q} in {c} in {y}.", "In {y} {q} wed {p}."}},
    {{"What prize did {p} win?", "For which field was {p} honoured?"},
     {"{p} won a prize for {f} in {y}.", "The {f} medal of {y} went to {p}."}},
    {{"Where did {p} found a school?", "Which academy did {p} set up?"},
     {"{p} founded a school in {c} in {y}.", "The {c} academy was set up by {p}."}},
    {{"Whom did {p} visit?", "Who hosted {p}?"},
     {"{p} visited {q} in {c}.", "{q} hosted {p} in {c} in {y}."}},
}};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

void add_words(std::set<std::string>& words, std::string_view text) {
  std::string word;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter) {
      word += c;
    } else if (c == '{') {
      i = text.find('}', i);
    } else if (!word.empty()) {
      words.insert(lower(word));
      word.clear();
    }
  }
}

std::set<std::string> template_words() {
  std::set<std::string> words;
  for (const Relation& relation : relations) {
    for (const std::string_view text : relation.questions) add_words(words, text);
    for (const std::string_view text : relation.sentences) add_words(words, text);
  }
  for (const std::string_view text : fields) add_words(words, text);
  for (const std::string_view text : instruments) add_words(words, text);
  return words;
}

/// Streams of random numbers that have nothing to do with each other.
Random stream(const CorpusOptions& options, std::string_view name) {
  std::uint64_t hash = mix64(options.seed);
  for (const char c : name) hash = mix64(hash ^ static_cast<unsigned char>(c));
  return Random(hash);
}

/// `count` distinct capitalized names of two open syllables and the ending, none of them a word in `taken`.
std::vector<std::string> make_names(Random& random, std::size_t count, const std::string& ending,
                                    std::set<std::string>& taken) {
  constexpr std::string_view consonants = "bdfgklmnprstv", vowels = "aeiou";
  std::vector<std::string> names;
  while (names.size() < count) {
    std::string name;
    for (int syllable = 0; syllable < 2; ++syllable) {
      name += consonants[random.below(consonants.size())];
      name += vowels[random.below(vowels.size())];
    }
    name += ending;
    if (!taken.insert(name).second) continue;
    name[0] = static_cast<char>(name[0] - 'a' + 'A');
    names.push_back(name);
  }
  return names;
}

/// The invented persons and cities, and the sentences about them.
class World {
 public:
  explicit World(const CorpusOptions& options) {
    std::set<std::string> taken = template_words();
    Random random = stream(options, "names");
    persons_ = make_names(random, person_count, "", taken);
    cities_ = make_names(random, city_count, "n", taken);
  }

  const std::vector<std::string>& persons() const { return persons_; }
  const std::vector<std::string>& cities() const { return cities_; }

  std::size_t other_person(Random& random, std::size_t person) const {
    return (person + 1 + random.below(person_count - 1)) % person_count;
  }

  /// The text with its slots filled; a slot that it does not have costs no draw.
  std::string fill(Random& random, std::string_view text, std::size_t person) const {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '{') {
        result += text[i];
        continue;
      }
      result += slot(random, text[i + 1], person);
      i += 2;
    }
    return result;
  }

  std::string sentence(Random& random, std::size_t relation, std::size_t person) const {
    const auto& sentences = relations[relation].sentences;
    return fill(random, sentences[random.below(sentences.size())], person);
  }

 private:
  std::string slot(Random& random, char kind, std::size_t person) const {
    switch (kind) {
      case 'p':
        return persons_[person];
      case 'q':
        return persons_[other_person(random, person)];
      case 'c':
        return cities_[random.below(cities_.size())];
      case 'f':
        return std::string(fields[random.below(fields.size())]);
      case 'i':
        return std::string(instruments[random.below(instruments.size())]);
      default:
        return std::to_string(first_year + static_cast<int>(random.below(last_year - first_year + 1)));
    }
  }

  std::vector<std::string> persons_, cities_;
};

TextExample make_example(const World& world, Random& random, double noise) {
  const std::size_t person = random.below(person_count), relation = random.below(relations.size());
  TextExample example;
  example.pair = true;
  const auto& questions = relations[relation].questions;
  example.first = world.fill(random, questions[random.below(questions.size())], person);
  std::size_t stated_person = person, stated_relation = relation;
  example.label = random.uniform() < 0.5 ? 0 : 1;
  if (example.label == 1 && random.uniform() < 0.7) {
    stated_relation = (relation + 1 + random.below(relations.size() - 1)) % relations.size();
  } else if (example.label == 1) {
    stated_person = world.other_person(random, person);
  }
  example.second = world.sentence(random, stated_relation, stated_person);
  if (random.uniform() < noise) example.label = 1 - example.label;
  return example;
}

std::size_t split_size(const CorpusOptions& options, const std::string& split) {
  if (const auto found = options.split_sizes.find(split); found != options.split_sizes.end())
    return found->second;
  const auto train = options.split_sizes.find("train");
  if (split == "calibration" && train != options.split_sizes.end())
    return std::min(calibration_size, train->second);
  std::vector<std::string> known;
  for (const auto& [name, size] : options.split_sizes) known.push_back(name);
  fail_unknown("split of the corpus", split, known);
}
}  // namespace

std::vector<std::string> corpus_vocabulary(const CorpusOptions& options) {
  std::vector<std::string> pieces = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "?"};
  std::set<std::string> words = template_words();
  const World world(options);
  for (const std::string& name : world.persons()) words.insert(lower(name));
  for (const std::string& name : world.cities()) words.insert(lower(name));
  for (int year = first_year; year <= last_year; ++year) words.insert(std::to_string(year));
  for (const char c : std::string_view("0123456789abcdefghijklmnopqrstuvwxyz")) {
    words.insert(std::string(1, c));
    pieces.push_back(std::string("##") + c);
  }
  pieces.insert(pieces.end(), words.begin(), words.end());
  return pieces;
}

const std::vector<std::string>& corpus_labels() {
  static const std::vector<std::string> labels = {"entailment", "not_entailment"};
  return labels;
}

std::vector<TextExample> corpus_split(const CorpusOptions& options, const std::string& split) {
  const std::size_t size = split_size(options, split);
  if (!(options.label_noise >= 0 && options.label_noise <= 0.5)) {
    throw UsageError("label noise: expected a number from 0 to 0.5, found " +
                     std::to_string(options.label_noise));
  }
  const World world(options);
  Random random = stream(options, split == "calibration" ? "train" : split);
  std::vector<TextExample> examples;
  examples.reserve(size);
  while (examples.size() < size) examples.push_back(make_example(world, random, options.label_noise));
  return examples;
}

std::vector<std::string> corpus_text(const CorpusOptions& options, std::size_t count) {
  const World world(options);
  Random random = stream(options, "text");
  std::vector<std::string> sentences;
  sentences.reserve(count);
  while (sentences.size() < count) {
    const std::size_t relation = random.below(relations.size());
    const std::size_t person = random.below(person_count);
    sentences.push_back(world.sentence(random, relation, person));
  }
  return sentences;
}

}  // namespace outlierlab
