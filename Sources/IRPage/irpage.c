// The files of the page that 'lmmc ir --html' writes, carried inside lmmc.
#include "irpage.h"
#include <string.h>

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wc23-extensions"  // #embed
#endif

static const unsigned char page_html[] = {
#embed "page.html"
};
static const unsigned char page_css[] = {
#embed "page.css"
};
static const unsigned char tree_js[] = {
#embed "tree.js"
};
static const unsigned char diff_js[] = {
#embed "diff.js"
};
static const unsigned char page_js[] = {
#embed "page.js"
};
static const unsigned char selftest_js[] = {
#embed "selftest.js"
};

const unsigned char *lmmc_page_file(const char *name, size_t *length) {
#define FILE_NAMED(text, bytes) \
  if (strcmp(name, text) == 0) return *length = sizeof bytes, bytes
  FILE_NAMED("page.html", page_html);
  FILE_NAMED("page.css", page_css);
  FILE_NAMED("tree.js", tree_js);
  FILE_NAMED("diff.js", diff_js);
  FILE_NAMED("page.js", page_js);
  FILE_NAMED("selftest.js", selftest_js);
#undef FILE_NAMED
  return NULL;
}
