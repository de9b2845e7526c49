// The words of questions, on the tokenizer of a golden checkpoint.
//   question_test GOLDEN
#include "session/question.h"

#include <string.h>

#include "../check.h"
#include "../tokenizer/model_blob.h"

static lmmc_tokenizer tokenizer;
static lmmc_model model = {.question_bound = 64};

// `words`: as they are found, one behind the other, each ended by a newline.
static void ask(const char *text, const char *words) {
  lmmc_prompt p = {0};
  lmmc_ids wanted = {0};
  lmmc_error e = {0};
  for (const char *end; (end = strchr(words, '\n')); words = end + 1)
    CHECK(lmmc_tokenize(&tokenizer, words, (size_t)(end - words), &wanted, &e), "%s", e.message);
  CHECK(lmmc_prompt_ask(&p, &model, &tokenizer, text, text ? strlen(text) : 0, &e), "%s", e.message);
  const size_t count = wanted.count < (size_t)model.question_bound ? wanted.count : (size_t)model.question_bound;
  CHECK(p.question.count == count && (count == 0 || memcmp(p.question.values, wanted.values, count * sizeof *wanted.values) == 0),
        "'%s': %zu tokens, not %zu", text ? text : "nothing", p.question.count, count);
  lmmc_ids_free(&wanted);
  lmmc_prompt_free(&p);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: question_test GOLDEN\n"), 2;
  char path[4096];
  snprintf(path, sizeof path, "%s/llava-mlp/tokenizer.model", argv[1]);
  lmmc_error e = {0};
  lmmc_text blob = tokenizer_blob_of(path, NULL, 0);
  CHECK(lmmc_tokenizer_open(&tokenizer, (uint8_t *)blob.bytes, blob.count, &e), "%s", e.message);

  ask("What is in the picture?", "in\npicture\n");
  ask("WHICH bird, The bird's OWNER?", "bird\nbird\ns\nOWNER\n");
  // places at the start go up to the line's end, others are words
  ask("<image>\nHi there", "Hi\nthere\n");
  ask("<image> <image><image> \nHi <image>", "Hi\nimage\n");
  ask("<image> Hi", "image\nHi\n");
  ask("<image>  \nHi", "image\nHi\n");
  ask("<image", "image\n");
  // phrases go wherever they stand, as they are spelled here alone
  ask("Red?\nAnswer the question using a single word or phrase.", "Red\n");
  ask("Answer the question using a single word or phrase.Answer with the option's letter from the given choices directly.A: x Answer the "
      "question using a single word or phrase.",
      "x\n");
  ask("answer the question using a single word or phrase.", "using\nsingle\nword\nphrase\n");
  ask("Answer the Answer the question using a single word or phrase.question using a single word or phrase.",
      "using\nsingle\nword\nphrase\n");
  // letters, digits and _ of any script; marks part words
  ask("\xC3\x96l_2 na\xC3\xAFve-\xE5\x8C\x97\xE4\xBA\xAC"
      "3 \xC2\xBD e\xCC\x81t",
      "\xC3\x96l_2\nna\xC3\xAFve\n\xE5\x8C\x97\xE4\xBA\xAC"
      "3\n\xC2\xBD\ne\nt\n");
  // nothing but small words, or no words: all that white space parts
  ask("Which of the?\xC2\xA0who", "of\n");
  ask("who\xC2\xA0 WHAT\x1Fis\tit?", "who\nWHAT\nis\nit?\n");
  ask(" ?? - !\n", "??\n-\n!\n");
  // bytes that are no UTF-8 part words
  ask("bird\xFFnest \xE5\x8C", "bird\nnest\n");
  // nothing asked
#define NOTHING_ASKED "see\nin\nthis\nimage\n"
  ask(NULL, NOTHING_ASKED);
  ask("", NOTHING_ASKED);
  ask(" \n\xE3\x80\x80", NOTHING_ASKED);
  ask("<image>\n", NOTHING_ASKED);
  ask("Answer the question using a single word or phrase.\n", NOTHING_ASKED);
  // no more than there is room for, and nothing for a program that does not read it
  model.question_bound = 3;
  ask("several words without an end of many pieces", "several\nwords\nwithout\nend\nof\nmany\npieces\n");
  model.question_bound = 0;
  ask("a bird", "");
  lmmc_text_free(&blob);
  return check_report();
}
