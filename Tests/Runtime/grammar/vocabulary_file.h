// Reads what vocabulary.py writes.
#ifndef VOCABULARY_FILE_H
#define VOCABULARY_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/vocabulary.h"

static inline uint8_t *read_whole(const char *path, size_t *bytes) {
  FILE *f = fopen(path, "rb");
  if (!f || fseek(f, 0, SEEK_END) != 0) perror(path), exit(2);
  *bytes = (size_t)ftell(f);
  rewind(f);
  uint8_t *all = malloc(*bytes + 1);
  if (!all || fread(all, 1, *bytes, f) != *bytes) perror(path), exit(2);
  fclose(f);
  return all;
}

// The tree of a file's tokens, opened; what it points to lives as long as the process.
static inline void open_vocabulary_file(const char *path, lmmc_vocabulary *v) {
  size_t bytes;
  // Kept where the sanitizer finds them.
  static const uint8_t *all;
  static lmmc_text blob;
  all = read_whole(path, &bytes);
  const uint8_t *at = all + 12;
  uint32_t head[2];
  int32_t kept;
  memcpy(head, all, sizeof head);
  memcpy(&kept, all + 8, sizeof kept);
  lmmc_token_bytes *tokens = calloc(head[0] + 1, sizeof *tokens);
  for (uint32_t i = 0; i < head[0]; i++) {
    memcpy(&tokens[i].count, at, 4);
    tokens[i].bytes = at + 4;
    tokens[i].id = (int32_t)i;
    at += 4 + tokens[i].count;
  }
  lmmc_error e = {0};
  if (!lmmc_vocabulary_build(tokens, head[0], head[0], head[1], kept, &blob, &e) || !lmmc_vocabulary_open(v, blob.bytes, blob.count, &e)) {
    fprintf(stderr, "%s: %s\n", path, e.message);
    exit(2);
  }
  free(tokens);
}

#endif
