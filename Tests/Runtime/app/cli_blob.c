// cli_blob MODEL OUTPUT: writes what is attached to the programs of these tests, the tokenizer blob of a SentencePiece model file, with a special
// token that overlaps with a place for an image, and the tree of its tokens behind it; prints the compiler's options with the sizes of both.
#include "../tokenizer/model_blob.h"
#include "cli_fake_model.h"
#include "compile_time/token_tree.h"

int main(int argc, char **argv) {
  if (argc != 3) return fprintf(stderr, "usage: cli_blob MODEL OUTPUT\n"), 2;
  lmmc_text blob = tokenizer_blob_of(argv[1], &(blob_piece){"x<image>", 8, 0, LMMC_CONTROL}, 1);
  uint8_t *tree;
  uint64_t bytes;
  char error[LMMC_TOKEN_TREE_ERROR];
  if (!lmmc_token_tree((const uint8_t *)blob.bytes, blob.count, FAKE_VOCABULARY, &tree, &bytes, error))
    return fprintf(stderr, "cli_blob: %s\n", error), 1;
  FILE *f = fopen(argv[2], "wb");
  if (!f || fwrite(blob.bytes, 1, blob.count, f) != blob.count || fwrite(tree, 1, bytes, f) != bytes || fclose(f))
    return perror(argv[2]), 1;
  printf("-DBYTES=%zu -DTREE_BYTES=%llu\n", blob.count, (unsigned long long)bytes);
  lmmc_text_free(&blob);
  free(tree);
}
