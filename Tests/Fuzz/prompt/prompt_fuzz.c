// Fuzz target: a vocabulary, a template and a prompt, or a conversation of several turns, are drawn together from fragments of special tokens
// and places, so that they overlap; the prompt is built and its ids are read back as text.
#include "session/prompt.h"

#include "tokenizer/model_blob.h"

#define REQUIRE(condition) ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: not %s\n", __FILE__, __LINE__, #condition), abort()))

typedef struct {
  const uint8_t *at, *end;
} input;

static unsigned draw(input *in, unsigned limit) { return in->at < in->end ? *in->at++ % limit : 0; }

static const char *const FRAGMENTS[] = {"<image>", "<image", "<ima",     "image>",     "ge>",          "<",        ">",
                                        "x",       "<s>",    "</s>",     "<|eot_id|>", "|>",           "ab",       "12",
                                        " ",       "\n",     "\xC3\xA9", "\xFF",       "\xE2\x96\x81", "\xE6\x97", "'s"};
enum { FRAGMENT_COUNT = sizeof FRAGMENTS / sizeof *FRAGMENTS, TEXT_BYTES = 256, DRAWN = 24, OWN = 3 + 256 };

// A text of up to `most` fragments, ended by a zero.
static const char *draw_text(input *in, unsigned most, char text[TEXT_BYTES]) {
  size_t length = 0;
  for (unsigned count = draw(in, most + 1); count > 0; count--) {
    const char *fragment = FRAGMENTS[draw(in, FRAGMENT_COUNT)];
    if (length + strlen(fragment) >= TEXT_BYTES) break;
    memcpy(text + length, fragment, strlen(fragment));
    length += strlen(fragment);
  }
  text[length] = 0;
  return text;
}

// A vocabulary of scored pieces: the unknown one, BOS and EOS, the bytes, then drawn ones of every type, also beside the pieces as files add them.
static lmmc_text draw_pieces(input *in) {
  static char names[256][8], texts[2 * DRAWN][TEXT_BYTES];
  static blob_piece pieces[OWN + DRAWN], added[DRAWN];
  static const int types[] = {LMMC_NORMAL, LMMC_CONTROL, LMMC_USER_DEFINED, LMMC_UNUSED};
  uint32_t own = 0, count = 0, drawn = 0;
  pieces[own++] = (blob_piece){"<unk>", 5, 0, LMMC_UNKNOWN};
  pieces[own++] = (blob_piece){"<s>", 3, 0, LMMC_CONTROL};
  pieces[own++] = (blob_piece){"</s>", 4, 0, LMMC_CONTROL};
  uint32_t flags = draw(in, 4);
  for (int byte = 0; byte < 256 && flags & LMMC_TOKENIZER_BYTE_FALLBACK; byte++) {
    snprintf(names[byte], sizeof names[byte], "<0x%02X>", (unsigned)byte);
    pieces[own++] = (blob_piece){names[byte], 6, 0, LMMC_BYTE};
  }
  for (uint32_t wanted = draw(in, 2 * DRAWN), i = 0; i < wanted; i++) {
    bool is_added = draw(in, 2), known = false;
    const char *text = draw_text(in, 3, texts[drawn]);
    int type = types[draw(in, sizeof types / sizeof *types)];
    // A vocabulary has a text once, and none that is empty.
    for (uint32_t k = 0; k < drawn; k++) known = known || strcmp(texts[k], text) == 0;
    known = known || !*text || strcmp(text, "<s>") == 0 || strcmp(text, "</s>") == 0 || (is_added ? count : own - OWN) == DRAWN;
    float score = -(float)draw(in, 8);
    if (known || (is_added && count == DRAWN) || (!is_added && own == OWN + DRAWN)) continue;
    drawn++;
    if (is_added)
      added[count++] = (blob_piece){text, strlen(text), 0, type};
    else
      pieces[own++] = (blob_piece){text, strlen(text), score, type};
  }
  return tokenizer_blob(pieces, own, flags, added, count);
}

static uint32_t merge_slot(int32_t left, int32_t right) {
  uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
  return (uint32_t)(h ^ h >> 32);
}

// A byte-level merge list: the 256 bytes, pieces that drawn merges make, then special tokens and words.
static lmmc_text draw_merges(input *in) {
  enum { MOST = 256 + 2 * DRAWN, SLOTS = 1024 };
  static char texts[MOST][TEXT_BYTES];
  size_t lengths[MOST];
  int32_t merge[DRAWN][3], whole_id[DRAWN];
  uint32_t n = 256, merges = 0, wholes = 0, offset[MOST + 1] = {0}, whole_offset[DRAWN + 1] = {0}, table[SLOTS], merge_table[SLOTS];
  uint8_t type[MOST], whole_kind[DRAWN];
  blob_whole whole[DRAWN];
  lmmc_text text = {0}, whole_text = {0}, blob = {0};
  for (uint32_t i = 0; i < 256; i++) texts[i][0] = (char)i, lengths[i] = 1, type[i] = LMMC_NORMAL;
  uint32_t flags = LMMC_TOKENIZER_BYTE_LEVEL | (draw(in, 2) ? LMMC_TOKENIZER_WHOLE_WORDS : 0) | (draw(in, 2) ? LMMC_TOKENIZER_DIGITS : 0) |
                   (draw(in, 2) ? LMMC_TOKENIZER_DUMMY_PREFIX : 0);
  uint32_t split = draw(in, LMMC_SPLIT_LLAMA3 + 1);
  memset(table, 0xFF, sizeof table);
  memset(merge_table, 0xFF, sizeof merge_table);
  for (uint32_t wanted = draw(in, DRAWN); merges < wanted; merges++) {
    static const char letters[] = "<image>x12 's|";
    int32_t side[2];
    for (int k = 0; k < 2; k++)
      side[k] = n > 256 && draw(in, 2) ? (int32_t)(256 + draw(in, n - 256)) : (int32_t)(uint8_t)letters[draw(in, sizeof letters - 1)];
    uint32_t slot = merge_slot(side[0], side[1]) & (SLOTS - 1);
    bool known = lengths[side[0]] + lengths[side[1]] > 32;
    for (uint32_t k = 0; k < merges; k++) known = known || (merge[k][0] == side[0] && merge[k][1] == side[1]);
    if (known) break;
    while (merge_table[slot] != UINT32_MAX) slot = (slot + 1) & (SLOTS - 1);
    merge_table[slot] = merges;
    memcpy(texts[n], texts[side[0]], lengths[side[0]]);
    memcpy(texts[n] + lengths[side[0]], texts[side[1]], lengths[side[1]]);
    lengths[n] = lengths[side[0]] + lengths[side[1]];
    type[n] = LMMC_NORMAL;
    memcpy(merge[merges], (int32_t[]){side[0], side[1], (int32_t)n++}, sizeof *merge);
  }
  for (uint32_t wanted = draw(in, DRAWN), i = 0; i < wanted; i++) {
    bool known = !*draw_text(in, 3, texts[n]);
    lengths[n] = strlen(texts[n]);
    for (uint32_t k = 0; k < wholes; k++)
      known = known || (whole[k].length == lengths[n] && memcmp(whole[k].text, texts[n], lengths[n]) == 0);
    uint8_t kind = (uint8_t)(1u << draw(in, 3));
    if (known) continue;
    type[n] = kind == LMMC_SPECIAL ? LMMC_CONTROL : LMMC_USER_DEFINED;
    whole[wholes++] = (blob_whole){texts[n], lengths[n], (int32_t)n, kind};
    n++;
  }
  qsort(whole, wholes, sizeof *whole, compare_wholes);
  for (uint32_t i = 0; i < wholes; i++) {
    whole_id[i] = whole[i].id, whole_kind[i] = whole[i].kind;
    lmmc_text_append(&whole_text, whole[i].text, whole[i].length, NULL);
    whole_offset[i + 1] = (uint32_t)whole_text.count;
  }
  for (uint32_t i = 0; i < n; i++) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t k = 0; k < lengths[i]; k++) h = (h ^ (uint8_t)texts[i][k]) * UINT64_C(0x100000001b3);
    uint32_t slot = (uint32_t)(h ^ h >> 32) & (SLOTS - 1);
    while (table[slot] != UINT32_MAX) slot = (slot + 1) & (SLOTS - 1);
    if (type[i] == LMMC_NORMAL) table[slot] = i;
    lmmc_text_append(&text, texts[i], lengths[i], NULL);
    offset[i + 1] = (uint32_t)text.count;
  }
  struct {
    char magic[8];
    uint64_t bytes;
    uint32_t kind, flags, pieces, slots, wholes;
    int32_t unk, bos, eos;
    uint32_t split, merges, merge_slots, seed;
  } header = {"lmmctok", 0, LMMC_MERGE_LIST, flags, n, SLOTS, wholes, -1, -1, -1, split, merges, SLOTS, 0};
  header.magic[7] = '2';
  blob_section(&blob, &header, sizeof header);
  blob_section(&blob, offset, 4 * (n + 1));
  blob_section(&blob, table, sizeof table);
  blob_section(&blob, whole_id, 4 * wholes);
  blob_section(&blob, whole_offset, 4 * (wholes + 1));
  blob_section(&blob, merge, 12 * merges);
  blob_section(&blob, merge_table, sizeof merge_table);
  blob_section(&blob, whole_kind, wholes);
  blob_section(&blob, type, n);
  blob_section(&blob, text.bytes, text.count);
  blob_section(&blob, whole_text.bytes, whole_text.count);
  header.bytes = blob.count;
  memcpy(blob.bytes, &header, sizeof header);
  lmmc_text_free(&text);
  lmmc_text_free(&whole_text);
  return blob;
}

// Ids back to text, those that the vocabulary has and one beyond: whole characters only, whatever order they come in.
static void detokenize(const lmmc_tokenizer *tokenizer, const lmmc_ids *ids) {
  lmmc_text text = {0};
  lmmc_detokenizer d = {0};
  for (size_t i = 0; i <= ids->count; i++) {
    int32_t id = i < ids->count ? ids->values[i] : (int32_t)tokenizer->pieces;
    if (id >= 0) REQUIRE(lmmc_detokenize(tokenizer, &d, id, &text, NULL));
  }
  REQUIRE(lmmc_detokenize_end(&d, &text, NULL));
  lmmc_text_free(&text);
}

static int count_places(const lmmc_model *model, const char *text) {
  int places = 0;
  for (const char *at = text; model->vision_tokens > 0 && (at = strstr(at, "<image>")); at += 7) places++;
  return places;
}

// What holds for every prompt that was built, or else for the error. Frees it.
static void check(const lmmc_tokenizer *tokenizer, const lmmc_model *model, lmmc_prompt *p, bool built, int images, const lmmc_error *e) {
  int64_t row = 0;
  int32_t words = 0;
  for (size_t i = 0; built && i < p->tokens.count; i++) {
    int32_t id = p->tokens.values[i];
    // The rows of all images, each once and in order.
    if (id < 0)
      REQUIRE(-1 - (int64_t)id == row++);
    else
      REQUIRE(id < model->vocabulary), words++;
  }
  if (built) {
    REQUIRE(p->images == images && row == (int64_t)images * model->vision_tokens && p->text_tokens == words);
    REQUIRE(p->tokens.count > 0 && p->tokens.count <= (size_t)model->context);
    detokenize(tokenizer, &p->tokens);
  } else {
    REQUIRE((e->code == 1 || e->code == 2) && *e->message && !strchr(e->message, '\n'));
  }
  lmmc_prompt_free(p);
}

static void build(const lmmc_tokenizer *tokenizer, const lmmc_model *model, const char *text, bool raw, int images) {
  lmmc_prompt p = {0};
  lmmc_error e = {0};
  const int places = count_places(model, text);
  const bool built = lmmc_prompt_build(&p, model, tokenizer, text, strlen(text), raw, images, &e);
  REQUIRE(!built || places == images || (!raw && places < images));
  check(tokenizer, model, &p, built, images, &e);
}

enum { MOST_MESSAGES = 7, OWN_TOKENS = 4 };

// A text of a template, or none.
static const char *draw_optional(input *in, char text[TEXT_BYTES]) { return draw(in, 4) ? draw_text(in, 4, text) : NULL; }

// Roles as often in turns as not, and answers as text or as the tokens that were generated.
static void converse(input *in, const lmmc_tokenizer *tokenizer, const lmmc_model *model) {
  static char texts[MOST_MESSAGES][TEXT_BYTES];
  lmmc_message messages[MOST_MESSAGES] = {0};
  lmmc_ids tokens[MOST_MESSAGES] = {0};
  const int count = (int)draw(in, MOST_MESSAGES + 1);
  const bool in_turns = draw(in, 4) != 0, has_system = draw(in, 2) != 0;
  int images = 0, places = 0;
  for (int i = 0; i < count; i++) {
    lmmc_message *m = &messages[i];
    const int turn = i - has_system;
    m->role = !in_turns ? (lmmc_role)draw(in, 3) : turn < 0 ? LMMC_SYSTEM : turn % 2 == 0 ? LMMC_USER : LMMC_ASSISTANT;
    m->text = draw_text(in, 8, texts[i]);
    m->bytes = strlen(m->text);
    m->images = m->role == LMMC_USER ? (int)draw(in, 4) : 0;
    images += m->images;
    places += m->role == LMMC_USER ? count_places(model, m->text) : 0;
    const unsigned own = m->role == LMMC_ASSISTANT ? draw(in, OWN_TOKENS + 1) : 0;
    if (own == 0) continue;
    for (unsigned k = 1; k < own; k++) REQUIRE(lmmc_ids_append(&tokens[i], (int32_t)draw(in, (unsigned)model->vocabulary), NULL));
    m->tokens = &tokens[i];
  }
  lmmc_prompt p = {0};
  lmmc_error e = {0};
  char system[TEXT_BYTES];
  const bool built = lmmc_prompt_converse(&p, model, tokenizer, draw_optional(in, system), messages, count, &e);
  REQUIRE(!built || (count > 0 && messages[count - 1].role == LMMC_USER && places <= images));
  check(tokenizer, model, &p, built, images, &e);
  for (int i = 0; i < MOST_MESSAGES; i++) lmmc_ids_free(&tokens[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, data + size};
  unsigned kind = draw(&in, 4);
  lmmc_text blob = kind & 1 ? draw_merges(&in) : draw_pieces(&in);
  // Some are damaged: what is opened nevertheless may mean anything, but reads nothing beyond its bytes.
  bool damaged = kind & 2;
  for (unsigned changes = damaged ? draw(&in, 4) : 0; changes > 0; changes--) {
    unsigned high = draw(&in, 256), at = high << 8 | draw(&in, 256);
    blob.bytes[(at < 512 ? at : at * 7) % blob.count] = (char)draw(&in, 256);
  }
  uint8_t *bytes = malloc(blob.count);  // no byte more than there are
  memcpy(bytes, blob.bytes, blob.count);
  lmmc_tokenizer tokenizer;
  lmmc_error e = {0};
  bool opened = lmmc_tokenizer_open(&tokenizer, bytes, blob.count, &e);
  if (!damaged && !opened) fprintf(stderr, "%s\n", e.message);
  REQUIRE(opened || damaged);
  if (opened) {
    static char texts[6][TEXT_BYTES];
    lmmc_model model = {.vocabulary = (int32_t)(tokenizer.pieces), .context = 64, .max_images = 3, .adds_bos = draw(&in, 2), .bos = 1};
    model.vision_tokens = (int32_t)draw(&in, 4);
    if (!model.vision_tokens) model.max_images = 0;
    for (int i = 0; i < 5; i++) draw_text(&in, 4, texts[i]);
    model.prompt = (lmmc_template){.alone = texts[0], .before = texts[1], .image = texts[2], .between = texts[3], .after = texts[4]};
    model.prompt.cuts_start = draw(&in, 2);
    model.prompt.cuts_start_behind_image = draw(&in, 2);
    model.prompt.cuts_end = draw(&in, 2);
    // A template whose image is one place, as the compiler makes them, or any.
    if (draw(&in, 2)) model.prompt.image = "<image>\n";
    unsigned how = draw(&in, 8);
    const char *text = draw_text(&in, 24, texts[5]);
    // What came later is drawn last, so that inputs that were found before stay what they were.
    model.prompt.flattens_words = draw(&in, 2);
    model.compression_count = (int32_t)draw(&in, 3), model.compression_token = (int32_t)draw(&in, 8);
    if (damaged) {
      lmmc_ids ids = {0};
      if (lmmc_tokenize(&tokenizer, text, strlen(text), &ids, &e)) detokenize(&tokenizer, &ids);
      lmmc_ids_free(&ids);
    } else {
      build(&tokenizer, &model, text, how & 1, (int)(how >> 1));
      static char more[6][TEXT_BYTES];
      lmmc_template *t = &model.prompt;
      t->before_answer = draw_optional(&in, more[0]);
      // A template that knows several turns says what stands before an answer.
      t->next = t->before_answer ? draw_optional(&in, more[1]) : NULL;
      t->next_before = t->next ? draw_optional(&in, more[2]) : NULL;
      t->system_start = draw_optional(&in, more[3]);
      t->system_alone = draw_text(&in, 4, more[4]);
      t->system_before = draw_text(&in, 4, more[5]);
      t->cuts_answer = draw(&in, 2);
      t->cuts_system = draw(&in, 2);
      converse(&in, &tokenizer, &model);
    }
  }
  free(bytes);
  lmmc_text_free(&blob);
  return 0;
}
