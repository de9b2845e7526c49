#include "attach.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attachment_slot.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the tables are read and written in place, so a little-endian host is needed"
#endif

static const char SECTION[] = ".lmmc.weights";
enum {
  PAGE = 4096,
  HUGE_PAGE = 2 << 20,
  HUGE_FROM = 64 << 20,  // bytes of an attachment whose alignment costs nothing beside it
  MAX_ALIGNMENT = 1 << 30,
};
// User addresses end at 2^47 on the CPUs at hand; half of that leaves room for load addresses, heap and stack.
static const uint64_t MAX_ADDRESS = UINT64_C(1) << 46;

struct lmmc_attach {
  int output;
  uint64_t bytes, offset;  // of the attachment
  uint64_t tail_offset;    // section names, then section headers
  unsigned char *tail;
  size_t tail_bytes;
  Elf64_Ehdr header;
};

// The executable in memory: a private copy whose program headers and slot are patched before it is written.
struct image {
  const char *name;
  unsigned char *bytes;
  uint64_t size;
  Elf64_Ehdr header;
  Elf64_Phdr *segments;        // [header.e_phnum]
  const Elf64_Shdr *sections;  // [header.e_shnum]
};

__attribute__((format(printf, 2, 3), cold)) static bool fail(char *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(error, LMMC_ATTACH_ERROR, format, args);
  va_end(args);
  return false;
}

// a + b in *sum; false on overflow.
static bool add(uint64_t a, uint64_t b, uint64_t *sum) { return !__builtin_add_overflow(a, b, sum); }

static bool round_up(uint64_t value, uint64_t alignment, uint64_t *rounded) {
  if (!add(value, alignment - 1, rounded)) return false;
  *rounded &= ~(alignment - 1);
  return true;
}

// Whether [offset, offset + bytes) lies inside `size` bytes.
static bool inside(uint64_t offset, uint64_t bytes, uint64_t size) { return offset <= size && bytes <= size - offset; }

static bool write_all(int fd, const void *bytes, size_t count, uint64_t offset, char *error) {
  const unsigned char *at = bytes;
  while (count > 0) {
    ssize_t n = pwrite(fd, at, count, (off_t)offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(error, "cannot write the executable: %s", strerror(n < 0 ? errno : ENOSPC));
    at += n;
    offset += (uint64_t)n;
    count -= (size_t)n;
  }
  return true;
}

static bool map_image(struct image *image, const char *name, char *error) {
  *image = (struct image){.name = name};
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(error, "cannot open '%s': %s", name, strerror(errno));
  struct stat status;
  bool ok = fstat(fd, &status) == 0;
  if (!ok)
    fail(error, "cannot read '%s': %s", name, strerror(errno));
  else if (!S_ISREG(status.st_mode) || status.st_size < (off_t)sizeof(Elf64_Ehdr))
    ok = fail(error, "'%s' is not an ELF executable", name);
  if (ok) {
    image->size = (uint64_t)status.st_size;
    void *map = mmap(NULL, image->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
      ok = fail(error, "cannot map '%s': %s", name, strerror(errno));
    else
      image->bytes = map;
  }
  close(fd);
  return ok;
}

static bool check_header(struct image *image, char *error) {
  Elf64_Ehdr *h = &image->header;
  memcpy(h, image->bytes, sizeof *h);
  const char *wrong = NULL;
  if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
    wrong = "is not an ELF file";
  else if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
    wrong = "is not a 64-bit little-endian ELF file";
  else if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
    wrong = "is not a linked executable";
  else if (h->e_ehsize != sizeof(Elf64_Ehdr) || h->e_phentsize != sizeof(Elf64_Phdr) || h->e_shentsize != sizeof(Elf64_Shdr))
    wrong = "has table entries of an unknown size";
  else if (h->e_phnum == 0 || h->e_phnum >= PN_XNUM || h->e_shnum < 2 || h->e_shnum >= SHN_LORESERVE - 1 || h->e_shstrndx == SHN_UNDEF ||
           h->e_shstrndx >= h->e_shnum)
    wrong = "has no usable program or section headers";
  else if (!inside(h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr), image->size) || h->e_phoff % 8 ||
           !inside(h->e_shoff, h->e_shnum * sizeof(Elf64_Shdr), image->size) || h->e_shoff % 8)
    wrong = "has headers outside of the file or misaligned";
  if (wrong) return fail(error, "'%s' %s", image->name, wrong);
  image->segments = (Elf64_Phdr *)(image->bytes + h->e_phoff);
  image->sections = (const Elf64_Shdr *)(image->bytes + h->e_shoff);
  return true;
}

// Checks the segments; `*end` receives the end of the highest PT_LOAD, `*alignment` the largest alignment, at least a
// page, `*last` the index of the last PT_LOAD.
static bool check_segments(const struct image *image, uint64_t *end, uint64_t *alignment, size_t *last, char *error) {
  *end = 0;
  *alignment = PAGE;
  bool any = false;
  for (size_t i = 0; i < image->header.e_phnum; i++) {
    const Elf64_Phdr *p = &image->segments[i];
    if (p->p_type != PT_LOAD) continue;
    uint64_t segment_end, align = p->p_align ? p->p_align : 1;
    if (!inside(p->p_offset, p->p_filesz, image->size) || p->p_filesz > p->p_memsz || align > MAX_ALIGNMENT || (align & (align - 1)) ||
        (p->p_offset ^ p->p_vaddr) & (align - 1) || !add(p->p_vaddr, p->p_memsz, &segment_end) || segment_end > MAX_ADDRESS)
      return fail(error, "'%s' has a malformed segment %zu", image->name, i);
    if (any && p->p_vaddr < *end) return fail(error, "'%s' has segments out of order", image->name);
    any = true;
    *end = segment_end;
    *last = i;
    if (align > *alignment) *alignment = align;
  }
  return any || fail(error, "'%s' has no loadable segment", image->name);
}

// The name of a section; NULL when it lies outside of the table.
static const char *section_name(const struct image *image, const Elf64_Shdr *section) {
  const Elf64_Shdr *names = &image->sections[image->header.e_shstrndx];
  const char *start = (const char *)image->bytes + names->sh_offset;
  if (section->sh_name >= names->sh_size) return NULL;
  const char *name = start + section->sh_name;
  return memchr(name, 0, names->sh_size - section->sh_name) ? name : NULL;
}

// Finds the slot and its address; false when there is none or it is in use.
static bool find_slot(const struct image *image, struct lmmc_attachment_slot **slot, uint64_t *address, char *error) {
  const Elf64_Shdr *names = &image->sections[image->header.e_shstrndx];
  if (names->sh_type != SHT_STRTAB || !inside(names->sh_offset, names->sh_size, image->size) ||
      names->sh_size > UINT32_MAX - sizeof SECTION)
    return fail(error, "'%s' has a malformed table of section names", image->name);
  for (size_t i = 1; i < image->header.e_shnum; i++) {
    const Elf64_Shdr *s = &image->sections[i];
    const char *name = section_name(image, s);
    if (!name) return fail(error, "'%s' has a section %zu without a name", image->name, i);
    if (strcmp(name, LMMC_SLOT_SECTION) != 0) continue;
    // The slot stands first; AddressSanitizer pads what follows.
    if (s->sh_type != SHT_PROGBITS || s->sh_size < sizeof **slot || s->sh_offset % 8 || !inside(s->sh_offset, s->sh_size, image->size))
      return fail(error, "section '%s' of '%s' is malformed", LMMC_SLOT_SECTION, image->name);
    *slot = (struct lmmc_attachment_slot *)(image->bytes + s->sh_offset);
    *address = s->sh_addr;
    if (memcmp((*slot)->magic, LMMC_SLOT_MAGIC, sizeof LMMC_SLOT_MAGIC) != 0)
      return fail(error, "section '%s' of '%s' does not begin with a slot", LMMC_SLOT_SECTION, image->name);
    if ((*slot)->displacement != 0 || (*slot)->bytes != 0) return fail(error, "'%s' has an attachment already", image->name);
    // The address counts only when the slot is really loaded there.
    for (size_t j = 0; j < image->header.e_phnum; j++) {
      const Elf64_Phdr *p = &image->segments[j];
      if (p->p_type == PT_LOAD && s->sh_offset >= p->p_offset && inside(s->sh_offset - p->p_offset, s->sh_size, p->p_filesz) &&
          s->sh_addr - p->p_vaddr == s->sh_offset - p->p_offset)
        return true;
    }
    return fail(error, "section '%s' of '%s' is not loaded", LMMC_SLOT_SECTION, image->name);
  }
  return fail(error, "'%s' has no section '%s'; expected a program built from lmmc's sources, not yet stripped", image->name,
              LMMC_SLOT_SECTION);
}

// The note segment to give up: one that PT_GNU_PROPERTY repeats, else the last. Notes stay loaded and keep their
// sections; only this pointer to them goes.
static bool spare_segment(const struct image *image, size_t *spare, char *error) {
  bool found = false, repeated = false;
  for (size_t i = 0; i < image->header.e_phnum && !repeated; i++) {
    if (image->segments[i].p_type != PT_NOTE) continue;
    found = true;
    *spare = i;
    for (size_t j = 0; j < image->header.e_phnum; j++)
      repeated |= image->segments[j].p_type == PT_GNU_PROPERTY && image->segments[j].p_offset == image->segments[i].p_offset;
  }
  return found || fail(error,
                       "'%s' has no note segment to turn into a loaded one; expected a program linked with one, "
                       "by -Wl,--build-id say",
                       image->name);
}

// Puts `load` behind the last PT_LOAD (the loader wants ascending addresses) in place of segment `spare`.
static void replace_segment(Elf64_Phdr *segments, size_t spare, size_t last, Elf64_Phdr load) {
  size_t place = spare > last ? last + 1 : last;
  if (spare > place) memmove(segments + place + 1, segments + place, (spare - place) * sizeof *segments);
  if (spare < place) memmove(segments + spare, segments + spare + 1, (place - spare) * sizeof *segments);
  segments[place] = load;
}

// The tables behind the attachment: the old section names and the new one, then the old section headers and the new one.
static bool make_tail(lmmc_attach *a, const struct image *image, uint64_t address, uint64_t alignment, char *error) {
  size_t count = image->header.e_shnum;
  const Elf64_Shdr *names = &image->sections[image->header.e_shstrndx];
  size_t names_bytes = names->sh_size + sizeof SECTION;
  uint64_t end, table, file_end;
  if (!add(a->offset, a->bytes, &end) || !round_up(end, 8, &a->tail_offset) || !add(a->tail_offset, names_bytes, &table) ||
      !round_up(table, 8, &table) || !add(table, (count + 1) * sizeof(Elf64_Shdr), &file_end) || file_end > INT64_MAX)
    return fail(error, "an attachment of %" PRIu64 " bytes does not fit in a file", a->bytes);
  a->tail_bytes = file_end - a->tail_offset;
  a->tail = calloc(1, a->tail_bytes);
  if (!a->tail) return fail(error, "out of memory");
  memcpy(a->tail, image->bytes + names->sh_offset, names->sh_size);
  memcpy(a->tail + names->sh_size, SECTION, sizeof SECTION);
  Elf64_Shdr *sections = (Elf64_Shdr *)(a->tail + (table - a->tail_offset));
  memcpy(sections, image->sections, count * sizeof *sections);
  sections[image->header.e_shstrndx].sh_offset = a->tail_offset;
  sections[image->header.e_shstrndx].sh_size = names_bytes;
  sections[count] = (Elf64_Shdr){
      .sh_name = (Elf64_Word)names->sh_size,
      .sh_type = SHT_PROGBITS,
      .sh_flags = SHF_ALLOC,
      .sh_addr = address,
      .sh_offset = a->offset,
      .sh_size = a->bytes,
      .sh_addralign = alignment,
  };
  a->header.e_shoff = table;
  a->header.e_shnum = (Elf64_Half)(count + 1);
  return true;
}

static bool prepare(lmmc_attach *a, struct image *image, const char *executable, char *error) {
  uint64_t end, alignment, address, address_end, slot_address = 0;
  size_t last = 0, spare = 0;
  struct lmmc_attachment_slot *slot = NULL;
  if (!map_image(image, executable, error) || !check_header(image, error) || !check_segments(image, &end, &alignment, &last, error) ||
      !find_slot(image, &slot, &slot_address, error))
    return false;
  a->header = image->header;
  a->offset = image->size;
  if (a->bytes > 0) {
    if (!spare_segment(image, &spare, error)) return false;
    // The kernel maps whole huge pages where a file's offset and address agree modulo their size.
    if (a->bytes >= HUGE_FROM && alignment < HUGE_PAGE) alignment = HUGE_PAGE;
    if (!round_up(end, alignment, &address) || !add(address, a->bytes, &address_end) || address_end > MAX_ADDRESS ||
        !round_up(image->size, alignment, &a->offset))
      return fail(error, "an attachment of %" PRIu64 " bytes does not fit in the address space", a->bytes);
    if (!make_tail(a, image, address, alignment, error)) return false;
    slot->displacement = (int64_t)(address - slot_address);
    slot->bytes = a->bytes;
    replace_segment(image->segments, spare, last,
                    (Elf64_Phdr){
                        .p_type = PT_LOAD,
                        .p_flags = PF_R,
                        .p_offset = a->offset,
                        .p_vaddr = address,
                        .p_paddr = address,
                        .p_filesz = a->bytes,
                        .p_memsz = a->bytes,
                        .p_align = alignment,
                    });
    // Until the end the output is not a valid ELF file: the header comes last.
    memset(image->bytes, 0, sizeof(Elf64_Ehdr));
  }
  return write_all(a->output, image->bytes, image->size, 0, error);
}

lmmc_attach *lmmc_attach_begin(const char *executable, int output, uint64_t bytes, uint64_t *offset, char error[LMMC_ATTACH_ERROR]) {
  lmmc_attach *a = calloc(1, sizeof *a);
  if (!a) {
    fail(error, "out of memory");
    return NULL;
  }
  a->output = output;
  a->bytes = bytes;
  struct image image;
  bool ok = prepare(a, &image, executable, error);
  if (image.bytes) munmap(image.bytes, image.size);
  if (!ok) {
    lmmc_attach_abandon(a);
    return NULL;
  }
  *offset = a->offset;
  return a;
}

bool lmmc_attach_finish(lmmc_attach *a, char error[LMMC_ATTACH_ERROR]) {
  struct stat status;
  bool ok = fstat(a->output, &status) == 0 || fail(error, "cannot read the output: %s", strerror(errno));
  if (ok && (uint64_t)status.st_size != a->offset + a->bytes)
    ok = fail(error, "the output has %" PRIu64 " bytes; expected %" PRIu64 " with the whole attachment", (uint64_t)status.st_size,
              a->offset + a->bytes);
  if (ok && a->bytes > 0)
    ok =
        write_all(a->output, a->tail, a->tail_bytes, a->tail_offset, error) && write_all(a->output, &a->header, sizeof a->header, 0, error);
  lmmc_attach_abandon(a);
  return ok;
}

void lmmc_attach_abandon(lmmc_attach *a) {
  free(a->tail);
  free(a);
}
