// JSON Schema: which texts are made, and what is refused at which pointer.
#include "texts.h"

#include <pthread.h>

#include "system/stack.h"

static void scalars(void) {
  TEXTS(OF_SCHEMA, "{\"type\":\"boolean\"}", "+true", "+false", "/tr", "-null", "-True");
  TEXTS(OF_SCHEMA, "{\"type\":[\"null\",\"integer\"]}", "+null", "+0", "+-12", "-01", "-1.0", "-\"");
  TEXTS(OF_SCHEMA, "{\"type\":\"number\"}", "+0", "+-0.5e-3", "+12E+7", "/1.", "/1e", "-.5", "-+1", "-1e123");
  TEXTS(OF_SCHEMA, "{\"const\":{\"a\":[1,\"x\\n\"]}}", "+{\"a\":[1,\"x\\n\"]}", "+{\"a\": [1, \"x\\n\"]}", "-{\"a\":  ", "-{ ");
  TEXTS(OF_SCHEMA, "{\"enum\":[\"a\",1,\"ab\",true,2.5],\"type\":[\"string\",\"number\"]}", "+\"a\"", "+\"ab\"", "+1", "+2.5", "-t",
        "-\"b");
  TEXTS(OF_SCHEMA, "true", "+null", "+{\"a\": [1,{}]}", "+[]", "+\"\\u00e9\"", "-\n", "- 1", "-[1 ");
  TEXTS(OF_SCHEMA, "{\"minLength\":1}", "+\"a\"", "-\"\"", "-1");
  // What stands beside the keywords of other types says nothing of them.
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"minimum\":5,\"x-note\":1,\"title\":\"t\",\"default\":3}", "+\"\"", "-5");
}

static void numbers(void) {
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"minimum\":-12,\"maximum\":345}", "+-12", "+-1", "+0", "+9", "+99", "+345", "--13", "-346",
        "+34", "-999", "-00");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"exclusiveMinimum\":7,\"exclusiveMaximum\":10}", "+8", "+9", "-7", "-1");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"minimum\":98765}", "+98765", "+99999", "+100000", "/98764", "-01", "--");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"maximum\":-5}", "+-5", "+-123456", "/-4", "-1");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"minimum\":2.5,\"maximum\":3.5}", "+3", "-2", "-4");
  TEXTS(OF_SCHEMA, "{\"type\":\"number\",\"minimum\":-1.5,\"exclusiveMaximum\":2.25}", "+-1.5", "+-1.499", "+0", "+0.000001", "+2.249999",
        "+2.2", "-2.25", "-2.3", "--1.51", "--2", "-3", "-1e1");
  TEXTS(OF_SCHEMA, "{\"type\":\"number\",\"exclusiveMinimum\":0,\"maximum\":1}", "+1", "+1.0", "+0.000001", "/0", "/0.000", "-1.1", "--");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":-20,\"maximum\":1000}", "+-14", "+0", "+7", "+994", "/1", "-999",
        "-1001");
  // Bounds beyond what 64 bits hold.
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"minimum\":15000000000000000000.0,\"maximum\":15000000000000000000.0,\"multipleOf\":1}",
        "+15000000000000000000", "--3446744073709551616", "-1500000000000000000e1");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"multipleOf\":12}", "+0", "+12", "+-144", "+1200000", "/1", "/13");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"multipleOf\":100000,\"minimum\":1,\"maximum\":250000}", "+100000", "+200000", "-3", "/1");
  TEXTS(OF_SCHEMA, "{\"type\":\"number\",\"multipleOf\":0.25,\"minimum\":0,\"maximum\":3}", "+0", "+1.25", "+2.50", "+3", "/0.2", "-0.3",
        "-3.2");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"multipleOf\":1.5}", "+3", "+6", "/1", "-x");
  TEXTS(OF_SCHEMA, "{\"allOf\":[{\"multipleOf\":4},{\"multipleOf\":6}],\"type\":\"integer\",\"minimum\":1,\"maximum\":50}", "+12", "+48",
        "-6", "/1");
  TEXTS(OF_SCHEMA, "{\"type\":\"integer\",\"minimum\":5,\"exclusiveMinimum\":true,\"maximum\":6}", "+6", "-5");
}

static void strings(void) {
  TEXTS(OF_SCHEMA, "{\"type\":\"string\"}", "+\"\"", "+\"a\\\"\\u00E9\\n\\/\"", "+\"\\ud83d\\ude00\"", "/\"\\ud83d", "-\"\\ud83d\"",
        "-\"\\udc00", "-\"\n", "-\"\\x", "-\"\xFF");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}", "+\"ab\"", "+\"\xC3\xA9\\n\xF0\x9F\x98\x80\"",
        "+\"\\ud83d\\ude00x\"", "-\"a\"", "-\"abcd", "/\"\xF0\x9F");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"pattern\":\"^a[\\\"\\\\\\\\\\n]b$\"}", "+\"a\\\"b\"", "+\"a\\\\b\"", "+\"a\\nb\"", "-\"ab",
        "-\"a\n");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"pattern\":\"b\"}", "+\"b\"", "+\"abc\"", "/\"ac", "/\"a", "-a");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"pattern\":\"^[ab]*$\",\"minLength\":2,\"maxLength\":4}", "+\"ab\"", "+\"abab\"", "-\"a\"",
        "-\"ababa", "-\"c");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"^.b\"}]}", "+\"aba\"", "+\"ab\"", "/\"bb", "-\"ac");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"format\":\"date\"}", "+\"2024-02-28\"", "+\"1999-12-31\"", "-\"2024-02-30", "-\"2024-13",
        "-\"0000", "/\"20");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"format\":\"uuid\"}", "+\"0bd0eead-def7-0bed-61ca-b953afcadebb\"", "/\"0bd0eead-",
        "-\"0bd0eeadd");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"format\":\"ipv4\"}", "+\"192.168.0.255\"", "-\"256", "-\"01", "-\"1.1.1.1.");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"format\":\"ipv6\"}", "+\"::\"", "+\"1:2:3:4:5:6:7:8\"", "+\"fe80::1\"", "+\"1:2:3:4::5\"",
        "-\"1::2::", "-\"1:2:3:4:5:6:7::8");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"format\":\"date-time\"}", "+\"2024-01-31T23:59:59.5Z\"", "+\"2024-01-31T00:00:00+01:30\"",
        "-\"2024-01-31 ", "-\"2024-01-31T24");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"format\":\"a-format-of-ours\",\"maxLength\":1}", "+\"x\"");
}

static void objects(void) {
  const char *two = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"null\"}},\"required\":[\"b\"]}";
  TEXTS(OF_SCHEMA, two, "+{\"a\":1,\"b\":null}", "+{\"a\": 1, \"b\": null}", "+{\"b\":null}", "-{\"b\":null,", "-{\"a\":1}", "-{ ", "-{\"c",
        "-{\"a\":1 ", "-{}");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\"}", "+{}", "+{\"x\":[null]}", "+{\"\":{},\"y\": \"\"}", "-{,");
  TEXTS(OF_SCHEMA, "{\"properties\":{\"ab\":{\"const\":1},\"ac\":{\"const\":2}},\"additionalProperties\":{\"type\":\"boolean\"}}", "+{}",
        "+{\"ab\":1}", "+{\"ab\":1,\"ac\":2,\"a\":true}", "+{\"abc\":true,\"b\\u0041\":false,\"\":true}", "-{\"ab\":t", "-{\"ac\":1",
        "/{\"a\\n", "-{\"\\u006", "-{\"a\\u006");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"additionalProperties\":false}", "+{}", "-{\"");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"required\":[\"z\"],\"additionalProperties\":{\"const\":0}}", "+{\"z\":0}", "+{\"z\":0,\"y\":0}",
        "-{}", "-{\"z\":1");
  TEXTS(OF_SCHEMA,
        "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2},\"c\":{\"const\":3}},\"minProperties\":2,"
        "\"maxProperties\":2}",
        "+{\"a\":1,\"b\":2}", "+{\"a\":1,\"c\":3}", "+{\"b\":2,\"c\":3}", "-{\"c", "-{}", "-{\"a\":1}", "-{\"a\":1,\"b\":2,");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"additionalProperties\":{\"const\":1},\"minProperties\":1,\"maxProperties\":2}", "-{}",
        "+{\"a\":1}", "+{\"a\":1,\"b\":1}", "-{\"a\":1,\"b\":1,");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"patternProperties\":{\"^x\":{\"const\":1}},\"additionalProperties\":false}", "+{}",
        "+{\"x\":1,\"xy\":1}", "-{\"y");
  TEXTS(OF_SCHEMA,
        "{\"properties\":{\"xa\":{\"enum\":[1,2]}},\"patternProperties\":{\"^x\":{\"enum\":[2,3]}},\"additionalProperties\":{\"const\":0}}",
        "+{\"xa\":2,\"xb\":3,\"c\":0}", "-{\"xa\":1", "-{\"xa\":3", "-{\"c\":1", "-{\"xa\":2,\"xa\"");
  TEXTS(OF_SCHEMA,
        "{\"type\":\"object\",\"properties\":{\"\xC3\xA9\":{\"enum\":[1,2]}},\"patternProperties\":{\"^\\\\D$\":{\"enum\":[2,3]}},"
        "\"additionalProperties\":{\"const\":0}}",
        "+{\"\xC3\xA9\":2}", "-{\"\xC3\xA9\":1", "+{\"a\":3,\"12\":0}", "-{\"a\":0", "-{\"\xC3\xAA\"");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"propertyNames\":{\"enum\":[\"l\",\"r\"]},\"additionalProperties\":{\"const\":1}}",
        "+{\"l\":1,\"r\":1}", "+{}", "-{\"m");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^[ab]+$\"}}", "+{\"ab\":1}", "-{\"c", "-{\"\"");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}},\"dependentRequired\":{\"a\":[\"b\"]}}",
        "+{}", "+{\"b\":2}", "+{\"a\":1,\"b\":2}", "-{\"a\":1}");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":false},\"not\":{\"required\":[\"c\"]}}", "+{}",
        "+{\"a\":1}", "-{\"b", "-{\"c");
  TEXTS(OF_SCHEMA, "{\"type\":\"object\",\"properties\":{\"\xC3\xA9\\\"\\n\":{\"const\":0}},\"required\":[\"\xC3\xA9\\\"\\n\"]}",
        "+{\"\xC3\xA9\\\"\\n\":0}", "-{\"\\u00e9");
}

static void arrays(void) {
  TEXTS(OF_SCHEMA, "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}", "+[1]", "+[1,2, 3]", "-[]",
        "-[1,2,3,", "-[1 ", "-[ ");
  TEXTS(OF_SCHEMA, "{\"type\":\"array\"}", "+[]", "+[[],{}]", "-[,");
  TEXTS(OF_SCHEMA, "{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":{\"const\":3}}", "+[]", "+[1]",
        "+[1,2,3,3]", "-[2", "-[1,3", "-[1,2,4");
  TEXTS(OF_SCHEMA, "{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false,\"minItems\":2}", "+[1,2]", "-[1]",
        "-[1,2,");
  TEXTS(OF_SCHEMA, "{\"type\":\"array\",\"items\":[{\"const\":1}],\"additionalItems\":{\"const\":2}}", "+[1,2,2]", "-[2");
  TEXTS(OF_SCHEMA, "{\"type\":\"array\",\"items\":{\"const\":0},\"minItems\":300,\"maxItems\":100000}", "/[0,0", "-[0]");
  TEXTS(OF_SCHEMA, "{\"type\":\"array\",\"items\":{\"const\":0},\"maxItems\":1,\"uniqueItems\":true}", "+[0]", "+[]", "-[0,");
  TEXTS(OF_SCHEMA,
        "{\"type\":\"array\",\"items\":{\"enum\":[1,\"b\",1.0,2],\"type\":[\"string\",\"integer\"]},\"uniqueItems\":true,\"minItems\":1}",
        "+[1]", "+[1,\"b\",2]", "+[\"b\",2]", "-[]", "-[1,1", "-[\"b\",1");
  TEXTS(OF_SCHEMA, "{\"type\":\"array\",\"prefixItems\":[{\"const\":1},false]}", "+[]", "+[1]", "-[1,");
}

static void combinations(void) {
  TEXTS(OF_SCHEMA, "{\"anyOf\":[{\"const\":\"a\"},{\"type\":\"integer\",\"maximum\":5,\"minimum\":0}]}", "+\"a\"", "+5", "-6", "-\"b");
  TEXTS(OF_SCHEMA, "{\"oneOf\":[{\"type\":\"integer\",\"minimum\":7,\"maximum\":9},{\"type\":\"integer\",\"minimum\":1,\"maximum\":3}]}",
        "+1", "+9", "-5");
  TEXTS(OF_SCHEMA,
        "{\"oneOf\":[{\"properties\":{\"k\":{\"const\":1}},\"required\":[\"k\"]},{\"properties\":{\"k\":{\"const\":2},\"v\":{\"const\":3}},"
        "\"required\":[\"k\"]}],\"type\":\"object\"}",
        "+{\"k\":1}", "+{\"k\":2,\"v\":3}", "-{\"k\":1,", "-{\"k\":3");
  TEXTS(OF_SCHEMA, "{\"oneOf\":[{\"type\":\"string\",\"pattern\":\"^a\"},{\"type\":\"string\",\"pattern\":\"^b\",\"maxLength\":3}]}",
        "+\"ax\"", "+\"b12\"", "-\"c", "-\"b123");
  TEXTS(OF_SCHEMA,
        "{\"allOf\":[{\"properties\":{\"a\":{\"minimum\":3}}},{\"properties\":{\"a\":{\"type\":\"integer\",\"maximum\":4},\"b\":{\"const\":"
        "0}},\"required\":[\"a\"]}],\"type\":\"object\"}",
        "+{\"a\":3}", "+{\"a\":4,\"b\":0}", "-{\"a\":5", "-{\"b", "-{}");
  TEXTS(OF_SCHEMA,
        "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}},\"anyOf\":[{\"required\":[\"a\"]},{\"required\":["
        "\"b\"]}]}",
        "+{\"a\":1}", "+{\"b\":2}", "+{\"a\":1,\"b\":2}", "-{}");
  TEXTS(OF_SCHEMA, "{\"not\":{\"type\":[\"object\",\"array\",\"string\",\"number\"]}}", "+null", "+true", "-1", "-\"");
  TEXTS(OF_SCHEMA, "{\"enum\":[1,2,3,4],\"not\":{\"enum\":[2,3]},\"maximum\":3}", "+1", "-2", "-3", "-4");
  TEXTS(OF_SCHEMA, "{\"enum\":[[1],{\"a\":1},{\"a\":\"b\"}],\"properties\":{\"a\":{\"type\":\"string\"}}}", "+[1]", "+{\"a\":\"b\"}",
        "-{\"a\":1");
}

static void conditions(void) {
  static const char schema[] =
      "{\"type\":\"object\",\"properties\":{\"k\":{\"enum\":[\"x\",\"y\",\"z\"]},\"v\":{\"type\":\"integer\"}},\"if\":{\"properties\":{"
      "\"k\":{\"const\":\"x\"}},"
      "\"required\":[\"k\"]},\"then\":{\"required\":[\"v\"]},\"else\":{\"properties\":{\"v\":{\"maximum\":5,\"minimum\":0}}}}";
  TEXTS(OF_SCHEMA, schema, "+{\"k\":\"x\",\"v\":77}", "+{\"k\":\"y\"}", "+{\"k\":\"z\",\"v\":5}", "+{}", "+{\"v\":3}", "-{\"k\":\"x\"}",
        "-{\"k\":\"y\",\"v\":6", "-{\"v\":77");
  TEXTS(OF_SCHEMA,
        "{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"string\"}},\"if\":{\"properties\":{\"k\":{\"const\":\"x\"}}},\"then\":{"
        "\"required\":[\"v\"]}}",
        "+{\"k\":\"y\"}", "+{\"k\":\"x\",\"v\":1}", "+{\"v\":1}", "-{\"k\":\"x\"}", "-{}", "+{\"k\":\"xx\"}");
  TEXTS(OF_SCHEMA, "{\"type\":\"string\",\"not\":{\"enum\":[\"ab\",\"\",1]},\"maxLength\":2}", "+\"a\"", "+\"ac\"", "-\"ab\"", "-\"\"",
        "-\"abc", "-\"\\u0061");
  TEXTS(OF_SCHEMA, "{\"type\":[\"boolean\",\"null\"],\"not\":{\"enum\":[true,null]}}", "+false", "-t", "-n");
  TEXTS(OF_SCHEMA,
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,2,3]}},\"not\":{\"properties\":{\"a\":{\"enum\":[1,2]}},\"required\":["
        "\"a\"]}}",
        "+{}", "+{\"a\":3}", "-{\"a\":1");
  TEXTS(OF_SCHEMA, "{\"enum\":[1,2,\"x\"],\"if\":{\"type\":\"integer\"},\"then\":{\"minimum\":2},\"else\":false}", "+2", "-1", "-\"");
  TEXTS(OF_SCHEMA, "{\"if\":{\"type\":\"integer\"},\"then\":{\"minimum\":2,\"maximum\":3},\"else\":{\"type\":\"boolean\"}}", "+2", "+3",
        "+true", "-1", "-4", "-n");
}

static void references(void) {
  TEXTS(OF_SCHEMA,
        "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"const\":1},\"next\":{\"$ref\":\"#/$defs/"
        "n\"}},\"required\":[\"v\"]}},\"$ref\":\"#/$defs/n\"}",
        "+{\"v\":1}", "+{\"v\":1,\"next\":{\"v\":1,\"next\":{\"v\":1}}}", "-{\"next");
  TEXTS(OF_SCHEMA, "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"maxItems\":2}", "+[]", "+[[],[[],[]]]", "-[[],[],");
  TEXTS(OF_SCHEMA, "{\"definitions\":{\"a/b~%\":{\"const\":7}},\"$ref\":\"#/definitions/a~1b~0%25\"}", "+7", "-8");
  TEXTS(OF_SCHEMA,
        "{\"$id\":\"http://x/y\",\"properties\":{\"a\":{\"$ref\":\"http://x/y#/properties/b\"},\"b\":{\"const\":0}},\"type\":\"object\"}",
        "+{\"a\":0,\"b\":0}", "-{\"a\":1");
  TEXTS(OF_SCHEMA, "{\"$defs\":{\"p\":{\"type\":\"integer\",\"minimum\":0}},\"$ref\":\"#/$defs/p\",\"maximum\":1}", "+0", "+1", "-2", "--");
}

static void refused(void) {
  REFUSED(OF_SCHEMA, "{\"type\":\"object\",\"properties\":{\"a/b\":{\"contains\":{}}}}",
          "schema, #/properties/a~1b/contains: this keyword is not supported");
  REFUSED(OF_SCHEMA, "{\"items\":{\"anyOf\":[{},{\"unevaluatedItems\":{}}]}}",
          "schema, #/items/anyOf/1/unevaluatedItems: this keyword is not supported");
  REFUSED(OF_SCHEMA, "{\"if\":{\"minimum\":3},\"then\":{\"maximum\":9}}",
          "schema, #/if: expected types, values, or one member and what holds of its value");
  REFUSED(OF_SCHEMA, "{\"type\":\"integer\",\"not\":{\"const\":3}}",
          "schema, #/not: numbers, arrays and objects can be excluded only beside an enum");
  REFUSED(OF_SCHEMA, "{\"$ref\":\"#/$defs/x\"}", "schema, #/$ref: it leads to no schema");
  REFUSED(OF_SCHEMA, "{\"$ref\":\"other.json\"}", "schema, #/$ref: expected a reference within the schema, as '#/$defs/name'");
  REFUSED(OF_SCHEMA, "{\"$ref\":\"#name\"}", "schema, #/$ref: expected a JSON pointer behind '#'; anchors are not supported");
  REFUSED(OF_SCHEMA, "{\"allOf\":[{\"$ref\":\"#\"}]}",
          "schema, #/allOf/0: it refers to itself without end, or more than 64 times in place");
  REFUSED(OF_SCHEMA, "{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\"}},\"$ref\":\"#/$defs/a\"}",
          "schema, #/$defs/a: it refers to itself without end, or more than 64 times in place");
  REFUSED(OF_SCHEMA, "{\"type\":\"thing\"}", "schema, #/type: an unknown type");
  REFUSED(OF_SCHEMA, "{\"type\":\"string\",\"pattern\":\"(?=a)\"}",
          "schema, #/pattern: regular expression, character 1: look-around is not supported");
  REFUSED(OF_SCHEMA, "{\"type\":\"string\",\"format\":\"regex\"}", "schema, #/format: this format is not supported");
  REFUSED(OF_SCHEMA, "{\"type\":\"string\",\"minLength\":-1}", "schema, #/minLength: expected a whole number that is not negative");
  REFUSED(OF_SCHEMA, "{\"type\":\"number\",\"multipleOf\":0.1}",
          "schema, #/multipleOf: expected a whole number or a sum of powers of two, as 0.5 or 0.25; others are not multiples to a reader");
  REFUSED(OF_SCHEMA, "{\"enum\":[-9223372036854775808],\"multipleOf\":-1}", "schema, #: no value is valid under it");
  REFUSED(OF_SCHEMA, "{\"enum\":[9223372036854775807],\"maximum\":9223372036854775806}", "schema, #: no value is valid under it");
  REFUSED(OF_SCHEMA, "{\"enum\":[3],\"minimum\":3,\"exclusiveMinimum\":true}", "schema, #: no value is valid under it");
  REFUSED(OF_SCHEMA, "{\"enum\":[3],\"maximum\":3,\"exclusiveMaximum\":true}", "schema, #: no value is valid under it");
  REFUSED(OF_SCHEMA, "{\"enum\":[3],\"multipleOf\":0.0}", "schema, #: no value is valid under it");
  REFUSED(OF_SCHEMA, "{\"type\":\"number\",\"allOf\":[{\"multipleOf\":2010000004},{\"multipleOf\":0.000244140625}]}",
          "schema, #/allOf/1/multipleOf: divisors of so many digits together are not supported");
  REFUSED(OF_SCHEMA, "{\"type\":\"integer\",\"multipleOf\":99991}",
          "schema, #/multipleOf: a divisor above 4096 without bounds that leave few values");
  REFUSED(OF_SCHEMA, "{\"type\":\"array\",\"uniqueItems\":true}",
          "schema, #/uniqueItems: expected items of at most 200 values that an enum lists, or at most one item");
  REFUSED(OF_SCHEMA, "{\"type\":\"array\",\"uniqueItems\":true,\"prefixItems\":[true,true]}",
          "schema, #/uniqueItems: it is not supported beside prefixItems");
  REFUSED(OF_SCHEMA, "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}",
          "schema, #/oneOf: alternatives 0 and 1 may hold at once, as far as can be told; expected them to exclude each other");
  REFUSED(OF_SCHEMA, "{\"oneOf\":[{\"type\":\"object\",\"minProperties\":3},{\"properties\":{\"a\":{}},\"type\":\"object\"}]}",
          "schema, #/oneOf: alternatives 0 and 1 may hold at once, as far as can be told; expected them to exclude each other");
  // Readers differ in what a format and a class are, so these may hold at once.
  REFUSED(OF_SCHEMA, "{\"oneOf\":[{\"type\":\"string\",\"pattern\":\"^[A-Z]@X$\"},{\"type\":\"string\",\"format\":\"email\"}]}",
          "schema, #/oneOf: alternatives 0 and 1 may hold at once, as far as can be told; expected them to exclude each other");
  REFUSED(OF_SCHEMA, "{\"oneOf\":[{\"type\":\"string\",\"pattern\":\"^\xC3\xA9$\"},{\"type\":\"string\",\"pattern\":\"^\\\\D$\"}]}",
          "schema, #/oneOf: alternatives 0 and 1 may hold at once, as far as can be told; expected them to exclude each other");
  REFUSED(OF_SCHEMA, "{\"not\":{\"minimum\":3}}", "schema, #/not: expected types, values, one member, or a schema beside an enum");
  REFUSED(OF_SCHEMA, "{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", "schema, #: no value is valid under it");
  REFUSED(OF_SCHEMA, "{\"type\":\"object\",\"properties\":{\"a\":false},\"required\":[\"a\"]}", "schema, #: no value is valid under it");
  REFUSED(OF_SCHEMA, "false", "schema, #: no value is valid under it");
  REFUSED(OF_SCHEMA, "[]", "schema, #: expected an object or a boolean");
  REFUSED(OF_SCHEMA, "{\"a\":1,\"a\":2}", "schema, line 1, column 10: duplicate object key near '\"a\"'");
  REFUSED(OF_SCHEMA, "{\n\"a\":}", "schema, line 2, column 5: unexpected token near '}'");
  REFUSED(OF_SCHEMA, "{\"properties\":{\"a\":3},\"type\":\"object\"}", "schema, #: expected a schema, which is an object or a boolean");
}

// Lists within lists, each leading to the next by a reference, on a stack as a program's threads have them.
static void *nested_by_references(void *result) {
  static char text[1 << 18];
  lmmc_grammar g;
  lmmc_error e = {0};
  size_t n = (size_t)sprintf(text, "{\"$ref\":\"#/$defs/p0\",\"$defs\":{\"p99\":true");
  for (int i = 0; i < 99; i++) {
    n += (size_t)sprintf(text + n, ",\"p%d\":", i);
    for (int k = 0; k < 60; k++) n += (size_t)sprintf(text + n, "{\"allOf\":[");
    n += (size_t)sprintf(text + n, "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/p%d\"}},\"required\":[\"a\"]}", i + 1);
    for (int k = 0; k < 60; k++) n += (size_t)sprintf(text + n, "]}");
  }
  n += (size_t)sprintf(text + n, "}}");
  *(bool *)result = !read_grammar(&g, OF_SCHEMA, text, n, &e) && e.code == 2 && strstr(e.message, "nested too deep");
  lmmc_grammar_close(&g);
  return NULL;
}

static void deep(void) {
#ifdef __SANITIZE_ADDRESS__
  enum { WIDER = 8 };  // its frames are
#else
  enum { WIDER = 1 };
#endif
  bool is_refused = false;
  pthread_attr_t attributes;
  pthread_t thread;
  CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, (size_t)LMMC_STACK_BYTES * WIDER) == 0 &&
            pthread_create(&thread, &attributes, nested_by_references, &is_refused) == 0 && pthread_join(thread, NULL) == 0,
        "no thread");
  CHECK(is_refused, "references that nest lists");
  pthread_attr_destroy(&attributes);
}

// Schemas that would need work without end are refused in time.
static void large(void) {
  static char text[1 << 18];
  lmmc_grammar g;
  lmmc_error e = {0};
  // All ways to choose of 30 pairs.
  size_t n = (size_t)sprintf(text, "{\"type\":\"object\",\"allOf\":[");
  for (int i = 0; i < 30; i++)
    n += (size_t)sprintf(text + n, "%s{\"anyOf\":[{\"properties\":{\"a%d\":{\"const\":1}}},{\"properties\":{\"a%d\":{\"const\":2}}}]}",
                         i ? "," : "", i, i);
  n += (size_t)sprintf(text + n, "]}");
  CHECK(!read_grammar(&g, OF_SCHEMA, text, n, &e) && e.code == 2, "%s", e.message);
  lmmc_grammar_close(&g);
  // Nested deeper than is read.
  n = 0;
  for (int i = 0; i < 3000; i++) n += (size_t)sprintf(text + n, "{\"items\":");
  n += (size_t)sprintf(text + n, "true");
  for (int i = 0; i < 3000; i++) text[n++] = '}';
  CHECK(!read_grammar(&g, OF_SCHEMA, text, n, &e) && e.code == 2, "%s", e.message);
  lmmc_grammar_close(&g);
  // Deep, and read.
  n = 0;
  for (int i = 0; i < 150; i++) n += (size_t)sprintf(text + n, "{\"type\":\"array\",\"minItems\":1,\"items\":");
  n += (size_t)sprintf(text + n, "{\"const\":0}");
  for (int i = 0; i < 150; i++) text[n++] = '}';
  CHECK(read_grammar(&g, OF_SCHEMA, text, n, &e), "%s", e.message);
  CHECK(follow(&g, "[[[[", 4) == 1 && follow(&g, "[]", 2) == 0, "deep arrays");
  lmmc_grammar_close(&g);
  // Lists in lists in members.
  n = 0;
  for (int i = 0; i < 100; i++) {
    n += (size_t)sprintf(text + n, "{\"type\":\"object\",\"properties\":{\"a\":");
    for (int k = 0; k < 60; k++) n += (size_t)sprintf(text + n, "{\"allOf\":[");
  }
  n += (size_t)sprintf(text + n, "true");
  for (int i = 0; i < 100; i++) {
    for (int k = 0; k < 60; k++) n += (size_t)sprintf(text + n, "]}");
    n += (size_t)sprintf(text + n, "}}");
  }
  CHECK(!read_grammar(&g, OF_SCHEMA, text, n, &e) && e.code == 2, "%s", e.message);
  lmmc_grammar_close(&g);
  // A thousand members.
  n = (size_t)sprintf(text, "{\"type\":\"object\",\"properties\":{");
  for (int i = 0; i < 1000; i++) n += (size_t)sprintf(text + n, "%s\"name%d\":{\"type\":\"string\",\"maxLength\":%d}", i ? "," : "", i, i);
  n += (size_t)sprintf(text + n, "},\"additionalProperties\":true}");
  CHECK(read_grammar(&g, OF_SCHEMA, text, n, &e), "%s", e.message);
  CHECK(follow(&g, "{\"name999\":\"x\",\"name1000\":0}", 28) == 2, "a member beyond a thousand");
  CHECK(follow(&g, "{\"name999\":\"x\",\"name999\":", 25) == 0, "a member twice");
  lmmc_grammar_close(&g);
}

static const char *const seeds[] = {
    "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\",\"minimum\":-3,\"maximum\":99},\"next\":{\"anyOf\":"
    "[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},"
    "\"required\":[\"v\"],\"additionalProperties\":{\"const\":1}}},\"$ref\":\"#/$defs/n\"}",
    "{\"type\":\"array\",\"items\":{\"oneOf\":[{\"const\":1},{\"type\":\"string\",\"pattern\":\"^a{2,5}[^b]$\",\"maxLength\":9}]},"
    "\"prefixItems\":[true],\"minItems\":2}",
    "{\"type\":\"object\",\"patternProperties\":{\"^x\":{\"multipleOf\":3}},\"propertyNames\":{\"maxLength\":4},\"minProperties\":1,"
    "\"dependentRequired\":{\"a\":[\"b\"]}}",
    "{\"allOf\":[{\"type\":\"number\",\"exclusiveMinimum\":0.5},{\"maximum\":7,\"multipleOf\":0.25}],\"not\":{\"type\":\"string\"},"
    "\"enum\":[1,2,\"x\",null,[1]]}",
    "{\"type\":[\"string\",\"number\"],\"format\":\"date-time\",\"minLength\":3,\"minimum\":1e300}",
};
static const char *const pieces[] = {
    "{",        "}",      "[",     "]", ":", ",",  "\"",   "\\",       "1", "-", "e9", "true", "false", "\"type\"", "\"$ref\":\"#\"",
    "\"not\":", "999999", "0.001", "^", "(", ")*", "\xFF", "#/$defs/n"};

// Texts that are nearly schemas, grammars and expressions: whatever they are, they are read or refused with one line.
static void damaged(void) {
  static const char *const others[] = {"root ::= a (\"b\" | [^c-e\\x41]{2,3})* # x\na ::= \"\\u00e9\" root? | .",
                                       "^(?:a|[^b-d]{2,4})+\\d\\u00e9.$"};
  uint64_t state = 7;
  int taken = 0;
  for (int i = 0; i < 6000; i++) {
    char text[2048];
    const int kind = i % 3;
    const char *seed = kind == OF_SCHEMA ? seeds[i / 3 % 5] : others[kind];
    size_t n = strlen(seed);
    memcpy(text, seed, n);
    state = state * 6364136223846793005u + 1442695040888963407u;
    for (uint64_t changes = 1 + (state >> 60) % 4; changes > 0; changes--) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const size_t at = (size_t)(state >> 33) % (n + 1), cut = (size_t)(state >> 20) % 12 % (n - at + 1);
      const char *piece = (state >> 50) % 5 ? pieces[(state >> 40) % (sizeof pieces / sizeof *pieces)] : "";
      const size_t length = strlen(piece);
      memmove(text + at + length, text + at + cut, n - at - cut);
      memcpy(text + at, piece, length);
      n = n - cut + length;
    }
    lmmc_grammar g;
    lmmc_error e = {0};
    const bool read = read_grammar(&g, (front_end)kind, text, n, &e);
    CHECK(read || (e.code == 2 && *e.message && !strchr(e.message, '\n')), "%.*s: %d %s", (int)n, text, e.code, e.message);
    taken += read;
    if (read) follow(&g, "{\"a\": 1, \"b\": [true]}", 21);
    lmmc_grammar_close(&g);
  }
  CHECK(taken > 300 && taken < 5700, "%d of 6000 are taken", taken);
}

int main(void) {
  open_bytes();
  scalars();
  numbers();
  strings();
  objects();
  arrays();
  combinations();
  conditions();
  references();
  refused();
  deep();
  large();
  damaged();
  lmmc_text_free(&bytes_blob);
  return check_report();
}
