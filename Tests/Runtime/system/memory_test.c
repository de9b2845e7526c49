// What memory there is, what a program says where it is too little, and the options for it.
//   cli_memory_test PROGRAM      of cli_fake_model.c
#define _GNU_SOURCE
#include <sys/stat.h>

#include "system/cgroup.h"
#include "system/memory.h"
#include "../check.h"
#include "../app/cli_fake_model.h"
#include "../app/cli_json.h"
#include "../app/cli_process.h"

static char folder[] = "/tmp/lmmc-memory-XXXXXX";

static void put(const char *path, const char *text) {
  char name[4096];
  snprintf(name, sizeof name, "%s%s", folder, path);
  for (char *slash = name + strlen(folder); (slash = strchr(slash + 1, '/')); *slash = '/') {
    *slash = 0;
    mkdir(name, 0777);
  }
  FILE *f = fopen(name, "w");
  if (!f || fputs(text, f) < 0 || fclose(f) != 0) perror(name), exit(2);
}

static void clear(void) {
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'/proc '%s'/sys", folder, folder);
  if (system(command) != 0) exit(2);
}

static void available(void) {
  const char *limit, *group = "/proc/self/cgroup";
#define AVAILABLE(wanted, by)                                                                              \
  do {                                                                                                     \
    double got_ = lmmc_memory_available(folder, &limit);                                                   \
    CHECK(got_ == (wanted) && strstr(limit, by), "%.17g %s, wanted %.17g", got_, limit, (double)(wanted)); \
    clear();                                                                                               \
  } while (0)
  AVAILABLE(-1, "of memory");
  put("/proc/meminfo", "MemTotal:  2000 kB\nMemFree: 10 kB\nMemAvailable:    1000 kB\n");
  AVAILABLE(1024000, "of memory");
  put(group, "0::/a\n"), put("/sys/fs/cgroup/a/memory.max", "max\n"), put("/sys/fs/cgroup/a/memory.current", "5\n");
  AVAILABLE(-1, "of memory");
  put("/proc/meminfo", "MemAvailable: 1000 kB\n"), put(group, "0::/a\n"), put("/sys/fs/cgroup/a/memory.max", "500000\n");
  put("/sys/fs/cgroup/a/memory.current", "400000\n");
  put("/sys/fs/cgroup/a/memory.stat", "anon 1\nfile 99\ninactive_file 30000\nactive_file 50000\nworkingset_refault_file 7\n");
  AVAILABLE(180000, "control group");  // 320,000 bytes are in use beside files
  put(group, "0::/a/b\n"), put("/sys/fs/cgroup/a/memory.max", "500000\n"), put("/sys/fs/cgroup/a/memory.current", "450000\n");
  put("/sys/fs/cgroup/a/b/memory.max", "900000\n"), put("/sys/fs/cgroup/a/b/memory.current", "1000\n");
  AVAILABLE(50000, "control group");  // of the group above
  put("/sys/fs/cgroup/memory.max", "500\n"), put("/sys/fs/cgroup/memory.current", "600\n");
  AVAILABLE(0, "control group");  // over its limit, in a container
  put(group, "5:cpu:/y\n4:memory:/x\n"), put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n");
  put("/sys/fs/cgroup/memory/x/memory.usage_in_bytes", "1\n");
  AVAILABLE(-1, "of memory");
  put(group, "4:memory:/x\n"), put("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "70000\n"),
      put("/sys/fs/cgroup/memory/x/memory.usage_in_bytes", "60000\n");
  put("/sys/fs/cgroup/memory/x/memory.stat", "cache 1\nactive_file 9\ntotal_inactive_file 10000\ntotal_active_file 20000\n");
  AVAILABLE(40000, "control group");
  static const char *const garbage[] = {"nan\n", "-5\n", "", "\xFF\n", "1e999\n"};
  for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
    put(group, "0::/a\n"), put("/sys/fs/cgroup/a/memory.max", garbage[i]), put("/sys/fs/cgroup/a/memory.current", "5\n");
    AVAILABLE(-1, "of memory");
    put(group, "0::/a\n"), put("/sys/fs/cgroup/a/memory.max", "500\n"), put("/sys/fs/cgroup/a/memory.current", garbage[i]);
    AVAILABLE(i == 4 ? 0 : 500, "control group");
  }
}

static void checks(void) {
  const lmmc_model m = {.context = 1000,
                        .cache_bytes = 4000ull << 20,
                        .cache_type = LMMC_KV_BF16,
                        .chunk = 50,
                        .chunk_bytes = 1ull << 30,
                        .image_bytes = 512 << 20,
                        .attachment_bytes = 5ull << 30,
                        .vision_tokens = 256,
                        .hidden = 1024};
  const struct {
    double gib;
    int64_t positions;
    int images;
    lmmc_kv_type cache;
    const char *warning, *error;
  } cases[] = {
      {-1, 1000, 0, LMMC_KV_BF16, "", NULL},
      {9.91, 1000, 0, LMMC_KV_BF16, "", NULL},  // 3.906 + 1 + 5
      {9.90, 1000, 0, LMMC_KV_BF16,
       "warning: 5 GiB of weights do not fit beside 4.91 GiB of cache and working memory, 9.9 GiB are free of memory: parts will be read "
       "from the file again and again; '--context' here or a lower '--precision' when compiling would help\n",
       NULL},
      {6.2, 50, 0, LMMC_KV_BF16, "", NULL},  // as many positions as are in use
      {2.0, 100, 0, LMMC_KV_BF16, "warning: ", NULL},
      {1.2, 100, 0, LMMC_KV_BF16, "",
       "out of memory, 100 positions take 400 MiB of cache and 1 GiB of working memory, and 1.2 GiB are free of memory; "
       "'--context 51' here or '--kv int8' when compiling would help"},
      {1.2, 51, 0, LMMC_KV_BF16, "warning: ", NULL},
      {0.5, 9999, 0, LMMC_KV_I8, "",
       "out of memory, 9999 positions take 3.91 GiB of cache and 1 GiB of working memory, and 512 MiB are free of memory; "
       "a smaller '--context' here or a smaller '--context' when compiling would help"},
      // Half a chunk, and with it the tower's memory and the image's vision tokens, 1 MiB.
      {0.6, 25, 0, LMMC_KV_BF16, "warning: ", NULL},
      {1.09, 25, 1, LMMC_KV_BF16, "",
       "out of memory, 25 positions take 100 MiB of cache and 1 GiB of working memory, and 1.09 GiB are free of memory; "
       "'--context 22' here or '--kv int8' when compiling would help"},
      {1.1, 25, 1, LMMC_KV_BF16, "warning: ", NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lmmc_model model = m;
    model.cache_type = cases[i].cache;
    lmmc_error e = {0};
    char warning[512];
    bool done = lmmc_memory_check(&model, (lmmc_memory_use){cases[i].positions, 1, cases[i].images, 0}, cases[i].gib * (1 << 30),
                                  "of memory", warning, sizeof warning, &e);
    CHECK(done == !cases[i].error && strcmp(e.message, cases[i].error ? cases[i].error : "") == 0 && e.code == !done, "%zu: '%s'", i,
          e.message);
    CHECK(cases[i].warning[0] ? strncmp(warning, cases[i].warning, strlen(cases[i].warning)) == 0 : !warning[0], "%zu: '%s'", i, warning);
  }
}

// Every sequence has a slot of its own. One that asks for huge pages takes whole ones under each cache, and never more than itself; it asks
// where a quarter of them is filled, here of 6 MiB at first.
static void slots(void) {
  static const lmmc_cache caches[] = {{.row_bytes = 4096}, {.row_bytes = 4096}, {.row_bytes = 64}};
  enum { ROW = 4096 + 4096 + 64, MIB = 1 << 20 };
  lmmc_model m = {.context = 1000,
                  .sequences = 8,
                  .cache_bytes = 1000 * ROW,
                  .cache_type = LMMC_KV_I8,
                  .caches = caches,
                  .cache_count = 3,
                  .slot_bytes = 8 * MIB,
                  .chunk = 200,
                  .chunk_bytes = 200 * MIB,
                  .image_bytes = 100 * MIB,
                  .vocabulary = 1 << 18};
  static const struct {
    int64_t positions, sequences;
    uint64_t cache, small;  // small: of slots below 2 MiB
    int working;            // MiB
  } cases[] = {
      {1, 1, ROW, ROW, 1},
      {190, 1, 190 * ROW, 190 * ROW, 190},
      {191, 1, 6 * MIB, 191 * ROW, 191},
      {512, 1, 6 * MIB, 512 * ROW, 200},
      {513, 1, 8 * MIB, 513 * ROW, 200},
      {1000, 1, 8 * MIB, 1000 * ROW, 200},
      {2000, 1, 8 * MIB, 1000 * ROW, 200},
      {300, 3, 18 * MIB, 3 * 300 * ROW, 200 + 2},
      {10, 8, 80 * ROW, 80 * ROW, 80 + 7},
  };
  lmmc_model small = m, narrow = m;
  small.slot_bytes = MIB;
  lmmc_memory_shorten(&narrow, 100);
  CHECK(lmmc_memory_huge_rows(&m) == 191 && lmmc_memory_huge_rows(&small) > 1000 && lmmc_memory_huge_rows(&narrow) > 100, "from %d rows on",
        (int)lmmc_memory_huge_rows(&m));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const lmmc_memory_use use = {cases[i].positions, cases[i].sequences, 0, 0};
    lmmc_memory_needs n = lmmc_memory_need(&m, use);
    CHECK(n.cache == cases[i].cache && n.working == (uint64_t)cases[i].working * MIB, "%zu: %zu, %zu", i, (size_t)n.cache,
          (size_t)n.working);
    n = lmmc_memory_need(&small, use);
    CHECK(n.cache == cases[i].small, "%zu: %zu of small slots", i, (size_t)n.cache);
  }
  // A step of a shorter context takes as many rows, or one of each sequence, and their memory.
  CHECK(narrow.chunk == 100 && narrow.chunk_bytes == 100 * MIB && narrow.context == 100 && narrow.cache_bytes == 100 * ROW, "%d rows, %zu",
        (int)narrow.chunk, (size_t)narrow.chunk_bytes);
  CHECK(lmmc_memory_need(&narrow, (lmmc_memory_use){5, 1, 1, 0}).working == 100 * MIB, "%s", "an image beside five rows");
  lmmc_memory_shorten(&narrow, 5);
  CHECK(narrow.chunk == 8 && narrow.chunk_bytes == 8 * MIB, "%d rows, %zu", (int)narrow.chunk, (size_t)narrow.chunk_bytes);
  narrow = m;
  lmmc_memory_shorten(&narrow, 500);
  CHECK(narrow.chunk == 200 && narrow.chunk_bytes == 200 * MIB, "%d rows, %zu", (int)narrow.chunk, (size_t)narrow.chunk_bytes);
  lmmc_error e = {0};
  char warning[512];
  CHECK(!lmmc_memory_check(&m, (lmmc_memory_use){600, 8, 0, 0}, 260 << 20, "of memory", warning, sizeof warning, &e) &&
            strcmp(e.message,
                   "out of memory, 8 sequences of 600 positions take 64 MiB of cache and 207 MiB of working memory, and 260 MiB "
                   "are free of memory; fewer sequences, '--context 512' here or a smaller '--context' when compiling would help") == 0,
        "'%s'", e.message);
  CHECK(lmmc_memory_check(&m, (lmmc_memory_use){512, 8, 0, 0}, 260 << 20, "of memory", warning, sizeof warning, &e), "'%s'", e.message);
  // One of them comes to hold more: with a context that has no room for that, all fit.
  const lmmc_memory_use uneven = {100, 8, 0, 800};
  CHECK(lmmc_memory_need(&m, uneven).cache == 7 * 100 * ROW + 8 * MIB, "%zu", (size_t)lmmc_memory_need(&m, uneven).cache);
  // A batch takes as many slots as fit.
  for (int64_t fit = 1; fit <= 8; fit++) {
    const lmmc_memory_needs n = lmmc_memory_need(&m, (lmmc_memory_use){100, fit, 0, 0});
    const double room = (double)n.cache + (double)n.working + (double)n.weights;
    CHECK(lmmc_memory_sequences(&m, (lmmc_memory_use){100, 8, 0, 0}, room) == fit, "%d slots", (int)fit);
    CHECK(lmmc_memory_sequences(&m, (lmmc_memory_use){100, 8, 0, 0}, room - 1) == (fit > 1 ? fit - 1 : 1), "%d slots, and less", (int)fit);
  }
  CHECK(lmmc_memory_sequences(&m, (lmmc_memory_use){100, 8, 0, 0}, -1) == 8, "%s", "nothing is known");
  CHECK(lmmc_memory_need(&m, (lmmc_memory_use){100, 8, 0, 80}).cache == 8 * 100 * ROW, "%s", "no more than the others");
  CHECK(
      !lmmc_memory_check(&m, uneven, 220 << 20, "of memory", warning, sizeof warning, &e) &&
          strcmp(
              e.message,
              "out of memory, 8 sequences of 100 positions, in one of them 800, take 13.5 MiB of cache and 207 MiB of working memory, "
              "and 220 MiB are free of memory; fewer sequences, '--context 799' here or a smaller '--context' when compiling would help") ==
              0,
      "'%s'", e.message);
  CHECK(lmmc_memory_check(&m, uneven, 221 << 20, "of memory", warning, sizeof warning, &e), "'%s'", e.message);
}

static void options(const char *program) {
  result r = run(program, "--raw-prompt", "a", "--context", "97");
  CHECK(r.code == 2 && strcmp(r.err, "error: option '--context' wants at most the context of this program, 96, not 97\n") == 0, "'%s'",
        r.err);
  r = run(program, "--raw-prompt", "a b c", "--context", "2");
  CHECK(r.code == 1 && strstr(r.err, "and the context of this program is 2\n"), "'%s'", r.err);
  // Fewer positions than a chunk has: the prompt goes in the same way, and its answer ends with the cache.
  r = run(program, "--raw-prompt", "ab", "--context", "5", "--json");
  json *v = json_parse(r.out);
  CHECK(r.code == 0 && v, "'%s'", r.err);
  int count = 0;
  for (json *t = v ? json_get(v, "tokens")->child : NULL; t; t = t->next) count++;
  CHECK(v && count == 5 + 1 - (int)json_get(v, "prompt_tokens")->number, "'%s'", r.out);
  CHECK(run(program, "--perplexity", program, "--window", "6", "--context", "5").code == 2, "%s", "");

#ifdef __SANITIZE_ADDRESS__
  printf("not run: --mlock beyond the limit; the address sanitizer replaces mlock by nothing\n");
#else
  CHECK(chmod(folder, 0755) == 0, "%s", folder);
  char command[9000];
  const char *drop = getuid() == 0 ? "setpriv --reuid 65534 --clear-groups" : "";
  snprintf(command, sizeof command, "cp '%s' %s/p && prlimit --memlock=4096 %s %s/p --raw-prompt a --mlock", program, folder, drop, folder);
  r = run("/bin/sh", "-c", command);
  CHECK(r.code == 1 && strstr(r.err, "error: option '--mlock': this process may lock 4 KiB and the weights take ") == r.err &&
            strstr(r.err, "(RLIMIT_MEMLOCK)"),
        "exit %d '%s'", r.code, r.err);
#endif
  r = run(program, "--raw-prompt", "a", "--mlock", "--max-tokens", "2");  // less than any system's limit
  CHECK(r.code == 0, "exit %d '%s'", r.code, r.err);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: cli_memory_test PROGRAM\n"), 2;
  if (!mkdtemp(folder)) return perror(folder), 2;
  available();
  checks();
  slots();
  options(argv[1]);
  char command[64];
  snprintf(command, sizeof command, "rm -r %s", folder);
  if (system(command) != 0) perror(folder);
  return check_report();
}
