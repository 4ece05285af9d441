#include "report/roofline.h"

#include "catch.h"
#include "support/rows.h"

using namespace outlierlab;

namespace {

Row row_of(const std::string& variant, const std::string& parameter, const std::string& value,
           const std::string& metric, double estimate) {
  Row row = test::row(variant, parameter, value, metric, estimate);
  row.experiment = "roofline";
  row.model = "m";
  row.task = "t";
  return row;
}

std::vector<Measurement> some() {
  std::vector<Row> rows = {row_of("peak:int8", "1 thread", "vpdpbusd zmm", "gops", 900),
                           row_of("peak:int8", "2 threads", "vpdpbusd zmm", "gops", 1800),
                           row_of("peak:int8", "2 threads", "tdpbusd", "gops", 9000),
                           row_of("peak:fp32", "2 threads", "vfmadd231ps zmm", "gops", 450),
                           row_of("peak:memory", "2 threads", "triad", "gbytes", 30)};
  const auto product = [&](const std::string& variant, const std::string& on, const std::string& shape,
                           double gops, double share) {
    rows.push_back(row_of(variant, "gemm of a, b, " + on, shape, "gops", gops));
    rows.push_back(row_of(variant, "gemm of a, b, " + on, shape, "share_of_peak", share));
    rows.push_back(row_of(variant, "gemm of a, b, " + on, shape, "arithmetic_intensity", 50));
    rows.push_back(row_of(variant, "gemm of a, b, " + on, shape, "share_of_roof", 60));
  };
  product("integer:int8", "1 thread", "16x8x8", 450, 50);
  product("integer:int8", "2 threads", "16x8x8", 900, 10);
  product("integer:int8", "2 threads", "32x8x8", 1800, 20);
  product("float:fp32", "2 threads", "16x8x8", 400, 88);
  return measurements(rows);
}

}  // namespace

TEST_CASE("A roofline's rows: peaks by kind and threads, products by network and shape", "[report]") {
  const Roofline found = roofline_of(some());
  REQUIRE(found.most_threads() == 2);
  REQUIRE(found.best_peak("int8", 2)->instruction == "tdpbusd");
  REQUIRE(found.best_peak("int8", 1)->gops == 900);
  REQUIRE(found.best_peak("bf16", 2) == nullptr);
  REQUIRE(found.bandwidth(2) == 30);
  REQUIRE(found.bandwidth(1) == 0);
  REQUIRE(found.products.size() == 4);
  REQUIRE(found.products[0].network == "a, b");
  REQUIRE(found.products[1].share_of_roof == 60);
  REQUIRE(found.median_share_of_peak("int8") == 15);
  REQUIRE(roofline_of({}).most_threads() == 0);
}

TEST_CASE("A device's peaks stand among the roofs, and apart from the processor's", "[report]") {
  std::vector<Measurement> all = some();
  for (const Measurement& m :
       measurements({row_of("cuda peak:fp16", "", "a large product", "gops", 700000),
                     row_of("cuda peak:int8", "", "a large product", "gops", 1500000)}))
    all.push_back(m);
  const Roofline found = roofline_of(all);
  REQUIRE(found.peaks.size() == roofline_of(some()).peaks.size());
  REQUIRE(found.device_peaks.size() == 2);
  REQUIRE(read_roofline(all) == read_roofline(some()));
  const Table roofs = roofline_tables(all).front();
  REQUIRE(roofs.rows.size() == 7);
  REQUIRE(roofs.rows[5] == std::vector<std::string>{"float16 on CUDA", "a large product", "-", "700000"});
}

TEST_CASE("The tables of roofline: the roofs, then the products by number of threads", "[report]") {
  const std::vector<Table> tables = roofline_tables(some());
  REQUIRE(tables.size() == 3);
  REQUIRE(tables[0].rows.size() == 5);
  REQUIRE(tables[0].rows[2] == std::vector<std::string>{"int8", "tdpbusd", "2", "9000"});
  REQUIRE(tables[0].rows[4] == std::vector<std::string>{"memory", "triad", "2", "30.0"});
  REQUIRE(tables[1].columns.size() == 6);
  REQUIRE(tables[2].title == "roofline: products on 2 threads");
  REQUIRE(tables[2].columns.size() == 10);
  REQUIRE(tables[2].rows ==
          std::vector<std::vector<std::string>>{
              {"a, b", "16x8x8", "400", "88.0", "50.0", "60.0", "900", "10.0", "50.0", "60.0"},
              {"a, b", "32x8x8", "-", "-", "-", "-", "1800", "20.0", "50.0", "60.0"}});
  REQUIRE(read_roofline(some()).find("15.0 % of int8 (9000 GOP/s with tdpbusd)") != std::string::npos);
  REQUIRE(read_roofline({}).find("No products") == 0);
}
