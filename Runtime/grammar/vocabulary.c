#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "characters.h"

enum { MOST_NODES = (1 << 24) - 1 };

// The characters of a safe token; 0 for one that is not.
static uint32_t safe_characters(const lmmc_token_bytes *t) {
  uint32_t count = 0;
  for (size_t at = 0, length; at < t->count; at += length, count++) {
    const uint32_t character = lmmc_character_at((const char *)t->bytes + at, t->count - at, &length);
    if (character == LMMC_NO_CHARACTER || character < 0x20 || character == '"' || character == '\\' || character == 0x7F) return 0;
  }
  return count <= LMMC_MOST_SAFE_CHARACTERS ? count : 0;
}

static int by_tree(const void *a, const void *b) {
  const lmmc_token_bytes *x = a, *y = b;
  const bool safe[] = {safe_characters(x) > 0, safe_characters(y) > 0};
  if (safe[0] != safe[1]) return safe[0] ? -1 : 1;
  const int order = memcmp(x->bytes, y->bytes, x->count < y->count ? x->count : y->count);
  if (order) return order;
  if (x->count != y->count) return x->count < y->count ? -1 : 1;
  return (x->id > y->id) - (x->id < y->id);
}

typedef struct {
  lmmc_trie_node *nodes;
  uint32_t count, room;
  uint32_t *path;  // nodes of the last token's bytes
} tree;

static bool add_node(tree *t, uint8_t byte, uint32_t depth, uint32_t token) {
  if (t->count == t->room) {
    const uint32_t room = t->room ? 2 * t->room : 1024;
    lmmc_trie_node *grown = realloc(t->nodes, room * sizeof *grown);
    if (!grown) return false;
    t->nodes = grown;
    t->room = room;
  }
  t->nodes[t->count++] = (lmmc_trie_node){.byte = byte, .depth = depth & 0xFF, .token = token & 0xFFFFFF};
  return true;
}

// Adds tokens [begin, end), sorted, as a tree of its own.
static bool add_tree(tree *t, const lmmc_token_bytes *tokens, uint32_t begin, uint32_t end) {
  uint32_t depth = 0;
  for (uint32_t i = begin; i <= end; i++) {
    uint32_t same = 0;
    if (i < end && i > begin)
      while (same < depth && same < tokens[i].count && tokens[i].bytes[same] == tokens[i - 1].bytes[same]) same++;
    while (depth > same) t->nodes[t->path[--depth]].end = t->count & 0xFFFFFF;
    for (; i < end && depth < tokens[i].count; depth++) {
      t->path[depth] = t->count;
      if (t->count >= MOST_NODES || !add_node(t, tokens[i].bytes[depth], depth, i)) return false;
    }
  }
  return true;
}

static bool append_padded(lmmc_text *out, const void *bytes, size_t count, lmmc_error *e) {
  static const char zeros[8];
  return lmmc_text_append(out, bytes, count, e) && lmmc_text_append(out, zeros, (8 - out->count % 8) % 8, e);
}

static size_t words_of(uint32_t rows) { return ((size_t)rows + 63) / 64; }

static bool write_array(lmmc_vocabulary_header *h, const tree *t, const lmmc_token_bytes *tokens, lmmc_text *out, lmmc_error *e) {
  int32_t *ids = malloc(((size_t)h->tokens + 1) * sizeof *ids),
          *by_characters = malloc(((size_t)h->safe_tokens + 1) * sizeof *by_characters);
  uint64_t *bits = calloc(words_of(h->rows) + 1, sizeof *bits);
  uint32_t *order = malloc(((size_t)h->rows + 1) * sizeof *order);
  uint32_t longer[LMMC_MOST_SAFE_CHARACTERS + 1] = {0}, place[LMMC_MOST_SAFE_CHARACTERS + 1];
  bool done = ids && by_characters && bits && order;
  if (!done) lmmc_fail(e, 1, "out of memory for a tree of %u tokens", h->tokens);
  if (done) memset(order, 0xFF, h->rows * sizeof *order);
  for (uint32_t i = 0; done && i < h->tokens; i++) {
    ids[i] = tokens[i].id;
    order[ids[i]] = i;
    if (tokens[i].count > h->longest) h->longest = tokens[i].count;
    if (i >= h->safe_tokens) continue;
    bits[ids[i] / 64] |= UINT64_C(1) << ids[i] % 64;
    const uint32_t characters = safe_characters(&tokens[i]);
    if (characters > h->most_characters) h->most_characters = characters;
    for (uint32_t k = 0; k < characters; k++) longer[k]++;
  }
  memcpy(place, longer, sizeof place);
  for (uint32_t i = 0; done && i < h->safe_tokens; i++) by_characters[place[safe_characters(&tokens[i])]++] = ids[i];
  const size_t begin = out->count;
  done = done && append_padded(out, h, sizeof *h, e) && append_padded(out, t->nodes, ((size_t)h->nodes + 1) * sizeof *t->nodes, e) &&
         append_padded(out, ids, h->tokens * sizeof *ids, e) &&
         append_padded(out, by_characters, h->safe_tokens * sizeof *by_characters, e) && append_padded(out, longer, sizeof longer, e) &&
         append_padded(out, order, h->rows * sizeof *order, e) && append_padded(out, bits, words_of(h->rows) * sizeof *bits, e);
  if (done) {
    h->bytes = out->count - begin;
    memcpy(out->bytes + begin, h, sizeof *h);
  }
  free(ids);
  free(by_characters);
  free(bits);
  free(order);
  return done;
}

bool lmmc_vocabulary_build(lmmc_token_bytes *tokens, size_t count, uint32_t rows, uint32_t flags, int32_t kept_space, lmmc_text *out,
                           lmmc_error *e) {
  size_t used = 0, longest = 0;
  for (size_t i = 0; i < count; i++) {
    if (tokens[i].id < 0 || (uint32_t)tokens[i].id >= rows) return lmmc_fail(e, 1, "token %d is not below %u", tokens[i].id, rows);
    if (tokens[i].count == 0 || tokens[i].count > LMMC_LONGEST_TOKEN) continue;
    if (tokens[i].count > longest) longest = tokens[i].count;
    tokens[used++] = tokens[i];
  }
  if (used) qsort(tokens, used, sizeof *tokens, by_tree);
  lmmc_vocabulary_header h = {.rows = rows, .flags = flags, .kept_space = kept_space, .tokens = (uint32_t)used};
  memcpy(h.magic, LMMC_VOCABULARY_MAGIC, sizeof h.magic);
  while (h.safe_tokens < used && safe_characters(&tokens[h.safe_tokens])) h.safe_tokens++;
  tree t = {.path = malloc((longest + 1) * sizeof *t.path)};
  bool done = t.path && used < MOST_NODES && add_tree(&t, tokens, 0, h.safe_tokens);
  h.safe_nodes = t.count;
  done = done && add_tree(&t, tokens, h.safe_tokens, h.tokens);
  h.nodes = t.count;
  done = done && add_node(&t, 0, 0, h.tokens);
  if (done) t.nodes[h.nodes].end = h.nodes & 0xFFFFFF;
  if (!done) lmmc_fail(e, 1, "a tree of %zu tokens is too large", used);
  done = done && write_array(&h, &t, tokens, out, e);
  free(t.nodes);
  free(t.path);
  return done;
}

// What a piece adds to a text, in `out`, which has room for it; its length.
static uint32_t piece_text(const lmmc_tokenizer *t, uint32_t id, uint8_t *out) {
  const uint8_t *p = t->text + t->offset[id], *end = t->text + t->offset[id + 1];
  const bool bytes = t->flags & LMMC_TOKENIZER_BYTE_LEVEL;
  uint32_t count = 0;
  if (t->type[id] == LMMC_CONTROL || t->type[id] == LMMC_UNKNOWN) return 0;
  while (p < end) {
    const bool mark = !bytes && end - p >= 3 && memcmp(p, "\xE2\x96\x81", 3) == 0;
    out[count++] = mark ? ' ' : *p;
    p += mark ? 3 : 1;
  }
  return count;
}

bool lmmc_vocabulary_of_tokenizer(const lmmc_tokenizer *t, uint32_t rows, lmmc_text *out, lmmc_error *e) {
  lmmc_token_bytes *tokens = calloc((size_t)t->pieces + 1, sizeof *tokens);
  uint8_t *text = malloc((size_t)t->offset[t->pieces] + 256 + 1);
  if (!tokens || !text) {
    free(tokens);
    free(text);
    return lmmc_fail(e, 1, "out of memory for a tree of %u tokens", t->pieces);
  }
  const bool byte_level = t->flags & LMMC_TOKENIZER_BYTE_LEVEL;
  size_t used = 0;
  for (uint32_t i = 0; i < t->pieces && i < rows; i++) {
    tokens[i] = (lmmc_token_bytes){text + used, byte_level || t->type[i] != LMMC_BYTE ? piece_text(t, i, text + used) : 0, (int32_t)i};
    used += tokens[i].count;
  }
  for (int b = 0; b < 256 && !byte_level; b++) {
    const int32_t id = t->byte_id[b];
    if (id < 0 || (uint32_t)id >= rows || t->type[id] != LMMC_BYTE) continue;
    text[used] = (uint8_t)b;
    tokens[id] = (lmmc_token_bytes){text + used++, 1, id};
  }
  // A merge list drops the space of a byte piece too.
  const bool drops = !byte_level && t->flags & LMMC_TOKENIZER_DUMMY_PREFIX;
  const int32_t kept = drops && !t->merge && t->byte_id[' '] >= 0 && (uint32_t)t->byte_id[' '] < rows ? t->byte_id[' '] : -1;
  const bool done =
      lmmc_vocabulary_build(tokens, t->pieces < rows ? t->pieces : rows, rows, drops ? LMMC_VOCABULARY_DROPS_SPACE : 0, kept, out, e);
  free(tokens);
  free(text);
  return done;
}

static bool damaged(lmmc_error *e, const char *what) { return lmmc_fail(e, 1, "the tree of tokens is damaged: %s", what); }

// Whether each node's path ends inside its parent's, and tokens ascend.
static bool check_nodes(const lmmc_vocabulary *v, lmmc_error *e) {
  const lmmc_vocabulary_header *h = &v->header;
  uint32_t ends[LMMC_LONGEST_TOKEN], depth = 0;
  bool sound = true;
  for (uint32_t i = 0; sound && i < h->nodes; i++) {
    const uint32_t limit = i < h->safe_nodes ? h->safe_nodes : h->nodes;
    while (depth && i >= ends[depth - 1]) depth--;
    sound = v->node[i].end > i && v->node[i].end <= (depth ? ends[depth - 1] : limit) && depth < h->longest && v->node[i].depth == depth &&
            v->node[i].token <= v->node[i + 1].token;
    if (sound) ends[depth++] = v->node[i].end;
  }
  sound = sound && v->node[h->nodes].token == h->tokens && v->node[h->safe_nodes].token == h->safe_tokens &&
          (h->nodes == 0 || v->node[0].token == 0);
  return sound || damaged(e, "a node");
}

static uint64_t padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

static bool is_row(const lmmc_vocabulary_header *h, int32_t id) { return id >= 0 && (uint32_t)id < h->rows; }

bool lmmc_vocabulary_open(lmmc_vocabulary *v, const void *array, uint64_t bytes, lmmc_error *e) {
  lmmc_vocabulary_header *h = &v->header;
  if (bytes < sizeof *h || (uintptr_t)array % 8) return damaged(e, "its header");
  memcpy(h, array, sizeof *h);
  const uint64_t nodes = ((uint64_t)h->nodes + 1) * sizeof(lmmc_trie_node), ids = padded((uint64_t)h->tokens * 4);
  const uint64_t order = padded((uint64_t)h->safe_tokens * 4), longer = (LMMC_MOST_SAFE_CHARACTERS + 1) * sizeof *v->longer;
  const uint64_t places = padded((uint64_t)h->rows * 4);
  const uint64_t wanted = sizeof *h + nodes + ids + order + longer + places + words_of(h->rows) * 8;
  if (memcmp(h->magic, LMMC_VOCABULARY_MAGIC, sizeof h->magic) != 0 || h->bytes != bytes || wanted != bytes || h->safe_nodes > h->nodes ||
      h->safe_tokens > h->tokens || h->tokens >= MOST_NODES || h->nodes > MOST_NODES || h->longest > LMMC_LONGEST_TOKEN ||
      h->most_characters > LMMC_MOST_SAFE_CHARACTERS)
    return damaged(e, "its header");
  const uint8_t *at = (const uint8_t *)array + sizeof *h;
  v->node = (const lmmc_trie_node *)at;
  v->id = (const int32_t *)(at + nodes);
  v->by_characters = (const int32_t *)(at + nodes + ids);
  v->longer = (const uint32_t *)(at + nodes + ids + order);
  v->order = (const uint32_t *)(at + nodes + ids + order + longer);
  v->safe_bits = (const uint64_t *)(at + nodes + ids + order + longer + places);
  if (!check_nodes(v, e)) return false;
  for (uint32_t i = 0; i < h->tokens; i++)
    if (!is_row(h, v->id[i])) return damaged(e, "an id");
  for (uint32_t i = 0; i < h->rows; i++)
    if (v->order[i] != UINT32_MAX && v->order[i] >= h->tokens) return damaged(e, "an id");
  for (uint32_t i = 0; i < h->safe_tokens; i++)
    if (!is_row(h, v->by_characters[i])) return damaged(e, "an id");
  for (uint32_t i = 0, before = h->safe_tokens; i <= LMMC_MOST_SAFE_CHARACTERS; before = v->longer[i++])
    if (v->longer[i] > before) return damaged(e, "a number of characters");
  return true;
}

uint32_t lmmc_vocabulary_text(const lmmc_vocabulary *v, int32_t id, uint8_t *out) {
  if (!is_row(&v->header, id) || v->order[id] == UINT32_MAX) return 0;
  const uint32_t place = v->order[id], safe = v->header.safe_nodes;
  const bool in_first = place < v->header.safe_tokens;
  uint32_t count = 0;
  // Each level has one node whose tokens hold the place; the path ends where it is the node's own.
  for (uint32_t node = in_first ? 0 : safe, end = in_first ? safe : v->header.nodes; node < end && count < v->header.longest;) {
    const lmmc_trie_node *n = &v->node[node];
    if (v->node[n->end].token <= place) {
      node = n->end;
      continue;
    }
    out[count++] = n->byte;
    if (place < v->node[node + 1].token) return count;
    end = n->end;
    node++;
  }
  return 0;
}
