#include "data/task.h"

#include "catch.h"
#include "core/files.h"
#include "paths.h"

using namespace outlierlab;

namespace {
Task qnli() {
  return Task::read(test::source("configs/tasks/qnli.ini"));
}
const std::string header = "index\tquestion\tsentence\tlabel\n";

/// A folder whose dev.tsv has the given contents.
std::filesystem::path with_dev(const std::string& contents) {
  const auto folder = test::scratch("task");
  write_file_atomically(folder / "dev.tsv", contents);
  return folder;
}

std::filesystem::path ini(const std::string& text) {
  const auto path = test::scratch("task-ini") / "t.ini";
  write_file_atomically(path, text);
  return path;
}
const std::string base = "[task]\nname = t\ntext = a\nlabel = l\nlabels = x, y\n";
}  // namespace

TEST_CASE("Task: the committed tasks") {
  const Task task = qnli();
  REQUIRE(task.name == "qnli");
  REQUIRE(task.text_columns == std::vector<std::string>{"question", "sentence"});
  REQUIRE(task.labels == std::vector<std::string>{"entailment", "not_entailment"});
  REQUIRE(task.files.at("train") == std::vector<std::string>{"train.tsv", "train-10k.tsv"});
  REQUIRE(task.max_length == 128);
  REQUIRE(task.chance == 50);
  REQUIRE_FALSE(task.corpus);
  for (const char* name : {"rte", "mrpc", "sst2", "demo"}) {
    REQUIRE(Task::read(test::source("configs/tasks/" + std::string(name) + ".ini")).name == name);
  }
}

TEST_CASE("Task: errors of the INI file") {
  REQUIRE_NOTHROW(Task::read(ini(base + "dev = dev.tsv\n")));
  REQUIRE_ERROR(Task::read(ini("[other]\nname = t\n")), "t.ini", "[task]");
  REQUIRE_ERROR(Task::read(ini(base + "dev = d\nlimit = 3\n")), "t.ini:7", "limit");
  REQUIRE_ERROR(Task::read(ini("[task]\ntext = a\n")), "t.ini:1", "name");
  REQUIRE_ERROR(Task::read(ini(base)), "t.ini", "split");
  REQUIRE_ERROR(Task::read(ini("[task]\nname = t\nlabel = l\nlabels = x, y\ndev = d\n")), "text",
                "one or two");
  REQUIRE_ERROR(Task::read(ini("[task]\nname = t\ntext = a, b, c\nlabel = l\nlabels = x, y\ndev = d\n")),
                "one or two");
  REQUIRE_ERROR(Task::read(ini("[task]\nname = t\ntext = a\nlabel = l\nlabels = x, x\ndev = d\n")), "labels");
  REQUIRE_ERROR(Task::read(ini(base + "dev = d\nmetric = f1\n")), "metric", "accuracy", "f1");
  REQUIRE_ERROR(Task::read(ini(base + "dev = d\nmax_length = 2\n")), "max_length", "at least 3");
  REQUIRE_ERROR(Task::read(ini(base + "dev = d\nchance = 101\n")), "chance");
  REQUIRE_ERROR(Task::read(ini(base + "dev = d\n[corpus]\nkind = facts\n")), "both");
}

TEST_CASE("Task: errors of a [corpus] section") {
  const std::string pair =
      "[task]\nname = t\ntext = a, b\nlabel = l\nlabels = entailment, not_entailment\n[corpus]\n";
  const Task task = Task::read(ini(pair + "kind = facts\nseed = 5\ndev = 10\nnoise = 0.25\n"));
  REQUIRE(task.corpus->seed == 5);
  REQUIRE(task.corpus->label_noise == 0.25);
  REQUIRE(task.corpus->split_sizes == std::map<std::string, std::size_t>{{"dev", 10}});
  REQUIRE_ERROR(Task::read(ini(pair)), "kind");
  REQUIRE_ERROR(Task::read(ini(pair + "kind = poems\n")), "kind", "facts", "poems");
  REQUIRE_ERROR(Task::read(ini(pair + "kind = facts\nseed = -1\n")), "seed");
  REQUIRE_ERROR(Task::read(ini(pair + "kind = facts\ndev = 0\n")), "dev", "at least 1");
  REQUIRE_ERROR(Task::read(ini(pair + "kind = facts\nnoise = 0.6\n")), "noise");
  REQUIRE_ERROR(Task::read(ini(base + "[corpus]\nkind = facts\n")), "labels", "entailment");
}

TEST_CASE("Task: rows with LF, with CR LF, with a byte order mark, and without a last line end") {
  const std::string row = "0\tWho?\tIt was \"she\".\tentailment\n1\tWhy?\t\tnot_entailment";
  std::string windows;
  for (const char c : header + row) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  for (const std::string& text :
       {header + row, header + row + "\n", windows, windows + "\r\n", "\xef\xbb\xbf" + header + row}) {
    std::filesystem::path used;
    const auto folder = with_dev(text);
    const auto rows = read_split(qnli(), "dev", folder, 0, &used);
    REQUIRE(used == folder / "dev.tsv");
    REQUIRE(rows.size() == 2);
    REQUIRE(rows[0].first == "Who?");
    REQUIRE(rows[0].second == "It was \"she\".");
    REQUIRE(rows[0].label == 0);
    REQUIRE(rows[1].second.empty());
    REQUIRE(rows[1].pair);
    REQUIRE(rows[1].label == 1);
  }
}

TEST_CASE("Task: a limit reads the first rows only") {
  const auto folder = with_dev(header + "0\ta\tb\tentailment\n1\tc\td\tentailment\nbroken\n");
  REQUIRE(read_split(qnli(), "dev", folder, 2).size() == 2);
  REQUIRE_ERROR(read_split(qnli(), "dev", folder, 3), "dev.tsv:4", "4 cells", "1");
}

TEST_CASE("Task: errors of a split name file and line") {
  const Task task = qnli();
  const auto read = [&](const std::string& text) { return read_split(task, "dev", with_dev(text)); };
  REQUIRE_ERROR(read(""), "dev.tsv", "empty file");
  REQUIRE_ERROR(read(header), "dev.tsv", "rows after the header");
  REQUIRE_ERROR(read("index\tquestion\tlabel\n0\ta\tentailment\n"), "dev.tsv:1", "'sentence'", "'question'");
  REQUIRE_ERROR(read(header + "0\ta\tb\tentailment\n1\tshort\tentailment\n"), "dev.tsv:3", "4 cells", "3");
  REQUIRE_ERROR(read(header + "0\ta\tb\tentailment\tmore\n"), "dev.tsv:2", "4 cells", "5");
  REQUIRE_ERROR(read(header + "0\ta\tb\tentailment\n\n"), "dev.tsv:3", "4 cells", "1");
  REQUIRE_ERROR(read(header + "0\ta\tb\tmaybe\n"), "dev.tsv:2", "entailment, not_entailment", "'maybe'");
  REQUIRE_ERROR(read(header + "0\ta\xff\tb\tentailment\n"), "dev.tsv:2, byte 4", "UTF-8");
  const auto empty = test::scratch("task-empty");
  REQUIRE_ERROR(read_split(task, "train", empty), empty.string(), "train.tsv or train-10k.tsv");
  REQUIRE_ERROR(read_split(task, "train", empty / "absent"), "absent", "train.tsv");
  REQUIRE_ERROR(read_split(task, "tune", empty), "split", "tune", "dev, test, train");
}

TEST_CASE("Task: the first candidate that exists counts") {
  const auto folder = test::scratch("task-candidates");
  std::filesystem::path used;
  write_file_atomically(folder / "train-10k.tsv", header + "0\tten\tb\tentailment\n");
  REQUIRE(read_split(qnli(), "train", folder, 0, &used).at(0).first == "ten");
  write_file_atomically(folder / "train.tsv", header + "0\tall\tb\tentailment\n");
  REQUIRE(read_split(qnli(), "train", folder, 0, &used).at(0).first == "all");
  REQUIRE(used.filename() == "train.tsv");
}

TEST_CASE("Task: a split without labels, one text, and columns with a number sign") {
  const auto folder = test::scratch("task-shapes");
  write_file_atomically(folder / "test.tsv", "index\tquestion\tsentence\n0\ta\tb\n");
  REQUIRE(read_split(qnli(), "test", folder).at(0).label == -1);

  write_file_atomically(folder / "dev.tsv", "sentence\tlabel\nit works\t1\n");
  const auto single = read_split(Task::read(test::source("configs/tasks/sst2.ini")), "dev", folder);
  REQUIRE(single.at(0).first == "it works");
  REQUIRE_FALSE(single.at(0).pair);
  REQUIRE(single.at(0).label == 1);

  write_file_atomically(folder / "dev.tsv",
                        "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tone\ttwo\n");
  const auto mrpc = read_split(Task::read(test::source("configs/tasks/mrpc.ini")), "dev", folder);
  REQUIRE(mrpc.at(0).first == "one");
  REQUIRE(mrpc.at(0).second == "two");
  REQUIRE(mrpc.at(0).label == 1);
}

TEST_CASE("Task: QNLI's own files") {
  const auto folder = test::data("qnli");
  SKIP_WITHOUT_DATA(folder);
  const auto dev = read_split(qnli(), "dev", folder);
  REQUIRE(dev.size() == 5463);
  REQUIRE(std::count_if(dev.begin(), dev.end(), [](const TextExample& e) { return e.label == 0; }) == 2702);
  REQUIRE(read_split(qnli(), "train", folder, 256).size() == 256);
}
