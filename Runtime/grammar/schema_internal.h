// What the parts of reading a schema share.
#ifndef LMMC_GRAMMAR_SCHEMA_INTERNAL_H
#define LMMC_GRAMMAR_SCHEMA_INTERNAL_H

#include <jansson.h>

#include "base/text.h"
#include "regular.h"
#include "schema.h"

// Types of values, in the order in which they are made.
enum {
  LMMC_TYPE_NULL = 1,
  LMMC_TYPE_BOOLEAN = 2,
  LMMC_TYPE_INTEGER = 4,
  LMMC_TYPE_NUMBER = 8,
  LMMC_TYPE_STRING = 16,
  LMMC_TYPE_ARRAY = 32,
  LMMC_TYPE_OBJECT = 64,
  LMMC_TYPE_ANY = 127
};

enum { LMMC_FORMATS = 13 };  // that are made
// Work is counted in schemas; so many states of an automaton count as one.
enum { LMMC_STATES_OF_WORK = 8, LMMC_MOST_SCHEMA_WORK = 50000, LMMC_MOST_SCHEMAS_AT_ONCE = 256 };

// Schemas that hold at once, all of them objects or booleans.
typedef struct {
  json_t **schemas;
  size_t count, room;
} lmmc_conjunction;

typedef struct {
  lmmc_conjunction key;
  uint32_t rule;
  bool defined, exact;
  lmmc_expression x;
} lmmc_schema_rule;

typedef struct {
  lmmc_rules *r;
  json_t *root;
  lmmc_schema_limits limits;
  // Asks whether any value at all is valid: what is left out otherwise, to be short or to be what people mean, is not.
  bool exact;
  bool wide;  // patterns are as wide as any reader takes them
  lmmc_schema_rule *known;
  size_t known_count, known_room;
  json_t *made;                    // schemas that were put in the place of others
  uint32_t value, string, number;  // rules; 0: not made yet
  uint32_t formats[LMMC_FORMATS];
  uint32_t depth, nested, branches;
  size_t work;
} lmmc_schema_reader;

// schema.c

// Refuses a keyword of a schema, with its pointer; keyword NULL: the schema itself. LMMC_NEVER.
lmmc_expression lmmc_schema_refuse(lmmc_schema_reader *s, json_t *schema, const char *keyword, const char *what);
bool lmmc_conjunction_add(lmmc_schema_reader *s, lmmc_conjunction *c, json_t *schema);
// The texts that are valid under all schemas of a conjunction.
lmmc_expression lmmc_schema_expression(lmmc_schema_reader *s, const lmmc_conjunction *c);
// The same of one schema, of which NULL is one that always holds.
lmmc_expression lmmc_schema_single(lmmc_schema_reader *s, json_t *schema);
// A rule of its own for what is used in several places; what is small stays as it is.
lmmc_expression lmmc_schema_shared(lmmc_schema_reader *s, lmmc_expression x);
// `,` or `:`, and the space that may stand behind it.
lmmc_expression lmmc_schema_comma(lmmc_schema_reader *s);
lmmc_expression lmmc_schema_colon(lmmc_schema_reader *s);
// From `least` to `most` of an expression with commas between them, and one in front where others stand before.
lmmc_expression lmmc_schema_list(lmmc_schema_reader *s, lmmc_expression x, bool before, uint32_t least, uint32_t most);
// Where a local $ref leads; NULL with the reader failed when it leads nowhere.
json_t *lmmc_schema_target(lmmc_schema_reader *s, json_t *schema);
// A whole number that is not negative, at most `most`, at a keyword; `otherwise` where the schema has none.
uint32_t lmmc_schema_count(lmmc_schema_reader *s, json_t *schema, const char *keyword, uint32_t otherwise);

// The texts that are valid under plain schemas at once, whose in-place keywords have been gone through.
lmmc_expression lmmc_schema_plain(lmmc_schema_reader *s, const lmmc_conjunction *c);
// The types that `type` allows, and those that a schema's other keywords speak of.
unsigned lmmc_schema_types(lmmc_schema_reader *s, json_t *schema);
unsigned lmmc_schema_hints(json_t *schema);
bool lmmc_schema_out_of_memory(lmmc_schema_reader *s);
// The values that a schema's `not` takes away, one by one; NULL behind the last.
json_t *lmmc_schema_excluded(json_t *schema, size_t i);

// schema_in_place.c

// A list of schemas that are still to be gone through; its elements live in the callers.
typedef struct lmmc_schema_todo {
  json_t *schema;
  int depth;
  const struct lmmc_schema_todo *next;
} lmmc_schema_todo;
// Whether a schema under `not` was left by that for where all that holds is known.
bool lmmc_schema_is_asked_late(lmmc_schema_reader *s, json_t *inverse);
// Goes through what holds in place of other schemas, until only plain ones are left, and makes their texts. Each alternative of anyOf and
// oneOf is a way of its own.
lmmc_expression lmmc_schema_expand(lmmc_schema_reader *s, const lmmc_schema_todo *list, lmmc_conjunction *done);

// schema_object.c, schema_array.c, schema_string.c, schema_number.c: the texts of one type that all schemas of a conjunction allow.
lmmc_expression lmmc_schema_object(lmmc_schema_reader *s, const lmmc_conjunction *c);
lmmc_expression lmmc_schema_array(lmmc_schema_reader *s, const lmmc_conjunction *c);
lmmc_expression lmmc_schema_string(lmmc_schema_reader *s, const lmmc_conjunction *c);
lmmc_expression lmmc_schema_number(lmmc_schema_reader *s, const lmmc_conjunction *c, bool integer);
// Any value at all.
lmmc_expression lmmc_schema_any_value(lmmc_schema_reader *s);

// A string, spelt in the one way of LMMC_SPELL_JSON, with its quotes, appended to a text; false where it is no UTF-8.
bool lmmc_schema_spell(lmmc_text *out, const char *text, size_t bytes, lmmc_error *e);
// One character of a JSON string: in any way that is valid, or in the one way.
lmmc_expression lmmc_schema_character(lmmc_rules *r, bool one_way);
// The strings, with their quotes and spelt in the one way, that keywords of strings allow, as an automaton. False with the reader failed
// when a keyword is refused. `*limited` tells whether there is any such keyword.
bool lmmc_schema_string_regular(lmmc_schema_reader *s, const lmmc_conjunction *c, lmmc_regular *d, bool *limited);

// schema_value.c

// The texts of a value that a schema names.
lmmc_expression lmmc_schema_constant(lmmc_schema_reader *s, const json_t *value);
// 1 where a value is valid under a schema, 0 where it is not; -1 with the reader failed where that is not known.
int lmmc_schema_holds(lmmc_schema_reader *s, json_t *schema, json_t *value, int depth);
// Whether a pattern of patternProperties matches somewhere in a name, to any reader; -1 with the reader failed.
int lmmc_schema_name_matches(lmmc_schema_reader *s, json_t *schema, const char *pattern, const char *name);
// As JSON Schema compares: 1 and 1.0 are equal, 1 and true are not.
bool lmmc_schema_equal(const json_t *a, const json_t *b);
// Whether a number is a multiple of another.
bool lmmc_schema_divides(const json_t *value, const json_t *divisor);

#endif
