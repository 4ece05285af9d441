#include "model/safetensors.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "catch.h"
#include "model/half.h"
#include "paths.h"

using namespace outlierlab;

namespace {

/// A file from a header and its data, with the header's length in front unless another one is given.
std::filesystem::path raw_file(const std::string& header, const std::string& data, long long length = -1) {
  static const auto folder = test::scratch("safetensors");
  const auto path = folder / "file.safetensors";
  const auto size =
      static_cast<unsigned long long>(length < 0 ? static_cast<long long>(header.size()) : length);
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(size >> (8 * i));
  std::ofstream(path, std::ios::binary) << bytes << header << data;
  return path;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
         "}";
}

void rejects(const std::string& header, std::size_t bytes, std::initializer_list<std::string> parts) {
  CAPTURE(header);
  const auto path = raw_file(header, std::string(bytes, '\0'));
  std::string message;
  try {
    SafetensorsFile file(path);
  } catch (const Error& error) {
    message = error.what();
  }
  CAPTURE(message);
  REQUIRE(message.find("file.safetensors") != std::string::npos);
  REQUIRE(message.find('\n') == std::string::npos);
  for (const std::string& part : parts) REQUIRE(message.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("A written safetensors file reads back, its data aligned", "[safetensors]") {
  const auto path = test::scratch("safetensors-write") / "model.safetensors";
  const std::vector<float> values = {1.5f, -2.0f, 3.25f, 0.0f, 5.0f, 6.0f};
  const std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  write_safetensors(path,
                    {{"b", "F32", {2, 3}, bytes},
                     {"a", "U8", {2}, "xy"},
                     {"empty", "F32", {0, 4}, ""},
                     {"scalar", "F32", {}, bytes.substr(0, 4)}},
                    {{"format", "pt"}});
  const SafetensorsFile file(path);
  REQUIRE(file.tensors().size() == 4);
  REQUIRE(file.metadata().at("format") == "pt");
  REQUIRE(file.at("b").shape == std::vector<std::size_t>{2, 3});
  REQUIRE(file.at("b").to_float() == values);
  REQUIRE(file.at("scalar").count() == 1);
  REQUIRE(file.at("empty").to_float().empty());
  REQUIRE(reinterpret_cast<std::uintptr_t>(file.at("b").data) % 64 == 0);
  REQUIRE_ERROR(file.at("a").to_float(), "model.safetensors", "'a'", "F32, F16 or BF16", "U8");
  REQUIRE_ERROR(file.at("scaler"), "model.safetensors", "'scaler'", "'scalar'");
}

TEST_CASE("Half and bfloat16 tensors become the floats they stand for", "[safetensors]") {
  const auto path = test::scratch("safetensors-half") / "model.safetensors";
  const std::uint16_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000};
  const std::uint16_t bf16[] = {0x3f80, 0xc000, 0x7f7f};
  write_safetensors(path, {{"half", "F16", {5}, std::string(reinterpret_cast<const char*>(half), 10)},
                           {"bf16", "BF16", {3}, std::string(reinterpret_cast<const char*>(bf16), 6)}});
  const SafetensorsFile file(path);
  REQUIRE(file.at("half").to_float() == std::vector<float>{1, -2, 65504, 0x1p-24f, -0.0f});
  REQUIRE(file.at("bf16").to_float() == std::vector<float>{1, -2, 0x1.fep127f});
}

TEST_CASE("Every half survives the way through float, and floats round to the nearest half",
          "[safetensors]") {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float value = f16_to_float(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) continue;
    if (float_to_f16(value) != bits) FAIL("half " << bits);
  }
  REQUIRE(float_to_f16(65519.0f) == 0x7bff);
  REQUIRE(float_to_f16(65520.0f) == 0x7c00);
  REQUIRE(float_to_f16(1.0f + 0x1p-11f) == 0x3c00);  // a tie goes to the even neighbour
  REQUIRE(float_to_f16(1.0f + 0x3p-11f) == 0x3c02);
  REQUIRE(float_to_f16(0x1p-25f) == 0);
  REQUIRE(float_to_f16(0x1.8p-25f) == 1);
  REQUIRE(float_to_f16(-std::numeric_limits<float>::infinity()) == 0xfc00);
}

TEST_CASE("A damaged safetensors file is refused with the reason", "[safetensors]") {
  SECTION("the length of the header") {
    const auto path = test::scratch("safetensors-short") / "file.safetensors";
    std::ofstream(path, std::ios::binary) << "1234567";
    REQUIRE_ERROR(SafetensorsFile(path), "file.safetensors", "8 bytes", "7 bytes");
    REQUIRE_ERROR(SafetensorsFile(raw_file("{}", "", 3)), "header length", "at most 2", "3");
    REQUIRE_ERROR(SafetensorsFile(raw_file("{}", "", 200'000'000)), "header length", "200000000");
    REQUIRE_ERROR(SafetensorsFile(raw_file("{}", "", std::numeric_limits<long long>::max())),
                  "header length");
  }
  SECTION("the header") {
    rejects("", 0, {"JSON"});
    rejects("{\"a\":", 0, {"JSON"});
    rejects("\xff\xfe", 0, {"JSON"});
    rejects("[1]", 0, {"object"});
    rejects("{\"a\":3}", 0, {"'a'", "object"});
    rejects("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 0, {"'a'", "data_offsets"});
    rejects("{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("a", "F32", "[1]", "[0,4]") + "}", 4,
            {"once", "'a'"});
    rejects("{\"__metadata__\":{\"k\":1}}", 0, {"__metadata__", "'k'", "string"});
    rejects("{\"__metadata__\":[]}", 0, {"__metadata__"});
  }
  SECTION("an entry") {
    rejects("{" + entry("a", "F31", "[1]", "[0,4]") + "}", 4, {"'a'", "dtype", "F31"});
    rejects("{" + entry("a", "F32", "1", "[0,4]") + "}", 4, {"'a'", "shape"});
    rejects("{" + entry("a", "F32", "[-1]", "[0,4]") + "}", 4, {"'a'", "shape", "-1"});
    rejects("{" + entry("a", "F32", "[1.5]", "[0,4]") + "}", 4, {"'a'", "1.5"});
    rejects("{" + entry("a", "F32", "[1]", "[0]") + "}", 4, {"'a'", "[begin, end]"});
    rejects("{" + entry("a", "F32", "[1]", "[4,0]") + "}", 4, {"'a'", "begin <= end"});
    rejects("{" + entry("a", "F32", "[1]", "[0,8]") + "}", 4, {"'a'", "within the 4 bytes"});
    rejects("{" + entry("a", "F32", "[2]", "[0,4]") + "}", 4, {"'a'", "8 bytes", "4"});
    rejects("{" + entry("a", "F32", "[4294967296,4294967296,4]", "[0,0]") + "}", 0, {"'a'", "size"});
  }
  SECTION("the layout") {
    const std::string a = entry("a", "F32", "[2]", "[0,8]");
    rejects("{" + a + "," + entry("b", "F32", "[1]", "[4,8]") + "}", 8, {"'b'", "overlap"});
    rejects("{" + a + "," + entry("b", "F32", "[1]", "[12,16]") + "}", 16, {"'b'", "hole", "offset 8"});
    rejects("{" + a + "}", 12, {"8 bytes of data", "12"});
  }
}

TEST_CASE("Writing refuses tensors that contradict themselves and leaves no file", "[safetensors]") {
  const auto path = test::scratch("safetensors-refuse") / "model.safetensors";
  REQUIRE_ERROR(write_safetensors(path, {{"a", "F32", {2}, "1234"}}), "'a'", "8 bytes", "4");
  REQUIRE_ERROR(write_safetensors(path, {{"a", "F99", {1}, "1234"}}), "'a'", "F99");
  REQUIRE_ERROR(write_safetensors(path, {{"a", "U8", {1}, "1"}, {"a", "U8", {1}, "1"}}), "'a'", "once");
  REQUIRE(std::filesystem::is_empty(path.parent_path()));
}
