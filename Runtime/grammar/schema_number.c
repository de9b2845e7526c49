// Numbers: ranges and multiples as automata over their digits.
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema_internal.h"

// Digits in front of and behind the point together: two such decimals that differ are different doubles, in the same order, whoever reads
// them.
enum { MOST_DIGITS = 15, FRACTION_DIGITS = 6, MOST_INTEGER_DIGITS = 18, MOST_MODULUS = 4096, MOST_SCALE_DIGITS = 12 };

// A bound in units of 10^-digits, inclusive.
typedef struct {
  bool set;
  __int128 value;
} bound;

typedef struct {
  lmmc_rules *r;
  lmmc_graph_edge *edges;
  size_t count, room;
  uint32_t states;
  lmmc_expression digit[10][10];
} graph;

static void add_edge(graph *g, uint32_t from, uint32_t to, lmmc_expression label) {
  if (g->count == g->room) {
    const size_t room = g->room ? 2 * g->room : 256;
    lmmc_graph_edge *grown = realloc(g->edges, room * sizeof *grown);
    if (!grown) {
      lmmc_rules_fail(g->r, 1, "out of memory for a schema");
      return;
    }
    g->edges = grown;
    g->room = room;
  }
  g->edges[g->count++] = (lmmc_graph_edge){from, to, label};
}

static lmmc_expression digits(graph *g, int low, int high) {
  if (!g->digit[low][high]) g->digit[low][high] = lmmc_rules_bytes(g->r, (uint8_t)('0' + low), (uint8_t)('0' + high));
  return g->digit[low][high];
}

static __int128 power(int n) {
  __int128 value = 1;
  while (n-- > 0) value *= 10;
  return value;
}

// Digits [place, all) of texts with `whole` digits in front of the point, of which all are from `low` to `high`, adding up from state
// `from`. `tight`: 1 the digits so far are those of low, 2 those of high. States that were made for a place and tightness are in `made`.
typedef struct {
  graph *g;
  int whole, all;
  char low[40], high[40];
  uint32_t made[40][4];
} range;

static bool zeros_from(const range *x, int place) {
  for (int i = place; i < x->all; i++)
    if (x->low[i] != '0') return false;
  return true;
}

static uint32_t range_state(range *x, int place, int tight) {
  graph *g = x->g;
  if (x->made[place][tight]) return x->made[place][tight];
  const uint32_t state = x->made[place][tight] = g->states++;
  // What is left out behind the point counts as zeros.
  if (place >= x->whole && (!(tight & 1) || zeros_from(x, place))) add_edge(g, state, 1, LMMC_EMPTY);
  if (place == x->all) return state;
  uint32_t from = state;
  if (place == x->whole) {
    from = g->states++;
    add_edge(g, state, from, lmmc_rules_string(g->r, "."));
  }
  const int low = tight & 1 ? x->low[place] - '0' : 0, high = tight & 2 ? x->high[place] - '0' : 9;
  for (int first = low; first <= high;) {
    const int next = (tight & 1 && first == low ? 1 : 0) | (tight & 2 && first == high ? 2 : 0);
    int last = first;
    while (last < high && ((tight & 1 && last + 1 == low ? 1 : 0) | (tight & 2 && last + 1 == high ? 2 : 0)) == next && next == 0) last++;
    add_edge(g, from, range_state(x, place + 1, next), digits(g, first, last));
    first = last + 1;
  }
  return state;
}

static void spell_digits(char *out, __int128 value, int count) {
  for (int i = count - 1; i >= 0; i--, value /= 10) out[i] = (char)('0' + (int)(value % 10));
}

// Magnitudes from `low` to `high` >= 0, in units of 10^-fraction, from state `from` to the end.
static void add_range(graph *g, uint32_t from, __int128 low, __int128 high, int fraction) {
  const __int128 unit = power(fraction);
  for (int whole = 1; whole <= 2 * MOST_INTEGER_DIGITS; whole++) {
    __int128 least = whole == 1 ? 0 : power(whole - 1) * unit, most = power(whole) * unit - 1;
    if (least > high) break;
    if (most < low) continue;
    if (least < low) least = low;
    if (most > high) most = high;
    range x = {.g = g, .whole = whole, .all = whole + fraction};
    spell_digits(x.low, least, x.all);
    spell_digits(x.high, most, x.all);
    add_edge(g, from, range_state(&x, 0, 3), LMMC_EMPTY);
  }
}

// All numbers between two bounds, as a graph.
static lmmc_expression between(lmmc_rules *r, __int128 low, __int128 high, int fraction) {
  graph g = {.r = r, .states = 2};
  if (low > high) return LMMC_NEVER;
  if (high >= 0) add_range(&g, 0, low > 0 ? low : 0, high, fraction);
  if (low < 0) {
    const uint32_t minus = g.states++;
    add_edge(&g, 0, minus, lmmc_rules_string(r, "-"));
    add_range(&g, minus, high < 0 ? -high : 1, -low, fraction);
  }
  const lmmc_expression x = lmmc_rules_graph(r, g.states, g.edges, g.count);
  free(g.edges);
  return x;
}

// Texts of numbers with none or exactly `fraction` digits behind the point that are multiples of `modulus` units.
static lmmc_expression multiples(lmmc_rules *r, int64_t modulus, int fraction) {
  graph g = {.r = r};
  const uint32_t m = (uint32_t)modulus, base = 4;
  // States: 0 begins, 1 ends, 2 behind a minus, 3 behind a zero that nothing may follow but a point; then a layer of remainders for the
  // digits in front of the point and one for each place behind it.
  g.states = base + m * (uint32_t)(fraction + 1);
  const uint32_t unit = (uint32_t)(power(fraction) % modulus);
  add_edge(&g, 0, 2, lmmc_rules_optional(r, lmmc_rules_string(r, "-")));
  add_edge(&g, 2, 3, digits(&g, 0, 0));
  add_edge(&g, 3, 1, LMMC_EMPTY);
  for (int d = 1; d < 10; d++) add_edge(&g, 2, base + (uint32_t)d % m, digits(&g, d, d));
  for (uint32_t rest = 0; rest < m; rest++) {
    for (int d = 0; d < 10; d++) add_edge(&g, base + rest, base + (uint32_t)((rest * UINT64_C(10) + (uint32_t)d) % m), digits(&g, d, d));
    if ((uint64_t)rest * unit % m == 0) add_edge(&g, base + rest, 1, LMMC_EMPTY);
  }
  if (fraction > 0) {
    const lmmc_expression point = lmmc_rules_string(r, ".");
    // Behind the point the whole digits count as they stand: the remainder goes on as if there were none.
    const uint32_t behind = g.states;
    g.states += m;
    add_edge(&g, 3, behind, point);
    for (uint32_t rest = 0; rest < m; rest++) add_edge(&g, base + rest, behind + rest, point);
    for (int place = 0; place < fraction; place++) {
      const uint32_t here = place == 0 ? behind : base + m * (uint32_t)place, next = base + m * (uint32_t)(place + 1);
      for (uint32_t rest = 0; rest < m; rest++)
        for (int d = 0; d < 10; d++)
          add_edge(&g, here + rest, next + (uint32_t)((rest * UINT64_C(10) + (uint32_t)d) % m), digits(&g, d, d));
    }
    add_edge(&g, base + m * (uint32_t)fraction, 1, LMMC_EMPTY);
  }
  const lmmc_expression x = lmmc_rules_graph(r, g.states, g.edges, g.count);
  free(g.edges);
  return x;
}

// A number of a schema as the decimal that it is written as: value * 10^-scale, without zeros behind. False where it has too many digits.
static bool decimal(const json_t *number, __int128 *value, int *scale) {
  *scale = 0;
  if (json_is_integer(number)) return *value = json_integer_value(number), true;
  const double real = json_real_value(number);
  char text[64];
  for (int precision = 1; precision <= 17; precision++) {
    snprintf(text, sizeof text, "%.*e", precision - 1, real);
    if (strtod(text, NULL) == real) break;
  }
  int exponent = atoi(strchr(text, 'e') + 1), places = 0;
  bool behind = false;
  *value = 0;
  for (const char *c = text; *c != 'e'; c++) {
    if (*c == '.') behind = true;
    if (*c < '0' || *c > '9') continue;
    *value = 10 * *value + (*c - '0');
    places += behind;
  }
  *scale = places - exponent;
  while (*value && *scale > 0 && *value % 10 == 0) *value /= 10, --*scale;
  if (*value == 0) *scale = 0;
  if (*scale < 0) {
    if (*scale < -MOST_INTEGER_DIGITS) return false;
    *value *= power(-*scale);
    *scale = 0;
  }
  if (text[0] == '-') *value = -*value;
  return *scale <= MOST_SCALE_DIGITS;
}

static __int128 magnitude(__int128 x) { return x < 0 ? -x : x; }

typedef struct {
  bound low, high;
  int fraction;
  bool limited;
  int64_t modulus;  // in units of 10^-modulus_digits, 0: none
  int modulus_digits;
} limits;

static __int128 scaled_down(__int128 value, int digits, bool up) {
  const __int128 unit = power(digits);
  const __int128 whole = value / unit, rest = value % unit;
  return whole + (up && rest > 0) - (!up && rest < 0);
}

// One bound of one schema, in units of 10^-fraction.
static void add_bound(lmmc_schema_reader *s, limits *l, json_t *schema, const char *keyword, bool is_low, bool exclusive) {
  const json_t *number = json_object_get(schema, keyword);
  if (!number) return;
  __int128 value;
  int scale;
  if (!json_is_number(number)) {
    lmmc_schema_refuse(s, schema, keyword, "expected a number");
    return;
  }
  if (!decimal(number, &value, &scale)) {
    lmmc_schema_refuse(s, schema, keyword, "a number of so many digits is not supported");
    return;
  }
  __int128 units;
  if (scale <= l->fraction) {
    units = value * power(l->fraction - scale) + (exclusive ? (is_low ? 1 : -1) : 0);
  } else {
    // The bound lies between two units.
    units = scaled_down(value, scale - l->fraction, is_low);
  }
  bound *b = is_low ? &l->low : &l->high;
  if (!b->set || (is_low ? units > b->value : units < b->value)) b->value = units;
  b->set = l->limited = true;
}

// The digits behind the point that bounds have, at least those that are made anyway.
static int fraction_of(const lmmc_conjunction *c) {
  static const char *const keywords[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
  int most = FRACTION_DIGITS, whole = 1;
  for (size_t i = 0; i < c->count; i++)
    for (int k = 0; k < 4; k++) {
      __int128 value;
      int scale;
      const json_t *number = json_object_get(c->schemas[i], keywords[k]);
      if (!json_is_number(number) || !decimal(number, &value, &scale)) continue;
      if (scale > most) most = scale;
      int places = 1;
      for (__int128 v = magnitude(value) / power(scale); v >= 10; v /= 10) places++;
      if (places > whole) whole = places;
    }
  if (most + whole > MOST_DIGITS) most = MOST_DIGITS - whole;
  return most < 0 ? 0 : most;
}

static int64_t common_multiple(int64_t a, int64_t b) {
  int64_t x = a, y = b;
  while (y) {
    const int64_t rest = x % y;
    x = y, y = rest;
  }
  return a / x > INT64_MAX / 4 / b ? INT64_MAX / 4 : a / x * b;
}

// Adds a divisor. One with a fraction is taken where it is a sum of powers of two, since readers find out with doubles what is a multiple
// of it.
static void add_divisor(lmmc_schema_reader *s, limits *l, json_t *schema, bool integer) {
  const json_t *number = json_object_get(schema, "multipleOf");
  __int128 value;
  int scale;
  if (!number) return;
  if (!json_is_number(number) || json_number_value(number) <= 0) {
    lmmc_schema_refuse(s, schema, "multipleOf", "expected a number above zero");
    return;
  }
  if (!decimal(number, &value, &scale) || value > INT32_MAX) {
    lmmc_schema_refuse(s, schema, "multipleOf", "a number of so many digits is not supported");
    return;
  }
  // value * 10^-scale has `scale` binary places at most where it is a sum of powers of two: value is a multiple of 5^scale.
  __int128 fives = 1;
  for (int i = 0; i < scale; i++) fives *= 5;
  if (value % fives != 0) {
    lmmc_schema_refuse(s, schema, "multipleOf",
                       "expected a whole number or a sum of powers of two, as 0.5 or 0.25; others are not multiples to a reader");
    return;
  }
  if (integer && scale > 0) {
    // value/fives * 2^-scale divides the integers that value/fives divides, without its factors of two.
    value /= fives;
    for (int i = 0; i < scale && value % 2 == 0; i++) value /= 2;
    scale = 0;
  }
  const int digits = scale > l->modulus_digits ? scale : l->modulus_digits;
  const __int128 before = l->modulus * power(digits - l->modulus_digits), own = value * power(digits - scale);
  if (before > INT64_MAX / 4 || own > INT64_MAX / 4) {
    lmmc_schema_refuse(s, schema, "multipleOf", "divisors of so many digits together are not supported");
    return;
  }
  l->modulus = (int64_t)before;
  l->modulus_digits = digits;
  const int64_t modulus = (int64_t)own;
  l->modulus = l->modulus ? common_multiple(l->modulus, modulus) : modulus;
}

// Numbers without any limit that a schema sets: what ends.
static lmmc_expression plain(lmmc_schema_reader *s, bool integer) {
  lmmc_rules *r = s->r;
  const lmmc_expression digit = lmmc_rules_bytes(r, '0', '9'), minus = lmmc_rules_optional(r, lmmc_rules_string(r, "-"));
  const lmmc_expression whole = lmmc_rules_either(
      r, lmmc_rules_string(r, "0"), lmmc_rules_pair(r, lmmc_rules_bytes(r, '1', '9'), lmmc_rules_repeat(r, digit, 0, MOST_DIGITS - 1)));
  if (integer) return lmmc_rules_pair(r, minus, whole);
  const lmmc_expression fraction = lmmc_rules_pair(r, lmmc_rules_string(r, "."), lmmc_rules_repeat(r, digit, 1, MOST_DIGITS));
  const lmmc_expression sign = lmmc_rules_optional(r, lmmc_rules_either(r, lmmc_rules_string(r, "+"), lmmc_rules_string(r, "-")));
  const lmmc_expression exponent =
      lmmc_rules_sequence(r,
                          (lmmc_expression[]){lmmc_rules_either(r, lmmc_rules_string(r, "e"), lmmc_rules_string(r, "E")), sign,
                                              lmmc_rules_repeat(r, digit, 1, 2)},
                          3);
  return lmmc_rules_sequence(r, (lmmc_expression[]){minus, whole, lmmc_rules_optional(r, fraction), lmmc_rules_optional(r, exponent)}, 4);
}

// Few multiples are listed, so that divisors may be large.
static lmmc_expression few_multiples(lmmc_schema_reader *s, const limits *l, bool *few) {
  enum { MOST_LISTED = 1000, ROOM = 48 };
  *few = false;
  if (!l->low.set || !l->high.set || l->modulus_digits > 0 || magnitude(l->low.value) > INT64_MAX || magnitude(l->high.value) > INT64_MAX ||
      (l->high.value - l->low.value) / l->modulus > MOST_LISTED)
    return LMMC_NEVER;
  *few = true;
  lmmc_span *texts = malloc((MOST_LISTED + 2) * sizeof *texts);
  char *bytes = malloc((size_t)(MOST_LISTED + 2) * ROOM);
  size_t count = 0;
  if (texts && bytes) {
    __int128 first = l->low.value / l->modulus * l->modulus;
    if (first < l->low.value) first += l->modulus;
    for (__int128 v = first; v <= l->high.value; v += l->modulus, count++) {
      char *text = bytes + count * ROOM;
      texts[count] = (lmmc_span){text, (size_t)snprintf(text, ROOM, "%lld", (long long)v)};
    }
  } else {
    lmmc_rules_fail(s->r, 1, "out of memory for a schema");
  }
  const lmmc_expression x = lmmc_rules_any_of(s->r, texts, count);
  free(texts);
  free(bytes);
  return x;
}

static lmmc_expression with_divisor(lmmc_schema_reader *s, const lmmc_conjunction *c, const limits *l, bool integer) {
  json_t *schema = c->schemas[0];
  for (size_t i = 0; i < c->count; i++)
    if (json_object_get(c->schemas[i], "multipleOf")) schema = c->schemas[i];
  if (integer || l->modulus_digits == 0) {
    limits whole = *l;
    if (!integer && l->fraction) {
      if (l->low.set) whole.low.value = scaled_down(l->low.value, l->fraction, true);
      if (l->high.set) whole.high.value = scaled_down(l->high.value, l->fraction, false);
      whole.fraction = 0;
    }
    bool few;
    const lmmc_expression x = few_multiples(s, &whole, &few);
    if (few) return x;
  }
  if (l->modulus > MOST_MODULUS)
    return lmmc_schema_refuse(s, schema, "multipleOf", "a divisor above 4096 without bounds that leave few values");
  lmmc_rules scratch;
  lmmc_rules_open(&scratch);
  const __int128 far = power(MOST_DIGITS) - 1;
  const __int128 unit = power(l->fraction);
  const lmmc_expression within =
      between(&scratch, l->low.set ? l->low.value : -far / unit * unit, l->high.set ? l->high.value : far / unit * unit, l->fraction);
  const lmmc_expression divided = multiples(&scratch, l->modulus, l->modulus_digits);
  lmmc_regular a = {0}, b = {0}, both = {0};
  const bool done = lmmc_regular_of(&scratch, within, &a) && lmmc_regular_of(&scratch, divided, &b) &&
                    lmmc_regular_combine(&scratch, &a, &b, LMMC_IN_BOTH, &both);
  const lmmc_expression x = done ? lmmc_regular_expression(s->r, &both)
                            : scratch.error.code == 1
                                ? lmmc_rules_fail(s->r, 1, "%s", scratch.error.message)
                                : lmmc_schema_refuse(s, schema, "multipleOf", "it needs too many states with its bounds");
  s->work += (a.count + b.count + both.count) / LMMC_STATES_OF_WORK;
  lmmc_regular_free(&a);
  lmmc_regular_free(&b);
  lmmc_regular_free(&both);
  lmmc_rules_close(&scratch);
  return x;
}

lmmc_expression lmmc_schema_number(lmmc_schema_reader *s, const lmmc_conjunction *c, bool integer) {
  limits l = {.fraction = integer ? 0 : fraction_of(c)};
  for (size_t i = 0; i < c->count && !s->r->failed; i++) {
    json_t *schema = c->schemas[i];
    // In draft 4 the exclusive ones are booleans.
    const json_t *low = json_object_get(schema, "exclusiveMinimum"), *high = json_object_get(schema, "exclusiveMaximum");
    add_bound(s, &l, schema, "minimum", true, json_is_true(low));
    add_bound(s, &l, schema, "maximum", false, json_is_true(high));
    if (!json_is_boolean(low)) add_bound(s, &l, schema, "exclusiveMinimum", true, true);
    if (!json_is_boolean(high)) add_bound(s, &l, schema, "exclusiveMaximum", false, true);
    add_divisor(s, &l, schema, integer);
  }
  if (s->r->failed) return LMMC_NEVER;
  const __int128 far = (integer ? power(MOST_INTEGER_DIGITS) : power(MOST_DIGITS)) - 1;
  if (l.modulus) return with_divisor(s, c, &l, integer);
  if (!l.limited) {
    uint32_t *rule = integer ? NULL : &s->number;
    if (!rule) return plain(s, integer);
    if (!*rule) {
      *rule = lmmc_rules_declare(s->r);
      lmmc_rules_define(s->r, *rule, plain(s, integer));
    }
    return lmmc_rules_call(s->r, *rule);
  }
  __int128 least = l.low.set ? l.low.value : -far, most = l.high.set ? l.high.value : far;
  // A bound beyond what is made otherwise is met by numbers of its own size.
  if (!l.high.set && least > most) most = magnitude(least) * 10;
  if (!l.low.set && most < least) least = -magnitude(most) * 10;
  return between(s->r, least, most, l.fraction);
}
