// cli_blob MODEL OUTPUT: writes the tokenizer blob of a SentencePiece model file, with a special token that overlaps with a place for an image,
// and prints its size.
#include "../tokenizer/model_blob.h"

int main(int argc, char **argv) {
  if (argc != 3) return fprintf(stderr, "usage: cli_blob MODEL OUTPUT\n"), 2;
  lmmc_text blob = tokenizer_blob_of(argv[1], &(blob_piece){"x<image>", 8, 0, LMMC_CONTROL}, 1);
  FILE *f = fopen(argv[2], "wb");
  if (!f || fwrite(blob.bytes, 1, blob.count, f) != blob.count || fclose(f)) return perror(argv[2]), 1;
  printf("%zu\n", blob.count);
  lmmc_text_free(&blob);
}
