// What keys and values are held in.
#ifndef LMMC_CONTRACT_KV_TYPE_H
#define LMMC_CONTRACT_KV_TYPE_H

// The rows of a cache are made by kernels/rows/cache_rows.h.
typedef enum {
  LMMC_KV_F32,
  LMMC_KV_BF16,
  LMMC_KV_I8,  // [kv_heads * head_size] int8, then [kv_heads] float scales at any address
} lmmc_kv_type;

#endif
