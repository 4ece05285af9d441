#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/agreement.h"
#include "app/engines.h"
#include "app/evaluator.h"
#include "engine/executor.h"
#include "report/row.h"

namespace outlierlab {

/// What evaluates a scheme of a study. The integer engine is several times as fast as the simulation;
/// where rounding decides, single predictions differ.
enum class StudyEngine {
  simulated,  ///< always
  automatic,  ///< the integer engine where it executes the scheme and has agreed with it on the first
              ///< examples (app/agreement.h), else the simulation; of a split so small that asking costs more
              ///< than the engine saves, the simulation
  integer     ///< the integer engine where it executes the scheme, else the simulation
};

/// How an experiment is run.
struct StudyOptions {
  std::string experiment, model_name;
  std::filesystem::path out;            ///< folder <out>/<model>-<task> receives the files
  std::filesystem::path scheme_folder;  ///< configs/schemes
  std::vector<std::string> overrides;   ///< --set, see Study::scheme
  std::size_t seeds = 0;                ///< extra calibration draws for what depends on one
  bool resume = false;
  StudyEngine engine = StudyEngine::simulated;
  /// Examples from which an automatic study asks the engine. In a sweep, double precision on the 200 that are
  /// compared takes as long as integers save on 2,200 to 2,400 (bench/results: `bench --sweep 30`).
  std::size_t asked_from = 12 * agreement_examples;
  std::string executor = "int8";  ///< what executes integers (see make_executor())
  double cell_seconds = 8;        ///< of a cell's timing, once it has its least number of rounds
  /// The engines that studies of time and memory measure, and how each is made.
  std::vector<std::string> timed = {"int8"};
  std::function<TimedEngine(const std::string&)> make_timed = timed_engine;
  std::function<void(std::size_t done, std::size_t total, const std::string& what)> progress;
  std::function<void()> kept;  ///< called after each measurement whose rows have been written
};

/// One run of one experiment. The experiment states its measurements; run() makes them in that order, keeps
/// the result file complete after each, and skips those that a resumed file already holds.
class Study {
 public:
  Study(Evaluator& evaluator, StudyOptions options);

  Evaluator& evaluator() { return evaluator_; }
  const StudyOptions& options() const { return options_; }

  /// A scheme by name with the user's --set where it quantizes anything, then with `overrides`.
  Scheme scheme(const std::string& name, const std::vector<std::string>& overrides = {}) const;

  /// States: evaluate a scheme on the split. One row each for accuracy (with its interval), kl, agreement and
  /// mcnemar_p.
  void evaluate(const std::string& variant, const std::string& parameter, const std::string& value,
                Scheme scheme);
  /// The same for the first `seeds` drawn calibration sets besides the default one.
  void evaluate_with_seeds(const std::string& variant, const std::string& parameter, const std::string& value,
                           Scheme scheme);
  /// States: any other measurement. `rows` need variant, parameter, value, metric and figures only.
  void measure(const std::string& variant, const std::string& parameter, const std::string& value,
               std::function<std::vector<Row>()> rows);
  /// States: what is measured side by side, of several variants. Their rows are written at once, so that a
  /// resumed file has either all of them, of the same passes, or none. `rows` gives those of variants[i].
  void measure_together(const std::vector<std::string>& variants, const std::string& parameter,
                        const std::string& value, std::function<std::vector<Row>(std::size_t i)> rows);

  /// States: data that is no row (a distribution, say), as the text of `<experiment>-<name>.csv` beside the
  /// rows: a header and plain fields. Made after all measurements; a resumed study keeps a file that is
  /// there.
  std::filesystem::path attach(const std::string& name, std::function<std::string()> text);

  /// StudyOptions::timed, made when they are first asked for.
  /// One of several that refuses to run here is left out, and noted as "not_timed".
  const std::vector<TimedEngine>& timed_engines();
  /// Whether anything has asked for them.
  bool times() const { return timed_.has_value(); }

  /// What a note is about that is about every scheme which an engine could execute.
  static constexpr const char* every_scheme = "every scheme";
  /// Says something about a part of this run that is no figure, for the record beside the rows: `record` is
  /// the member there ("not_timed", say), `of` what it is about. No text takes back what an earlier run said.
  void note(const std::string& record, const std::string& of, const std::string& text) {
    notes_[record][of] = text;
  }
  /// Says that this run tries to time `of`: what earlier runs have noted as its "not_timed" is out of date.
  void tries(const std::string& of) { tried_.insert(of); }
  const std::set<std::string>& tried() const { return tried_; }
  using Notes = std::map<std::string, std::map<std::string, std::string>>;
  const Notes& notes() const { return notes_; }

  /// Without `resume`, takes what an earlier run has left, rows and data, out of the way, to
  /// `<file>.previous`: an interrupted run must not leave it beside its own record, for --resume to keep.
  void set_aside() const;
  /// Makes all measurements and returns the rows of the file; set_aside() comes first.
  const std::vector<Row>& run();
  /// Those that the file holds now.
  const std::vector<Row>& rows() const { return writer_.rows(); }
  /// "22 of 174 measurements": of how many of those that are stated the file holds rows now.
  std::string measured();

  /// The four rows of a scored evaluation.
  static std::vector<Row> rows_of(const Scores& scores);

  std::filesystem::path file() const;

  /// What evaluated each scheme of this run, "simulated" or the engine's description, by measurement
  /// ("variant parameter=value seed N").
  const std::map<std::string, std::string>& engines() const { return engines_; }

 private:
  Evaluation evaluation(const Scheme& scheme, std::uint64_t seed);
  /// The scheme on the integer engine; none where it cannot or shall not execute it.
  std::unique_ptr<engine::Executor> executor_of(const Scheme& scheme, std::uint64_t seed,
                                                std::size_t& weight_bytes);
  struct Step {
    std::vector<std::string> variants;
    std::string parameter, value;
    std::uint64_t seed;
    std::function<std::vector<Row>(std::size_t)> rows;

    bool is_in(const RowWriter& writer) const;
    /// "variant parameter=value seed N", of the first variant.
    std::string text() const;
  };
  struct Attachment {
    std::filesystem::path file;
    std::function<std::string()> text;
  };
  void write_attachments() const;

  Evaluator& evaluator_;
  StudyOptions options_;
  std::vector<Step> steps_;
  std::optional<std::size_t> present_;  ///< steps with rows in the file, once measured() has counted
  std::vector<Attachment> attachments_;
  RowWriter writer_;
  std::string current_;  ///< the measurement being made
  std::map<std::string, std::string> engines_;
  std::optional<std::vector<TimedEngine>> timed_;
  Notes notes_;
  std::set<std::string> tried_;
};

/// A row with a figure and nothing drawn; for measure().
Row figure(const std::string& metric, double estimate);

}  // namespace outlierlab
