#include "store/activation_store.h"

#include <fstream>

#include "catch.h"
#include "core/files.h"
#include "paths.h"
#include "stats/compare.h"
#include "stats/tiles.h"
#include "store/hdf5_file.h"

using namespace outlierlab;
namespace fs = std::filesystem;

namespace {

NetworkStatistics some_statistics() {
  NetworkStatistics network;
  network.names = {"embeddings.sum", "layer.0.scores", "layer.0.ffn_output", "pooler"};
  const test::Rows rows = test::token_rows(150, 37, 5);
  SiteStatistics tokens(37, false), scores(3, true), narrow(16, false);
  test::add_rows(tokens, rows, 0, rows.tokens.size());
  for (const test::Rows& tile : test::score_rows(40, 3, 7))
    test::add_rows(scores, tile, 0, tile.tokens.size());
  const test::Rows few = test::token_rows(2, 16, 9);
  test::add_rows(narrow, few, 0, few.tokens.size());
  network.sites = {tokens, scores, narrow, SiteStatistics(16, false)};
  return network;
}

const std::map<std::string, std::string> provenance = {
    {"model_sha256", "0123abcd"}, {"task", "qnli"}, {"note", "\xc3\xbc, with a comma"}, {"empty", ""}};

fs::path written(const std::string& name) {
  const fs::path path = test::scratch(name) / "activations.h5";
  write_activation_store(path, some_statistics(), provenance);
  return path;
}

/// Opens a store for writing and lets `change` spoil it.
template <typename Change>
void spoil(const fs::path& path, Change change) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  REQUIRE(file >= 0);
  change(file);
  H5Fclose(file);
}

void replace_with_floats(hid_t file, const char* dataset, const std::vector<hsize_t>& shape) {
  H5Ldelete(file, dataset, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
  const hid_t created =
      H5Dcreate2(file, dataset, H5T_NATIVE_FLOAT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dclose(created);
  H5Sclose(space);
}

}  // namespace

TEST_CASE("an activation store comes back bit for bit", "[store]") {
  const fs::path path = written("store-round-trip");
  const NetworkStatistics before = some_statistics();
  std::map<std::string, std::string> found;
  NetworkStatistics after = read_activation_store(path, "0123abcd", &found);
  REQUIRE(found == provenance);
  REQUIRE(after.names == before.names);
  for (std::size_t s = 0; s < before.sites.size(); ++s) {
    INFO(before.names[s]);
    REQUIRE(after.sites[s].by_head() == before.sites[s].by_head());
    test::require_identical(after.sites[s], before.sites[s]);
  }
  // What was read goes on merging like the original.
  const test::Rows more = test::token_rows(200, 37, 77);
  SiteStatistics addition(37, false), expected = before.sites[0];
  test::add_rows(addition, more, 0, more.tokens.size());
  after.sites[0].merge(addition);
  expected.merge(addition);
  test::require_identical(after.sites[0], expected);

  const fs::path again = path.parent_path() / "again.h5";
  write_activation_store(again, read_activation_store(path), provenance);
  test::require_identical(read_activation_store(again).sites[1], before.sites[1]);
}

TEST_CASE("a store of another model is refused", "[store]") {
  const fs::path path = written("store-model");
  REQUIRE_ERROR(read_activation_store(path, "ffff"), path.string(), "ffff", "0123abcd", "another model");
  write_activation_store(path, some_statistics(), {});
  REQUIRE_ERROR(read_activation_store(path, "ffff"), "model_sha256", "none");
}

TEST_CASE("a store with NaN is not written", "[store]") {
  NetworkStatistics network = some_statistics();
  std::vector<float> row(16, NAN);
  const TokenId token{0, 0};
  network.sites[3].add({0, row.data(), 1, 16, 16, -1, &token});
  const fs::path path = test::scratch("store-nan") / "a.h5";
  REQUIRE_ERROR(write_activation_store(path, network, {}), "pooler", "NaN");
  REQUIRE(fs::is_empty(path.parent_path()));
}

TEST_CASE("files that are no store are named", "[store]") {
  const fs::path folder = test::scratch("store-bad");
  REQUIRE_ERROR(read_activation_store(folder / "missing.h5"), "missing.h5");
  REQUIRE_ERROR(read_activation_store(folder), folder.string());
  std::ofstream(folder / "text.h5") << "This is not HDF5.";
  REQUIRE_ERROR(read_activation_store(folder / "text.h5"), "text.h5", "an HDF5 file");
  std::ofstream(folder / "empty.h5").close();
  REQUIRE_ERROR(read_activation_store(folder / "empty.h5"), "empty.h5");
  { Hdf5File::create(folder / "other.h5", "other.h5").close(); }
  REQUIRE_ERROR(read_activation_store(folder / "other.h5"), "other.h5", "another HDF5 file");
}

TEST_CASE("a truncated store is an error, wherever it ends", "[store]") {
  const fs::path path = written("store-truncated");
  const std::string bytes = read_file(path);
  const fs::path cut = path.parent_path() / "cut.h5";
  for (const double share : {0.0001, 0.01, 0.3, 0.7, 0.9999}) {
    std::ofstream(cut, std::ios::binary)
        << bytes.substr(0, static_cast<std::size_t>(share * double(bytes.size())));
    INFO(share);
    REQUIRE_ERROR(read_activation_store(cut), "cut.h5");
  }
}

TEST_CASE("damaged bytes never crash", "[store]") {
  const fs::path path = written("store-damaged");
  const std::string bytes = read_file(path);
  const fs::path bad = path.parent_path() / "bad.h5";
  Random random(3);
  for (int trial = 0; trial < 40; ++trial) {
    std::string copy = bytes;
    for (int i = 0; i < 30; ++i) copy[random.below(copy.size())] = static_cast<char>(random.below(256));
    std::ofstream(bad, std::ios::binary) << copy;
    try {
      read_activation_store(bad);
    } catch (const Error& error) {
      REQUIRE(std::string(error.what()).find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("missing and misshapen members are named", "[store]") {
  const fs::path path = written("store-members");
  SECTION("missing dataset") {
    spoil(path, [](hid_t file) { H5Ldelete(file, "/sites/layer.0.ffn_output/channels/m2", H5P_DEFAULT); });
    REQUIRE_ERROR(read_activation_store(path), path.string(), "/sites/layer.0.ffn_output/channels/m2");
  }
  SECTION("missing site") {
    spoil(path, [](hid_t file) { H5Ldelete(file, "/sites/pooler", H5P_DEFAULT); });
    REQUIRE_ERROR(read_activation_store(path), "/sites/pooler");
  }
  SECTION("wrong shape") {
    spoil(path, [](hid_t file) { replace_with_floats(file, "/sites/embeddings.sum/channels/min", {36}); });
    REQUIRE_ERROR(read_activation_store(path), "/sites/embeddings.sum/channels/min", "[37]", "[36]");
  }
  SECTION("wrong rank") {
    spoil(path, [](hid_t file) { replace_with_floats(file, "/sites/pooler/sample", {0}); });
    REQUIRE_ERROR(read_activation_store(path), "/sites/pooler/sample", "[0, 16]", "[0]");
  }
  SECTION("wrong type") {
    spoil(path, [](hid_t file) { replace_with_floats(file, "/sites/embeddings.sum/channels/m2", {37}); });
    REQUIRE_ERROR(read_activation_store(path), "/sites/embeddings.sum/channels/m2", "64-bit floats",
                  "32-bit floats");
  }
  SECTION("an extent that no store has") {
    spoil(path, [](hid_t file) { replace_with_floats(file, "/sites/pooler/histogram/bins", {1u << 30}); });
    REQUIRE_ERROR(read_activation_store(path), "/sites/pooler/histogram/bins", "at most");
  }
  SECTION("counts that do not add up") {
    spoil(path, [](hid_t file) {
      const hid_t dataset = H5Dopen2(file, "/sites/layer.0.ffn_output/channels/count", H5P_DEFAULT);
      const std::vector<std::uint64_t> counts(16, 12345);
      H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data());
      H5Dclose(dataset);
    });
    REQUIRE_ERROR(read_activation_store(path), "/sites/layer.0.ffn_output/channels/count", "add up");
  }
  SECTION("channels of a token site with different counts") {
    spoil(path, [](hid_t file) {
      const hid_t dataset = H5Dopen2(file, "/sites/layer.0.ffn_output/channels/count", H5P_DEFAULT);
      std::vector<std::uint64_t> counts(16);
      H5Dread(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data());
      --counts[3];
      ++counts[4];
      H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts.data());
      H5Dclose(dataset);
    });
    REQUIRE_ERROR(read_activation_store(path), "/sites/layer.0.ffn_output/channels/count", "the same count");
  }
  SECTION("another layout") {
    spoil(path, [](hid_t file) {
      const hid_t attribute = H5Aopen(file, "layout_version", H5P_DEFAULT);
      const std::uint64_t version = 99;
      H5Awrite(attribute, H5T_NATIVE_UINT64, &version);
      H5Aclose(attribute);
    });
    REQUIRE_ERROR(read_activation_store(path), "layout_version 1", "99");
  }
}

TEST_CASE("a folder that cannot be written to is named", "[store]") {
  const fs::path folder = test::scratch("store-unwritable");
  std::ofstream(folder / "file").close();
  REQUIRE_ERROR(write_activation_store(folder / "file" / "a.h5", some_statistics(), {}), "file");
}
