// The blob of Runtime/contract/tokenizer_blob.h from a SentencePiece model file, for the tests: what Sources/Packaging/TokenizerBlob.swift
// writes, from the protobuf's fields (ModelProto: pieces 1, trainer_spec 2, normalizer_spec 3).
#ifndef MODEL_BLOB_H
#define MODEL_BLOB_H
#include "tokenizer/tokenizer.h"
#include "../app/cli_json.h"

typedef struct {
  const char *text;
  size_t length;
  float score;
  int type;
} blob_piece;

typedef struct {
  const uint8_t *at, *end;
} proto;

static uint64_t proto_number(proto *p) {
  uint64_t v = 0;
  for (int shift = 0; p->at < p->end && shift < 64; shift += 7) {
    v |= (uint64_t)(*p->at & 127) << shift;
    if (*p->at++ < 128) break;
  }
  return v;
}

// The next field: its number, its value or its bytes; 0 at the end.
static int proto_field(proto *p, uint64_t *value, proto *bytes) {
  if (p->at >= p->end) return 0;
  uint64_t key = proto_number(p), size = 0;
  switch (key & 7) {
    case 0: *value = proto_number(p); break;
    case 1: size = 8; break;
    case 2: size = proto_number(p); break;
    case 5: size = 4; break;
    default: abort();
  }
  if (size > (uint64_t)(p->end - p->at)) abort();
  *bytes = (proto){p->at, p->at + size};
  p->at += size;
  return (int)(key >> 3);
}

static inline void blob_section(lmmc_text *blob, const void *bytes, size_t count) {
  static const char zeros[8];
  lmmc_text_append(blob, bytes, count, NULL);
  lmmc_text_append(blob, zeros, -count % 8, NULL);
}

typedef struct {
  const char *text;
  size_t length;
  int32_t id;
  uint8_t kind;
} blob_whole;

static int compare_wholes(const void *a, const void *b) {
  const blob_whole *x = a, *y = b;
  int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
  return order ? order : (x->length > y->length) - (x->length < y->length);
}

// Builds the blob; `added` come after the pieces: user-defined ones are words, others special. malloc'ed bytes are 16-aligned.
static inline lmmc_text tokenizer_blob(const blob_piece *pieces, uint32_t own, uint32_t flags, const blob_piece *added,
                                       uint32_t added_count) {
  const uint32_t n = own + added_count;
  uint32_t members = 0, slots = 8, s = 0, unk = 0, at = 0;
  int32_t bos = -1, eos = -1;
  for (uint32_t i = 0; i < own; i++) members += pieces[i].type != 2 && pieces[i].type != 3 && pieces[i].type != 6;
  while (slots < 2 * members) slots *= 2;
  float *score = calloc(n, 4);
  uint32_t *offset = calloc(n + 1, 4), *table = malloc(4 * slots), *whole_offset = calloc(n + 1, 4);
  int32_t *whole_id = calloc(n, 4);
  uint8_t *type = calloc(n, 1), *whole_kind = calloc(n, 1);
  blob_whole *wholes = calloc(n, sizeof *wholes);
  lmmc_text text = {0}, whole = {0}, blob = {0};
  memset(table, 0xFF, 4 * slots);
  for (uint32_t i = 0; i < n; i++) {
    const blob_piece *p = i < own ? &pieces[i] : &added[i - own];
    int kind = i < own ? p->type : p->type == LMMC_USER_DEFINED ? LMMC_USER_DEFINED : LMMC_CONTROL;
    score[i] = p->score;
    type[i] = (uint8_t)kind;
    lmmc_text_append(&text, p->text, p->length, NULL);
    offset[i + 1] = at += (uint32_t)p->length;
    if (kind == LMMC_CONTROL || kind == LMMC_USER_DEFINED)
      wholes[s++] = (blob_whole){p->text, p->length, (int32_t)i, kind == LMMC_CONTROL ? LMMC_SPECIAL : i < own ? LMMC_INNER : LMMC_WORD};
    if (i >= own) continue;
    if (kind == LMMC_UNKNOWN) unk = i;
    if (kind == LMMC_CONTROL && p->length == 3 && memcmp(p->text, "<s>", 3) == 0) bos = (int32_t)i;
    if (kind == LMMC_CONTROL && p->length == 4 && memcmp(p->text, "</s>", 4) == 0) eos = (int32_t)i;
    if (kind == LMMC_UNKNOWN || kind == LMMC_CONTROL || kind == LMMC_BYTE) continue;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t k = 0; k < p->length; k++) h = (h ^ (uint8_t)p->text[k]) * UINT64_C(0x100000001b3);
    uint32_t slot = (uint32_t)(h ^ h >> 32) & (slots - 1);
    while (table[slot] != UINT32_MAX) slot = (slot + 1) & (slots - 1);
    table[slot] = i;
  }
  qsort(wholes, s, sizeof *wholes, compare_wholes);
  for (uint32_t i = 0; i < s; i++) {
    whole_id[i] = wholes[i].id;
    whole_kind[i] = wholes[i].kind;
    lmmc_text_append(&whole, wholes[i].text, wholes[i].length, NULL);
    whole_offset[i + 1] = (uint32_t)whole.count;
  }
  struct {
    char magic[8];
    uint64_t bytes;
    uint32_t kind, flags, pieces, slots, wholes;
    int32_t unk, bos, eos, zero[4];
  } header = {"lmmctok", 0, 1, flags, n, slots, s, (int32_t)unk, bos, eos, {0}};
  header.magic[7] = '2';
  blob_section(&blob, &header, 64);
  blob_section(&blob, score, 4 * n);
  blob_section(&blob, offset, 4 * (n + 1));
  blob_section(&blob, table, 4 * slots);
  blob_section(&blob, whole_id, 4 * s);
  blob_section(&blob, whole_offset, 4 * (s + 1));
  blob_section(&blob, whole_kind, s);
  blob_section(&blob, type, n);
  blob_section(&blob, text.bytes, text.count);
  blob_section(&blob, whole.bytes, whole.count);
  header.bytes = blob.count;
  memcpy(blob.bytes, &header, 64);
  lmmc_text_free(&text);
  lmmc_text_free(&whole);
  free(score), free(offset), free(table), free(whole_offset), free(whole_id), free(whole_kind), free(type), free(wholes);
  return blob;
}

// The blob of a model file; exits when it cannot be read.
static inline lmmc_text tokenizer_blob_of(const char *path, const blob_piece *added, uint32_t added_count) {
  size_t size;
  uint8_t *bytes = (uint8_t *)read_whole(path, &size);
  if (!bytes) {
    perror(path);
    exit(2);
  }
  blob_piece *pieces = NULL;
  uint32_t n = 0, flags = LMMC_TOKENIZER_DUMMY_PREFIX;
  proto file = {bytes, bytes + size}, part, field;
  uint64_t value = 0;
  for (int number; (number = proto_field(&file, &value, &part));) {
    blob_piece p = {NULL, 0, 0, LMMC_NORMAL};
    for (int inner; number <= 3 && (inner = proto_field(&part, &value, &field));) {
      if (number == 1 && inner == 1) p.text = (char *)field.at, p.length = (size_t)(field.end - field.at);
      if (number == 1 && inner == 2) memcpy(&p.score, field.at, 4);
      if (number == 1 && inner == 3) p.type = (int)value;
      if (number == 2 && inner == 35 && value) flags |= LMMC_TOKENIZER_BYTE_FALLBACK;
      if (number == 3 && inner == 3 && !value) flags &= ~(uint32_t)LMMC_TOKENIZER_DUMMY_PREFIX;
    }
    if (number != 1) continue;
    pieces = realloc(pieces, (n + 1) * sizeof *pieces);
    pieces[n++] = p;
  }
  lmmc_text blob = tokenizer_blob(pieces, n, flags, added, added_count);
  free(pieces);
  free(bytes);
  return blob;
}

#endif
