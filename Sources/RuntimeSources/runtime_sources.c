// Runtime/ as bytes. To add a file: an array here, an entry below (a test compares the list with the folder).
#include "runtime_sources.h"

#if defined(__clang__)
#pragma clang diagnostic ignored "-Wc23-extensions"  // #embed
#endif

static const unsigned char attach_attach_c[] = {
#embed "../../Runtime/attach/attach.c"
};
static const unsigned char attach_include_attach_h[] = {
#embed "../../Runtime/attach/include/attach.h"
};
static const unsigned char attach_program_c[] = {
#embed "../../Runtime/attach/program.c"
};
static const unsigned char attachment_c[] = {
#embed "../../Runtime/attachment.c"
};
static const unsigned char attachment_h[] = {
#embed "../../Runtime/attachment.h"
};
static const unsigned char bench_c[] = {
#embed "../../Runtime/bench.c"
};
static const unsigned char bench_h[] = {
#embed "../../Runtime/bench.h"
};
static const unsigned char ceiling_c[] = {
#embed "../../Runtime/ceiling.c"
};
static const unsigned char ceiling_h[] = {
#embed "../../Runtime/ceiling.h"
};
static const unsigned char cgroup_c[] = {
#embed "../../Runtime/cgroup.c"
};
static const unsigned char cgroup_h[] = {
#embed "../../Runtime/cgroup.h"
};
static const unsigned char cpu_c[] = {
#embed "../../Runtime/cpu.c"
};
static const unsigned char error_c[] = {
#embed "../../Runtime/error.c"
};
static const unsigned char error_h[] = {
#embed "../../Runtime/error.h"
};
static const unsigned char image_c[] = {
#embed "../../Runtime/image.c"
};
static const unsigned char image_h[] = {
#embed "../../Runtime/image.h"
};
static const unsigned char image_internal_h[] = {
#embed "../../Runtime/image_internal.h"
};
static const unsigned char image_jpeg_c[] = {
#embed "../../Runtime/image_jpeg.c"
};
static const unsigned char image_png_c[] = {
#embed "../../Runtime/image_png.c"
};
static const unsigned char image_resize_c[] = {
#embed "../../Runtime/image_resize.c"
};
static const unsigned char image_webp_c[] = {
#embed "../../Runtime/image_webp.c"
};
static const unsigned char integrity_c[] = {
#embed "../../Runtime/integrity.c"
};
static const unsigned char integrity_h[] = {
#embed "../../Runtime/integrity.h"
};
static const unsigned char kernels_attention_c[] = {
#embed "../../Runtime/kernels/attention.c"
};
static const unsigned char kernels_attention_h[] = {
#embed "../../Runtime/kernels/attention.h"
};
static const unsigned char kernels_attention_avx2_c[] = {
#embed "../../Runtime/kernels/attention_avx2.c"
};
static const unsigned char kernels_attention_avx512_c[] = {
#embed "../../Runtime/kernels/attention_avx512.c"
};
static const unsigned char kernels_attention_avx512bf16_c[] = {
#embed "../../Runtime/kernels/attention_avx512bf16.c"
};
static const unsigned char kernels_attention_avx512bf16_h[] = {
#embed "../../Runtime/kernels/attention_avx512bf16.h"
};
static const unsigned char kernels_attention_bfmmla_c[] = {
#embed "../../Runtime/kernels/attention_bfmmla.c"
};
static const unsigned char kernels_attention_body_h[] = {
#embed "../../Runtime/kernels/attention_body.h"
};
static const unsigned char kernels_attention_few_h[] = {
#embed "../../Runtime/kernels/attention_few.h"
};
static const unsigned char kernels_attention_few_avx512bf16_c[] = {
#embed "../../Runtime/kernels/attention_few_avx512bf16.c"
};
static const unsigned char kernels_attention_few_i8_c[] = {
#embed "../../Runtime/kernels/attention_few_i8.c"
};
static const unsigned char kernels_attention_neon_c[] = {
#embed "../../Runtime/kernels/attention_neon.c"
};
static const unsigned char kernels_attention_neon_h[] = {
#embed "../../Runtime/kernels/attention_neon.h"
};
static const unsigned char kernels_attention_plain_c[] = {
#embed "../../Runtime/kernels/attention_plain.c"
};
static const unsigned char kernels_attention_variant_h[] = {
#embed "../../Runtime/kernels/attention_variant.h"
};
static const unsigned char kernels_blas_c[] = {
#embed "../../Runtime/kernels/blas.c"
};
static const unsigned char kernels_cache_rows_h[] = {
#embed "../../Runtime/kernels/cache_rows.h"
};
static const unsigned char kernels_cpu_h[] = {
#embed "../../Runtime/kernels/cpu.h"
};
static const unsigned char kernels_kernels_h[] = {
#embed "../../Runtime/kernels/kernels.h"
};
static const unsigned char kernels_lanes_h[] = {
#embed "../../Runtime/kernels/lanes.h"
};
static const unsigned char kernels_level_h[] = {
#embed "../../Runtime/kernels/level.h"
};
static const unsigned char kernels_matmul_c[] = {
#embed "../../Runtime/kernels/matmul.c"
};
static const unsigned char kernels_matmul_h[] = {
#embed "../../Runtime/kernels/matmul.h"
};
static const unsigned char kernels_memory_h[] = {
#embed "../../Runtime/kernels/memory.h"
};
static const unsigned char kernels_packed_c[] = {
#embed "../../Runtime/kernels/packed.c"
};
static const unsigned char kernels_packed_h[] = {
#embed "../../Runtime/kernels/packed.h"
};
static const unsigned char kernels_packed_avx2_h[] = {
#embed "../../Runtime/kernels/packed_avx2.h"
};
static const unsigned char kernels_packed_avx512_h[] = {
#embed "../../Runtime/kernels/packed_avx512.h"
};
static const unsigned char kernels_packed_bf16_avx2_c[] = {
#embed "../../Runtime/kernels/packed_bf16_avx2.c"
};
static const unsigned char kernels_packed_bf16_avx512_c[] = {
#embed "../../Runtime/kernels/packed_bf16_avx512.c"
};
static const unsigned char kernels_packed_bf16_avx512bf16_c[] = {
#embed "../../Runtime/kernels/packed_bf16_avx512bf16.c"
};
static const unsigned char kernels_packed_bf16_bfdot_c[] = {
#embed "../../Runtime/kernels/packed_bf16_bfdot.c"
};
static const unsigned char kernels_packed_bf16_neon_c[] = {
#embed "../../Runtime/kernels/packed_bf16_neon.c"
};
static const unsigned char kernels_packed_bf16_sse42_c[] = {
#embed "../../Runtime/kernels/packed_bf16_sse42.c"
};
static const unsigned char kernels_packed_bf16_tile_h[] = {
#embed "../../Runtime/kernels/packed_bf16_tile.h"
};
static const unsigned char kernels_packed_cpu_c[] = {
#embed "../../Runtime/kernels/packed_cpu.c"
};
static const unsigned char kernels_packed_dispatch_c[] = {
#embed "../../Runtime/kernels/packed_dispatch.c"
};
static const unsigned char kernels_packed_finish_h[] = {
#embed "../../Runtime/kernels/packed_finish.h"
};
static const unsigned char kernels_packed_int_avx2_c[] = {
#embed "../../Runtime/kernels/packed_int_avx2.c"
};
static const unsigned char kernels_packed_int_avx512_c[] = {
#embed "../../Runtime/kernels/packed_int_avx512.c"
};
static const unsigned char kernels_packed_int_avxvnni_c[] = {
#embed "../../Runtime/kernels/packed_int_avxvnni.c"
};
static const unsigned char kernels_packed_int_dotprod_c[] = {
#embed "../../Runtime/kernels/packed_int_dotprod.c"
};
static const unsigned char kernels_packed_int_i8mm_c[] = {
#embed "../../Runtime/kernels/packed_int_i8mm.c"
};
static const unsigned char kernels_packed_int_neon_c[] = {
#embed "../../Runtime/kernels/packed_int_neon.c"
};
static const unsigned char kernels_packed_int_sse42_c[] = {
#embed "../../Runtime/kernels/packed_int_sse42.c"
};
static const unsigned char kernels_packed_neon_h[] = {
#embed "../../Runtime/kernels/packed_neon.h"
};
static const unsigned char kernels_packed_plain_c[] = {
#embed "../../Runtime/kernels/packed_plain.c"
};
static const unsigned char kernels_packed_q4_avx512vnni_c[] = {
#embed "../../Runtime/kernels/packed_q4_avx512vnni.c"
};
static const unsigned char kernels_packed_q8_avx512vnni_c[] = {
#embed "../../Runtime/kernels/packed_q8_avx512vnni.c"
};
static const unsigned char kernels_packed_rows_avx2_c[] = {
#embed "../../Runtime/kernels/packed_rows_avx2.c"
};
static const unsigned char kernels_packed_rows_avx512_c[] = {
#embed "../../Runtime/kernels/packed_rows_avx512.c"
};
static const unsigned char kernels_packed_sse42_h[] = {
#embed "../../Runtime/kernels/packed_sse42.h"
};
static const unsigned char kernels_packed_target_h[] = {
#embed "../../Runtime/kernels/packed_target.h"
};
static const unsigned char kernels_packed_tile_h[] = {
#embed "../../Runtime/kernels/packed_tile.h"
};
static const unsigned char kernels_packed_variant_h[] = {
#embed "../../Runtime/kernels/packed_variant.h"
};
static const unsigned char kernels_parallel_h[] = {
#embed "../../Runtime/kernels/parallel.h"
};
static const unsigned char kernels_pixels_h[] = {
#embed "../../Runtime/kernels/pixels.h"
};
static const unsigned char kernels_profile_h[] = {
#embed "../../Runtime/kernels/profile.h"
};
static const unsigned char kernels_rows_h[] = {
#embed "../../Runtime/kernels/rows.h"
};
static const unsigned char kernels_tile_product_h[] = {
#embed "../../Runtime/kernels/tile_product.h"
};
static const unsigned char kernels_vector_math_h[] = {
#embed "../../Runtime/kernels/vector_math.h"
};
static const unsigned char levels_c[] = {
#embed "../../Runtime/levels.c"
};
static const unsigned char levels_h[] = {
#embed "../../Runtime/levels.h"
};
static const unsigned char lmmc_h[] = {
#embed "../../Runtime/lmmc.h"
};
static const unsigned char main_c[] = {
#embed "../../Runtime/main.c"
};
static const unsigned char memory_c[] = {
#embed "../../Runtime/memory.c"
};
static const unsigned char memory_h[] = {
#embed "../../Runtime/memory.h"
};
static const unsigned char options_c[] = {
#embed "../../Runtime/options.c"
};
static const unsigned char options_h[] = {
#embed "../../Runtime/options.h"
};
static const unsigned char output_c[] = {
#embed "../../Runtime/output.c"
};
static const unsigned char output_h[] = {
#embed "../../Runtime/output.h"
};
static const unsigned char pack_checksum_c[] = {
#embed "../../Runtime/pack/checksum.c"
};
static const unsigned char pack_include_checksum_h[] = {
#embed "../../Runtime/pack/include/checksum.h"
};
static const unsigned char pack_include_packed_layout_h[] = {
#embed "../../Runtime/pack/include/packed_layout.h"
};
static const unsigned char perplexity_c[] = {
#embed "../../Runtime/perplexity.c"
};
static const unsigned char perplexity_h[] = {
#embed "../../Runtime/perplexity.h"
};
static const unsigned char printable_c[] = {
#embed "../../Runtime/printable.c"
};
static const unsigned char printable_h[] = {
#embed "../../Runtime/printable.h"
};
static const unsigned char profile_c[] = {
#embed "../../Runtime/profile.c"
};
static const unsigned char profile_h[] = {
#embed "../../Runtime/profile.h"
};
static const unsigned char prompt_c[] = {
#embed "../../Runtime/prompt.c"
};
static const unsigned char prompt_h[] = {
#embed "../../Runtime/prompt.h"
};
static const unsigned char run_c[] = {
#embed "../../Runtime/run.c"
};
static const unsigned char run_h[] = {
#embed "../../Runtime/run.h"
};
static const unsigned char sampler_c[] = {
#embed "../../Runtime/sampler.c"
};
static const unsigned char sampler_h[] = {
#embed "../../Runtime/sampler.h"
};
static const unsigned char shared_memory_c[] = {
#embed "../../Runtime/shared_memory.c"
};
static const unsigned char stack_c[] = {
#embed "../../Runtime/stack.c"
};
static const unsigned char stack_h[] = {
#embed "../../Runtime/stack.h"
};
static const unsigned char steps_c[] = {
#embed "../../Runtime/steps.c"
};
static const unsigned char steps_h[] = {
#embed "../../Runtime/steps.h"
};
static const unsigned char tensors_c[] = {
#embed "../../Runtime/tensors.c"
};
static const unsigned char tensors_h[] = {
#embed "../../Runtime/tensors.h"
};
static const unsigned char threads_c[] = {
#embed "../../Runtime/threads.c"
};
static const unsigned char threads_h[] = {
#embed "../../Runtime/threads.h"
};
static const unsigned char tokenizer_c[] = {
#embed "../../Runtime/tokenizer.c"
};
static const unsigned char tokenizer_h[] = {
#embed "../../Runtime/tokenizer.h"
};
static const unsigned char tokenizer_encode_c[] = {
#embed "../../Runtime/tokenizer_encode.c"
};
static const unsigned char tokenizer_internal_h[] = {
#embed "../../Runtime/tokenizer_internal.h"
};
static const unsigned char tokenizer_split_c[] = {
#embed "../../Runtime/tokenizer_split.c"
};
static const unsigned char tokenizer_split_h[] = {
#embed "../../Runtime/tokenizer_split.h"
};
static const unsigned char unicode_h[] = {
#embed "../../Runtime/unicode.h"
};

#define ENTRY(name, id) {name, id, sizeof id}
static const lmmc_runtime_source sources[] = {
    ENTRY("attach/attach.c", attach_attach_c),
    ENTRY("attach/include/attach.h", attach_include_attach_h),
    ENTRY("attach/program.c", attach_program_c),
    ENTRY("attachment.c", attachment_c),
    ENTRY("attachment.h", attachment_h),
    ENTRY("bench.c", bench_c),
    ENTRY("bench.h", bench_h),
    ENTRY("ceiling.c", ceiling_c),
    ENTRY("ceiling.h", ceiling_h),
    ENTRY("cgroup.c", cgroup_c),
    ENTRY("cgroup.h", cgroup_h),
    ENTRY("cpu.c", cpu_c),
    ENTRY("error.c", error_c),
    ENTRY("error.h", error_h),
    ENTRY("image.c", image_c),
    ENTRY("image.h", image_h),
    ENTRY("image_internal.h", image_internal_h),
    ENTRY("image_jpeg.c", image_jpeg_c),
    ENTRY("image_png.c", image_png_c),
    ENTRY("image_resize.c", image_resize_c),
    ENTRY("image_webp.c", image_webp_c),
    ENTRY("integrity.c", integrity_c),
    ENTRY("integrity.h", integrity_h),
    ENTRY("kernels/attention.c", kernels_attention_c),
    ENTRY("kernels/attention.h", kernels_attention_h),
    ENTRY("kernels/attention_avx2.c", kernels_attention_avx2_c),
    ENTRY("kernels/attention_avx512.c", kernels_attention_avx512_c),
    ENTRY("kernels/attention_avx512bf16.c", kernels_attention_avx512bf16_c),
    ENTRY("kernels/attention_avx512bf16.h", kernels_attention_avx512bf16_h),
    ENTRY("kernels/attention_bfmmla.c", kernels_attention_bfmmla_c),
    ENTRY("kernels/attention_body.h", kernels_attention_body_h),
    ENTRY("kernels/attention_few.h", kernels_attention_few_h),
    ENTRY("kernels/attention_few_avx512bf16.c", kernels_attention_few_avx512bf16_c),
    ENTRY("kernels/attention_few_i8.c", kernels_attention_few_i8_c),
    ENTRY("kernels/attention_neon.c", kernels_attention_neon_c),
    ENTRY("kernels/attention_neon.h", kernels_attention_neon_h),
    ENTRY("kernels/attention_plain.c", kernels_attention_plain_c),
    ENTRY("kernels/attention_variant.h", kernels_attention_variant_h),
    ENTRY("kernels/blas.c", kernels_blas_c),
    ENTRY("kernels/cache_rows.h", kernels_cache_rows_h),
    ENTRY("kernels/cpu.h", kernels_cpu_h),
    ENTRY("kernels/kernels.h", kernels_kernels_h),
    ENTRY("kernels/lanes.h", kernels_lanes_h),
    ENTRY("kernels/level.h", kernels_level_h),
    ENTRY("kernels/matmul.c", kernels_matmul_c),
    ENTRY("kernels/matmul.h", kernels_matmul_h),
    ENTRY("kernels/memory.h", kernels_memory_h),
    ENTRY("kernels/packed.c", kernels_packed_c),
    ENTRY("kernels/packed.h", kernels_packed_h),
    ENTRY("kernels/packed_avx2.h", kernels_packed_avx2_h),
    ENTRY("kernels/packed_avx512.h", kernels_packed_avx512_h),
    ENTRY("kernels/packed_bf16_avx2.c", kernels_packed_bf16_avx2_c),
    ENTRY("kernels/packed_bf16_avx512.c", kernels_packed_bf16_avx512_c),
    ENTRY("kernels/packed_bf16_avx512bf16.c", kernels_packed_bf16_avx512bf16_c),
    ENTRY("kernels/packed_bf16_bfdot.c", kernels_packed_bf16_bfdot_c),
    ENTRY("kernels/packed_bf16_neon.c", kernels_packed_bf16_neon_c),
    ENTRY("kernels/packed_bf16_sse42.c", kernels_packed_bf16_sse42_c),
    ENTRY("kernels/packed_bf16_tile.h", kernels_packed_bf16_tile_h),
    ENTRY("kernels/packed_cpu.c", kernels_packed_cpu_c),
    ENTRY("kernels/packed_dispatch.c", kernels_packed_dispatch_c),
    ENTRY("kernels/packed_finish.h", kernels_packed_finish_h),
    ENTRY("kernels/packed_int_avx2.c", kernels_packed_int_avx2_c),
    ENTRY("kernels/packed_int_avx512.c", kernels_packed_int_avx512_c),
    ENTRY("kernels/packed_int_avxvnni.c", kernels_packed_int_avxvnni_c),
    ENTRY("kernels/packed_int_dotprod.c", kernels_packed_int_dotprod_c),
    ENTRY("kernels/packed_int_i8mm.c", kernels_packed_int_i8mm_c),
    ENTRY("kernels/packed_int_neon.c", kernels_packed_int_neon_c),
    ENTRY("kernels/packed_int_sse42.c", kernels_packed_int_sse42_c),
    ENTRY("kernels/packed_neon.h", kernels_packed_neon_h),
    ENTRY("kernels/packed_plain.c", kernels_packed_plain_c),
    ENTRY("kernels/packed_q4_avx512vnni.c", kernels_packed_q4_avx512vnni_c),
    ENTRY("kernels/packed_q8_avx512vnni.c", kernels_packed_q8_avx512vnni_c),
    ENTRY("kernels/packed_rows_avx2.c", kernels_packed_rows_avx2_c),
    ENTRY("kernels/packed_rows_avx512.c", kernels_packed_rows_avx512_c),
    ENTRY("kernels/packed_sse42.h", kernels_packed_sse42_h),
    ENTRY("kernels/packed_target.h", kernels_packed_target_h),
    ENTRY("kernels/packed_tile.h", kernels_packed_tile_h),
    ENTRY("kernels/packed_variant.h", kernels_packed_variant_h),
    ENTRY("kernels/parallel.h", kernels_parallel_h),
    ENTRY("kernels/pixels.h", kernels_pixels_h),
    ENTRY("kernels/profile.h", kernels_profile_h),
    ENTRY("kernels/rows.h", kernels_rows_h),
    ENTRY("kernels/tile_product.h", kernels_tile_product_h),
    ENTRY("kernels/vector_math.h", kernels_vector_math_h),
    ENTRY("levels.c", levels_c),
    ENTRY("levels.h", levels_h),
    ENTRY("lmmc.h", lmmc_h),
    ENTRY("main.c", main_c),
    ENTRY("memory.c", memory_c),
    ENTRY("memory.h", memory_h),
    ENTRY("options.c", options_c),
    ENTRY("options.h", options_h),
    ENTRY("output.c", output_c),
    ENTRY("output.h", output_h),
    ENTRY("pack/checksum.c", pack_checksum_c),
    ENTRY("pack/include/checksum.h", pack_include_checksum_h),
    ENTRY("pack/include/packed_layout.h", pack_include_packed_layout_h),
    ENTRY("perplexity.c", perplexity_c),
    ENTRY("perplexity.h", perplexity_h),
    ENTRY("printable.c", printable_c),
    ENTRY("printable.h", printable_h),
    ENTRY("profile.c", profile_c),
    ENTRY("profile.h", profile_h),
    ENTRY("prompt.c", prompt_c),
    ENTRY("prompt.h", prompt_h),
    ENTRY("run.c", run_c),
    ENTRY("run.h", run_h),
    ENTRY("sampler.c", sampler_c),
    ENTRY("sampler.h", sampler_h),
    ENTRY("shared_memory.c", shared_memory_c),
    ENTRY("stack.c", stack_c),
    ENTRY("stack.h", stack_h),
    ENTRY("steps.c", steps_c),
    ENTRY("steps.h", steps_h),
    ENTRY("tensors.c", tensors_c),
    ENTRY("tensors.h", tensors_h),
    ENTRY("threads.c", threads_c),
    ENTRY("threads.h", threads_h),
    ENTRY("tokenizer.c", tokenizer_c),
    ENTRY("tokenizer.h", tokenizer_h),
    ENTRY("tokenizer_encode.c", tokenizer_encode_c),
    ENTRY("tokenizer_internal.h", tokenizer_internal_h),
    ENTRY("tokenizer_split.c", tokenizer_split_c),
    ENTRY("tokenizer_split.h", tokenizer_split_h),
    ENTRY("unicode.h", unicode_h),
};

const lmmc_runtime_source *lmmc_runtime_sources(size_t *count) {
  *count = sizeof sources / sizeof *sources;
  return sources;
}
