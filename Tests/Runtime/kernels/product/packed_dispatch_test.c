// Which variant of the packed kernels runs: for every combination of CPU features, and as LMMC_ISA forces.
#include <sys/wait.h>
#include <unistd.h>

#include "packed_operands.h"

enum { PURPOSES = 5 };
static const char *const purposes[PURPOSES] = {"bf16", "q8", "q4", "quantize_q8", "quantize_bf16"};

static const void *code_of(const lmmc_variant *v, int purpose) {
  // Function pointers as data, for comparison only.
  const void *found[PURPOSES] = {v->bf16, v->q8, v->q4, *(void *const *)&v->quantize_q8, *(void *const *)&v->quantize_bf16};
  return found[purpose];
}

static const char *name_of(const lmmc_choice *c, int purpose) {
  const char *names[PURPOSES] = {c->bf16, c->q8, c->q4, c->quantize_q8, c->quantize_bf16};
  return names[purpose];
}

static void test_combinations(void) {
  uint32_t all = 0;
  for (int i = 0; i < lmmc_variant_count(); i++) all |= lmmc_variant_at(i)->needs;
  CHECK(lmmc_variant_at(0)->needs == 0, "the first variant needs something");
  // Counts through the subsets of `all`.
  uint32_t features = 0;
  do {
    const lmmc_choice choice = lmmc_choose((lmmc_cpu){features});
    for (int p = 0; p < PURPOSES; p++) {
      const lmmc_variant *best = NULL;
      for (int i = lmmc_variant_count() - 1; i >= 0 && !best; i--) {
        const lmmc_variant *v = lmmc_variant_at(i);
        if ((v->needs & features) == v->needs && code_of(v, p)) best = v;
      }
      CHECK(best && strcmp(best->name, name_of(&choice, p)) == 0 && code_of(&choice.code, p) == code_of(best, p),
            "features %#x, '%s': variant '%s' where '%s' is right", features, purposes[p], name_of(&choice, p), best ? best->name : "none");
    }
    CHECK(choice.code.finish != NULL, "features %#x: no epilogue", features);
    features = (features - all) & all;
  } while (features != 0);
}

static void test_limits(void) {
  uint32_t below = 0;
  for (int i = 0; i < lmmc_variant_count(); i++) {
    const lmmc_variant *v = lmmc_variant_at(i);
    char message[256] = "", without[32];
    lmmc_cpu cpu = {~0u};
    const uint32_t own = v->needs & ~below;
    below |= v->needs;
    CHECK(lmmc_limit_cpu(&cpu, v->name, message) == 0 && cpu.features == below, "'%s': features %#x, %s", v->name, cpu.features, message);
    // The next needs something of its own, which alone goes with it, on a CPU that lacks it too.
    snprintf(without, sizeof without, "-%s", v->name);
    CHECK(i == 0 || own != 0, "'%s' needs nothing that those before it do not", v->name);
    for (int twice = 0; twice < 2; twice++) {
      cpu.features = twice ? ~own : ~0u;
      CHECK(lmmc_limit_cpu(&cpu, without, message) == 0 && cpu.features == ~own, "'%s': features %#x, %s", without, cpu.features, message);
    }
    if (v->needs == 0) continue;
    cpu.features = v->needs & (v->needs - 1);
    CHECK(lmmc_limit_cpu(&cpu, v->name, message) == 1, "'%s' on a CPU without it: '%s'", v->name, message);
    char expected[256];
    snprintf(expected, sizeof expected, "LMMC_ISA is '%s', which this CPU lacks; expected a lower one, or none for the best", v->name);
    CHECK(strcmp(message, expected) == 0, "'%s'", message);
  }
  char message[256] = "", expected[256] = "LMMC_ISA is 'avx3'; expected ";
  for (int i = 0; i < lmmc_variant_count(); i++) {
    if (i > 0) strcat(expected, i + 1 < lmmc_variant_count() ? ", " : " or ");
    strcat(expected, lmmc_variant_at(i)->name);
  }
  strcat(expected, ", or one of them behind '-' to do without");
  lmmc_cpu cpu = {~0u};
  CHECK(lmmc_limit_cpu(&cpu, "avx3", message) == 2 && strcmp(message, expected) == 0, "'%s'", message);
}

// Runs this program again with LMMC_ISA set; its exit code, and what it writes on both outputs.
static int run_again(const char *level, char *text, size_t room) {
  int ends[2];
  if (pipe(ends) != 0) exit(1);
  const pid_t child = fork();
  if (child == 0) {
    setenv("LMMC_ISA", level, 1);
    dup2(ends[1], 1), dup2(ends[1], 2);
    close(ends[0]), close(ends[1]);
    execl("/proc/self/exe", "packed_dispatch_test", "names", (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  size_t length = 0;
  ssize_t got;
  while (length + 1 < room && (got = read(ends[0], text + length, room - 1 - length)) > 0) length += (size_t)got;
  text[length] = 0;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_forced(void) {
  char text[1024], expected[1024];
  if (run_again("", text, sizeof text) == 127) {
    printf("not run: LMMC_ISA in the environment; this program cannot start itself (it runs in an emulator)\n");
    return;
  }
  const lmmc_cpu this_cpu = lmmc_this_cpu();
  for (int i = -1; i < lmmc_variant_count(); i++) {
    const char *level = i < 0 ? "" : lmmc_variant_at(i)->name;
    lmmc_cpu cpu = this_cpu;
    char message[256];
    const int code = i < 0 ? 0 : lmmc_limit_cpu(&cpu, level, message);
    expected[0] = 0;
    const lmmc_choice choice = lmmc_choose(cpu);
    for (int p = 0; p < PURPOSES && code == 0; p++)
      snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s %s\n", purposes[p], name_of(&choice, p));
    if (code != 0) snprintf(expected, sizeof expected, "error: %s\n", message);
    const int found = run_again(level, text, sizeof text);
    CHECK(found == code && strcmp(text, expected) == 0, "LMMC_ISA '%s': exit code %d, '%s' where %d, '%s' is right", level, found, text,
          code, expected);
  }
  const int found = run_again("avx3", text, sizeof text);
  CHECK(found == 2 && strncmp(text, "error: LMMC_ISA is 'avx3'; expected plain", 41) == 0 && strchr(text, '\n') == text + strlen(text) - 1,
        "LMMC_ISA 'avx3': exit code %d, '%s'", found, text);
  // What a terminal would obey is not repeated.
  const int control = run_again("\33[31m\xC2\x9B", text, sizeof text);
  CHECK(control == 2 && strncmp(text, "error: LMMC_ISA is '?[31m\?\?'; expected", 37) == 0, "exit code %d, '%s'", control, text);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "names") == 0) {
    for (int p = 0; p < PURPOSES; p++) printf("%s %s\n", purposes[p], lmmc_kernel_variant(purposes[p]));
    return 0;
  }
  CHECK(lmmc_kernel_variant("f64") == NULL, "there is a variant for 'f64'");
  test_combinations();
  test_limits();
  test_forced();
  return check_report();
}
